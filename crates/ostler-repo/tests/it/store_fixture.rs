//! What several tests set up alike.

use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType, RepoMode, S_IFREG, Xattrs};
use ostler_repo::{Repo, Transaction, TransactionOptions};
use std::path::Path;
use tempfile::TempDir;

/// Returns a directory on a file system with extended attributes: that of the build, not `/tmp`.
pub(crate) fn scratch() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Makes a repository.
pub(crate) fn create(path: &Path, mode: RepoMode) -> Repo {
    Repo::create(path, mode, None).unwrap()
}

/// Begins a transaction in a repository of any mode.
pub(crate) fn begin(repo: &Repo) -> Transaction<'_> {
    let options = TransactionOptions {
        allow_split_xattrs: true,
    };
    repo.begin_with(options).unwrap()
}

/// Returns the header of a regular file of root's without attributes.
pub(crate) fn regular(permissions: u32) -> FileHeader {
    FileHeader {
        uid: 0,
        gid: 0,
        mode: S_IFREG | permissions,
        symlink_target: String::new(),
        xattrs: Xattrs::default(),
    }
}

/// Returns the header of a regular file of whoever runs the tests, which every mode can store.
pub(crate) fn own(permissions: u32) -> FileHeader {
    FileHeader {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        ..regular(permissions)
    }
}

/// Writes a content object.
pub(crate) fn write(transaction: &Transaction<'_>, header: &FileHeader, content: &[u8]) -> ObjectName {
    let written = transaction
        .write_content(header, content.len() as u64, &mut &content[..], None)
        .unwrap();
    file(written.checksum)
}

/// Names a content object.
pub(crate) fn file(checksum: Checksum) -> ObjectName {
    ObjectName::new(checksum, ObjectType::File)
}
