//! Starts of `.filez` files: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::FileHeader;

fuzz_target!(|data: &[u8]| {
    let Some((prefix, rest)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Ok(length) = FileHeader::parse_archive_prefix(prefix) else {
        return;
    };
    let Some(header) = rest.get(..length) else { return };
    if let Ok((header, size)) = FileHeader::parse_archive_header(header) {
        assert_eq!(header.to_archive(size), data[..8 + length]);
        let _ = header.checksum_of(&rest[length..]);
    }
});
