//! Dirmetas: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::DirMeta;

fuzz_target!(|data: &[u8]| {
    if let Ok(value) = DirMeta::parse(data) {
        assert_eq!(value.to_bytes(), data);
    }
});
