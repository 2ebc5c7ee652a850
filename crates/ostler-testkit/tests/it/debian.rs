//! Two versions of an operating system differ by whole packages and hold only what OSTree keeps.

use ostler_testkit::debian;
use ostler_testkit::listing::{Content, listing};
use std::path::Path;

#[test]
fn versions_differ_by_packages_and_hold_only_what_ostree_keeps() {
    let versions = debian::versions(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian"));
    assert!(versions.first.join("usr/bin/nano").exists() || versions.first.join("bin/nano").exists());
    assert!(!versions.second.join("usr/bin/nano").exists() && !versions.second.join("bin/nano").exists());
    assert!(versions.second.join("usr/bin/less").exists() || versions.second.join("bin/less").exists());

    for version in [&versions.first, &versions.second] {
        let found = listing(version);
        assert!(found.len() > 3000, "{} files are no Debian", found.len());
        let other = found.iter().find(|(_, entry)| entry.content == Content::Other);
        assert_eq!(other, None, "what OSTree does not keep is left out");
    }
}
