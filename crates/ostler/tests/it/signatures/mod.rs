//! Signatures: made by us and checked by others, and the other way round; keys in all forms; several who sign at once.

mod engines;
mod gpg;
mod interrupted;
mod keyrings;
mod races;
mod secrets;

use crate::programs::ostler;
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_testkit::command::{attempt, command, run};
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A directory with a tree to commit and a repository.
struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new(mode: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        fs::create_dir(directory.path().join("tree")).expect("our own directory");
        fs::write(directory.path().join("tree/file"), "content\n").expect("our own file");
        let repo = StockRepo::init(&directory.path().join("repo"), mode);
        repo.run(&["config", "set", "core.fsync", "false"]);
        Self { directory }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::write(&path, bytes).expect("our own file");
        path
    }

    fn stock(&self) -> StockRepo {
        StockRepo::open(&self.path("repo"))
    }

    /// Returns our binary on the repository, with the time zone of stock's.
    fn ours(&self, arguments: &[&str]) -> Command {
        let mut command = ostler(self.directory.path());
        command.arg("--repo=repo").args(arguments);
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.ours(arguments))
    }

    fn attempt(&self, arguments: &[&str]) -> Output {
        attempt(&mut self.ours(arguments))
    }

    /// Runs ours, which must fail, and returns what it says.
    #[track_caller]
    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.attempt(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        said
    }

    /// Commits the tree with options, and returns the checksum.
    #[track_caller]
    fn commit(&self, branch: &str, options: &[&str]) -> String {
        let fixed = ["commit", "--timestamp=@1700000000", "-b", branch, "tree"];
        self.run(&[&fixed[..], options].concat()).trim().to_owned()
    }

    /// Returns the path of a file of a commit below `objects/`.
    fn object(&self, commit: &str, kind: ObjectType) -> PathBuf {
        let checksum: Checksum = commit.parse().expect("a checksum");
        let name = ObjectName::new(checksum, kind);
        let mode = "archive-z2".parse().expect("a mode");
        self.path("repo/objects").join(name.loose_path(mode))
    }

    /// Returns the bytes of a commit.
    fn commit_bytes(&self, commit: &str) -> Vec<u8> {
        fs::read(self.object(commit, ObjectType::Commit)).expect("the commit")
    }

    /// Returns the detached metadata of a commit.
    fn detached(&self, commit: &str) -> VarDict {
        let bytes = fs::read(self.object(commit, ObjectType::CommitMeta)).unwrap_or_default();
        VarDict::from_bytes(&bytes).expect("detached metadata")
    }

    fn set_detached(&self, commit: &str, metadata: &VarDict) {
        fs::write(self.object(commit, ObjectType::CommitMeta), metadata.to_bytes()).expect("our own file");
    }
}

/// Makes a key by openssl, below a directory; returns the paths of the secret and the public key, in PEM.
pub(crate) fn make_key(directory: &Path, name: &str, options: &[&str]) -> (PathBuf, PathBuf) {
    let secret = directory.join(format!("{name}.pem"));
    let public = directory.join(format!("{name}.pub.pem"));
    run(command("openssl")
        .args(["genpkey", "-out"])
        .arg(&secret)
        .args(["-algorithm"])
        .args(options));
    run(command("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(&secret)
        .arg("-out")
        .arg(&public));
    (secret, public)
}

/// Returns what `show` says of signatures. Some versions of stock fill days of one digit up with a space of another kind.
fn found(shown: &str) -> String {
    let start = shown.find("Found ").unwrap_or(shown.len());
    shown.split_at(start).1.trim_end().replace('\u{2007}', " ")
}

/// Returns a path as text.
fn text(path: &Path) -> &str {
    path.to_str().expect("our own path")
}
