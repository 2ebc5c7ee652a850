//! Key files: what is read is written again as it was, what is set is found, and a configuration is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_repo::{Config, KeyFile};

fuzz_target!(|data: &[u8]| {
    let Ok(mut file) = KeyFile::parse(data) else {
        return;
    };
    assert_eq!(file.to_bytes(), data);
    for group in file.groups() {
        assert!(file.has_group(group));
        for key in file.keys(group) {
            assert!(file.raw(group, key).is_some());
            let _ = file.get(group, key);
            let _ = file.get_list(group, key);
            let _ = file.get_int(group, key);
        }
    }
    if let Ok(config) = Config::from_keyfile(file.clone()) {
        for remote in config.remotes() {
            let _ = config.remote_option(&remote, "url");
            let _ = config.remote_collection_id(&remote);
        }
    }
    let text: String = String::from_utf8_lossy(data).replace('\0', "");
    if file.set("core", "key", &text).is_ok() {
        assert_eq!(
            file.get("core", "key").ok().flatten().as_deref(),
            Some(text.as_str())
        );
        let again = KeyFile::parse(&file.to_bytes());
        let again = again.expect("what was set is well-formed");
        assert_eq!(again.get("core", "key").ok().flatten(), Some(text));
    }
});
