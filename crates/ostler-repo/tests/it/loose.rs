//! Loose objects as files, for tests that damage or plant them.

use ostler_format::{ObjectName, ObjectType, RepoMode};
use std::path::{Path, PathBuf};

/// Returns where an object lies in an archive repository.
pub(crate) fn path_of(repo: &Path, checksum: &str, kind: ObjectType) -> PathBuf {
    let name = ObjectName::new(checksum.trim().parse().unwrap(), kind);
    repo.join("objects").join(name.loose_path(RepoMode::Archive))
}

/// Returns the paths of all objects with a suffix, sorted.
pub(crate) fn all(repo: &Path, suffix: &str) -> Vec<PathBuf> {
    let directories = std::fs::read_dir(repo.join("objects")).unwrap();
    let files = directories.flat_map(|dir| std::fs::read_dir(dir.unwrap().path()).unwrap());
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == suffix));
    paths.sort();
    paths
}
