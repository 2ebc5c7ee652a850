//! Entries of `ostree.sizes`: read again they are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::SizeEntry;

fuzz_target!(|data: &[u8]| {
    if let Ok(entry) = SizeEntry::parse(data) {
        // Not the bytes: old entries lack the type.
        assert_eq!(SizeEntry::parse(&entry.to_bytes()), Ok(entry));
    }
});
