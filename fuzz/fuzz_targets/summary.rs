//! Summaries: what is read is written as it was, and every ref in it is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{DeltaList, Summary};

fuzz_target!(|data: &[u8]| {
    let Ok(summary) = Summary::parse(data) else { return };
    assert_eq!(summary.to_bytes(), data);
    for entry in &summary.refs {
        assert_eq!(summary.lookup(entry.name.as_str()), Some(entry));
        let _ = entry.timestamp();
    }
    if let Ok(collections) = summary.collection_map() {
        for (collection, refs) in collections.iter() {
            for entry in refs {
                assert!(collections.lookup(collection, entry.name.as_str()).is_some());
            }
        }
    }
    if let Some(deltas) = summary.metadata.get(DeltaList::KEY) {
        let _ = DeltaList::from_value(deltas);
    }
});
