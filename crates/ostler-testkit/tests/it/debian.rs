//! Two versions of an operating system differ by whole packages and can be committed.

use ostler_testkit::debian;
use ostler_testkit::stock::StockRepo;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn versions_differ_by_packages_and_can_be_committed() {
    let versions = debian::versions(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian"));
    assert!(versions.first.join("usr/bin/nano").exists() || versions.first.join("bin/nano").exists());
    assert!(!versions.second.join("usr/bin/nano").exists() && !versions.second.join("bin/nano").exists());
    assert!(versions.second.join("usr/bin/less").exists() || versions.second.join("bin/less").exists());

    let directory = TempDir::new().unwrap();
    let repo = StockRepo::init(directory.path(), "bare");
    let commits = [&versions.first, &versions.second].map(|tree| repo.commit("os", tree));
    assert_ne!(commits[0], commits[1]);
}
