//! Superblocks of static deltas: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::delta::{SignedSuperblock, Superblock};

fuzz_target!(|data: &[u8]| {
    if let Ok(signed) = SignedSuperblock::parse(data) {
        assert_eq!(signed.to_bytes(), data);
    }
    let Ok(superblock) = Superblock::parse(data) else {
        return;
    };
    assert_eq!(superblock.to_bytes(), data);
    for index in 0..superblock.parts.len() {
        let _ = superblock.inline_part(index);
    }
    let _ = superblock.detached_metadata();
});
