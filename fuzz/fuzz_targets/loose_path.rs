//! Paths of loose objects: each leads back to its object.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{ObjectName, RepoMode};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((directory, file)) = text.split_once('/') else {
        return;
    };
    let Some(object) = ObjectName::from_loose(directory, file) else {
        return;
    };
    let paths = [RepoMode::Archive, RepoMode::Bare].map(|mode| object.loose_path(mode));
    assert!(
        paths.iter().any(|path| path.as_str() == text),
        "{object} is not at {text}"
    );
});
