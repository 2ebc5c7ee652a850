//! Extended attributes: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::Xattrs;

fuzz_target!(|data: &[u8]| {
    if let Ok(value) = Xattrs::from_bytes(data) {
        assert_eq!(value.to_bytes(), data);
    }
});
