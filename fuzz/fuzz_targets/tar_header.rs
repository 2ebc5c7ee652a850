//! Headers of tar archives and the blocks of sparse maps behind them: nothing panics, and maps stay inside their file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::tar::{ExtendedSparse, SparseMap, SparseMapText, TAR_BLOCK, TarHeader};

fn inside(pieces: Vec<(u64, u64)>, size: u64) {
    if let Ok(map) = SparseMap::new(pieces, size) {
        assert!(map.stored() <= map.size());
    }
}

fuzz_target!(|data: &[u8]| {
    let mut text = SparseMapText::new();
    for block in data.chunks_exact(TAR_BLOCK) {
        let Some(block) = block.first_chunk() else {
            continue;
        };
        if let Ok(header) = TarHeader::parse(block) {
            assert!(TarHeader::has_checksum(block));
            if let Some(sparse) = header.sparse {
                inside(sparse.pieces, sparse.size);
            }
        }
        if let Ok(extended) = ExtendedSparse::parse(block) {
            inside(extended.pieces, 1 << 40);
        }
        if let Ok(Some(pieces)) = text.feed(block) {
            inside(pieces, 1 << 40);
        }
    }
});
