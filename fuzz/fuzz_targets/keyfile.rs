//! Key files: what is read is written as it was, and every key in it is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_repo::{Config, KeyFile};

fuzz_target!(|data: &[u8]| {
    let _ = Config::parse(data);
    let Ok(file) = KeyFile::parse(data) else { return };
    assert_eq!(file.to_bytes(), data);
    for group in file.groups() {
        assert!(file.has_group(group));
        for key in file.keys(group) {
            assert!(file.raw(group, key).is_some());
            let _ = (file.get(group, key), file.get_list(group, key));
            let _ = (file.get_bool(group, key), file.get_int(group, key));
        }
    }
});
