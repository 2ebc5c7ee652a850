//! A directory with a repository that stock made, and trees to commit.

use ostler_testkit::command::{command, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::path::Path;
use tempfile::TempDir;

/// Makes the trees `tree` and `overlay` in `directory`, with nothing in them that takes privileges.
pub(crate) fn trees(directory: &Path) {
    Tree::at(&directory.join("tree"))
        .file("a", "hi\n", 0o644)
        .file("big", vec![b'x'; 100_000], 0o644)
        .file("sub/run", "#!/bin/sh\n", 0o755)
        .symlink("sub/link", "../a")
        .symlink("sub/loop", "loop")
        .file("sub/with space", "", 0o600)
        .file("sub/é", "accent", 0o444)
        .dir("sub/deep/deeper", 0o700)
        .dir("empty", 0o755);
    Tree::at(&directory.join("overlay"))
        .file("a", "other\n", 0o640)
        .file("new/file", "new\n", 0o644);
}

/// Copies the repository of a fixture into a directory of its own.
pub(crate) fn copied(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    let _printed = run(command("cp")
        .arg("-a")
        .arg(directory.join("repo"))
        .arg(copy.path()));
    copy
}

/// Makes the repository `repo` with some history: three commits on `main`, refs of several kinds.
pub(crate) fn repository() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    trees(directory.path());
    let repo = StockRepo::init(&directory.path().join("repo"), "archive");
    // Nothing here need outlive a power cut, and syncing would take most of the time.
    repo.run(&["config", "set", "core.fsync", "false"]);
    let tree = directory.path().join("tree");
    let options = |extra: &[&'static str]| [&["--owner-uid=0", "--owner-gid=0"], extra].concat();
    repo.commit_with(
        "main",
        &tree,
        &options(&[
            "--body=Body\n\n  with lines\n",
            "--add-metadata-string=version=1.0",
            "--add-metadata=number=uint32 5",
            "--add-metadata=nested={'k': <[byte 1, 2]>}",
            "--add-detached-metadata-string=note=seen",
        ]),
    );
    repo.commit_with("main", &tree, &options(&["--subject=", "--owner-uid=7"]));
    repo.commit_with(
        "main",
        &directory.path().join("overlay"),
        &options(&["--subject=two\nlines"]),
    );
    repo.commit_with("sized", &tree, &["--generate-sizes"]);
    repo.run(&["refs", "--create=os/x86_64/stable", "main^"]);
    repo.run(&["refs", "--create=os/x86_64/testing", "main"]);
    repo.run(&["refs", "--create=os/arm", "main"]);
    repo.run(&["refs", "--create=origin:os/arm", "main"]);
    repo.run(&["refs", "--create=origin:os/mips/stable", "main"]);
    repo.run(&["refs", "--create=latest", "--alias", "os/x86_64/stable"]);
    directory
}
