//! The attribute of bare-user repositories, after a target and NUL: read again it is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::FileHeader;

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == 0) else {
        return;
    };
    let Ok(target) = std::str::from_utf8(&data[..end]) else {
        return;
    };
    if let Ok(header) = FileHeader::from_ostreemeta(&data[end + 1..], target.to_owned()) {
        // Not the bytes: attributes are read in any order and written sorted.
        assert_eq!(
            FileHeader::from_ostreemeta(&header.to_ostreemeta(), target.to_owned()),
            Ok(header)
        );
    }
});
