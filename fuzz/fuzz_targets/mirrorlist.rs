//! Lists of mirrors: nothing but places that are reached by HTTP comes out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_transfer::http::mirrorlist;

fuzz_target!(|data: &[u8]| {
    for mirror in mirrorlist::parse(&String::from_utf8_lossy(data)) {
        assert!(mirror.to_string().starts_with("http"));
        assert_eq!(mirror.local_path(), None);
    }
});
