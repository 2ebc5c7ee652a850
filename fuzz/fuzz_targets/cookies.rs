//! Files of cookies: what is read is written so that it reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_transfer::http::{Cookie, CookieJar};

fuzz_target!(|data: &[u8]| {
    for cookie in CookieJar::parse(&String::from_utf8_lossy(data)).cookies() {
        assert_eq!(Cookie::parse(&cookie.to_line()).as_ref(), Some(cookie));
    }
});
