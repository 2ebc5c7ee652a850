//! Commits and the sizes in their metadata: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{Commit, ObjectSizes};

fuzz_target!(|data: &[u8]| {
    let Ok(commit) = Commit::parse(data) else { return };
    assert_eq!(commit.to_bytes(), data);
    if let Some(Ok(sizes)) = commit.metadata.get(ObjectSizes::KEY).map(ObjectSizes::from_value) {
        assert_eq!(ObjectSizes::from_value(&sizes.to_value()), Ok(sizes));
    }
});
