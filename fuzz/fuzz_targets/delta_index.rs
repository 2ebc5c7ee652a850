//! Delta indexes: read again they are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::DeltaList;

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = DeltaList::parse_index(data) {
        // Not the bytes: other keys of the index are dropped.
        assert_eq!(DeltaList::parse_index(&list.to_index()), Ok(list));
    }
});
