//! Metalinks: what is read has what is needed, within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_transfer::http::metalink::Metalink;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(metalink) = Metalink::parse(text) else {
        return;
    };
    assert!(!metalink.urls.is_empty());
    assert!(metalink.sha256.is_some() || metalink.sha512.is_some());
    assert!(metalink.size <= ostler_format::MAX_METADATA_SIZE);
    let _ = metalink.check(data);
});
