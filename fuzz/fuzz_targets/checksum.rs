//! Checksums as text: what is read prints as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::Checksum;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(checksum) = Checksum::from_hex(text) {
        assert_eq!(checksum.to_string(), text);
    }
});
