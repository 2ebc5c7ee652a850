//! Indexes of summaries: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::SummaryIndex;

fuzz_target!(|data: &[u8]| {
    if let Ok(index) = SummaryIndex::parse(data) {
        assert_eq!(index.to_bytes(), data);
    }
});
