//! Values of headers, and URLs of repositories.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_transfer::http::{Base, headers};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some((first, last, Some(total))) = headers::content_range(text) {
        assert!(first <= last && last < total);
    }
    let _ = headers::retry_after(text, Some(text));
    let _ = headers::date(text);
    if let Ok(base) = Base::parse(text) {
        // Whatever is shown of a place is a place itself, without a name or a password.
        let shown = base.to_string();
        assert_eq!(Base::parse(&shown).map(|base| base.to_string()).ok(), Some(shown));
    }
});
