//! Names of refs, remotes, collections and files: what passes is safe as a relative path and prints as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{CollectionId, CollectionRef, RefName, Refspec, RemoteName, check_file_name};
use std::path::{Component, Path};

fuzz_target!(|data: &[u8]| {
    let safe = |path: &str| {
        let parts = Path::new(path).components();
        assert!(
            parts.clone().count() > 0 && parts.clone().all(|part| matches!(part, Component::Normal(_))),
            "{path:?}"
        );
        assert!(
            !path.contains('\0') && !path.contains("//") && !path.ends_with('/'),
            "{path:?}"
        );
    };
    if let Ok(name) = check_file_name(data) {
        safe(name);
        assert!(!name.contains('/'));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(name) = text.parse::<RefName>() {
        safe(name.as_str());
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = text.parse::<RemoteName>() {
        safe(name.as_str());
        assert!(!name.as_str().contains('/'));
    }
    if let Ok(id) = text.parse::<CollectionId>() {
        safe(id.as_str());
        assert!(!id.as_str().contains('/'));
    }
    if let Ok(refspec) = text.parse::<Refspec>() {
        assert_eq!(refspec.to_string(), text);
    }
    if let Ok(reference) = text.parse::<CollectionRef>() {
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
});
