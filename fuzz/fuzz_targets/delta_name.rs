//! Names and paths of static deltas: each leads back to the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{DeltaName, delta_index_path, parse_delta_index_path};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(name) = text.parse::<DeltaName>() {
        assert_eq!(name.to_string(), text);
        let path = name.path();
        let mut parts = path.split('/').skip(1);
        let (directory, file) = parts.next().zip(parts.next()).expect("two parts below deltas/");
        assert_eq!(DeltaName::from_path(directory, file), Some(name));
    }
    let Some((directory, file)) = text.split_once('/') else {
        return;
    };
    if let Some(name) = DeltaName::from_path(directory, file) {
        assert_eq!(name.path(), format!("deltas/{text}"));
    }
    if let Some(commit) = parse_delta_index_path(directory, file) {
        assert_eq!(delta_index_path(&commit), format!("delta-indexes/{text}"));
    }
});
