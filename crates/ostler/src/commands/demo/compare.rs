//! Whether what arrived is what was sent: two trees on disk, and a commit with a tree on disk.
//!
//! The first reads what the client checked out, and so also judges the client; in a checkout for a user no file has
//! set-user-id bits, and its owner may read each. The second compares modes as they are.

use super::files;
use super::publisher::OWNER;
use crate::interrupt::Interrupt;
use anyhow::Context as _;
use ostler_format::Checksum;
use ostler_repo::{DiffOptions, DiffSide, Repo};
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const PERMISSION_BITS: u32 = 0o7777;
const SET_ID_BITS: u32 = 0o6000;
const OWNER_READS: u32 = 0o400;
/// How much of two files is compared at once.
const CHUNK: usize = 64 << 10;

/// Compares kinds, modes, link targets and contents; returns a line for each difference.
pub(super) fn trees(expected: &Path, found: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<String>> {
    let (ours, theirs) = (files::listing(expected)?, files::listing(found)?);
    let mut differences = Vec::new();
    let paths: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for path in paths {
        interrupt.check()?;
        let difference = match (ours.get(path), theirs.get(path)) {
            (Some(ours), Some(theirs)) => {
                let (expected, found) = (expected.join(path), found.join(path));
                entries((&expected, ours), (&found, theirs))
                    .with_context(|| format!("cannot compare {}", path.display()))?
            }
            (Some(_), None) => Some("is missing".to_owned()),
            _ => Some("should not be there".to_owned()),
        };
        differences.extend(difference.map(|difference| format!("{}: {difference}", shown(path))));
    }
    Ok(differences)
}

/// Compares a commit with the directory that it was made from; returns a line for each difference.
pub(super) fn commit(repo: &Repo, commit: &Checksum, expected: &Path) -> anyhow::Result<Vec<String>> {
    let options = DiffOptions {
        no_xattrs: true,
        owner_uid: Some(OWNER),
        owner_gid: Some(OWNER),
    };
    let sides = (DiffSide::Directory(expected), DiffSide::Commit(*commit));
    let found = repo.diff(&sides.0, &sides.1, &options)?;
    let lists = [
        (found.modified, "differs in the commit"),
        (found.removed, "is missing from the commit"),
        (found.added, "should not be in the commit"),
    ];
    Ok(lists
        .into_iter()
        .flat_map(|(paths, what)| paths.into_iter().map(move |path| format!("{path}: {what}")))
        .collect())
}

fn shown(path: &Path) -> String {
    format!("/{}", path.display())
}

/// Says what differs between two entries of a tree, if anything does.
fn entries(expected: (&Path, &Metadata), found: (&Path, &Metadata)) -> io::Result<Option<String>> {
    let (ours, theirs) = (expected.1, found.1);
    if ours.file_type() != theirs.file_type() {
        return Ok(Some("is of another kind".to_owned()));
    }
    if ours.is_symlink() {
        let (ours, theirs) = (fs::read_link(expected.0)?, fs::read_link(found.0)?);
        return Ok((ours != theirs).then(|| "leads elsewhere".to_owned()));
    }
    let (wanted, mode) = (mode_in_checkout(ours), mode_of(theirs));
    if wanted != mode {
        return Ok(Some(format!("has mode {mode:04o} instead of {wanted:04o}")));
    }
    if ours.is_file() && !same_content(expected.0, found.0)? {
        return Ok(Some("has other content".to_owned()));
    }
    Ok(None)
}

fn mode_of(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & PERMISSION_BITS
}

/// Returns the mode that a file gets in a checkout for a user.
fn mode_in_checkout(metadata: &Metadata) -> u32 {
    let mode = mode_of(metadata);
    if metadata.is_file() {
        (mode & !SET_ID_BITS) | OWNER_READS
    } else {
        mode
    }
}

fn same_content(first: &Path, second: &Path) -> io::Result<bool> {
    let mut first = BufReader::with_capacity(CHUNK, File::open(first)?);
    let mut second = BufReader::with_capacity(CHUNK, File::open(second)?);
    loop {
        let (ours, theirs) = (first.fill_buf()?, second.fill_buf()?);
        let length = ours.len().min(theirs.len());
        if ours.get(..length) != theirs.get(..length) {
            return Ok(false);
        }
        if length == 0 {
            return Ok(ours.is_empty() && theirs.is_empty());
        }
        first.consume(length);
        second.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;
    use std::os::unix::fs::symlink;

    fn after(harm: impl FnOnce(&Path)) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let (ours, theirs) = (scratch.path().join("ours"), scratch.path().join("theirs"));
        for root in [&ours, &theirs] {
            tree::generate(root).unwrap();
        }
        harm(&theirs);
        trees(&ours, &theirs, &Interrupt::watch().unwrap()).unwrap()
    }

    #[test]
    fn equal_trees_have_no_differences() {
        assert_eq!(after(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn one_flipped_bit_is_noticed_wherever_it_is() {
        let length = 24 * 4096;
        for place in [0, 1, CHUNK - 1, CHUNK, length - 1] {
            let found = after(|root| {
                let path = root.join("usr/lib/libinn23.so.1");
                let mut bytes = fs::read(&path).unwrap();
                assert_eq!(bytes.len(), length);
                bytes[place] ^= 1;
                fs::write(&path, bytes).unwrap();
            });
            assert_eq!(
                found,
                ["/usr/lib/libinn23.so.1: has other content"],
                "byte {place}"
            );
        }
    }

    #[test]
    fn all_else_that_can_differ_is_noticed() {
        type Harm = fn(&Path);
        let harms: [(&str, Harm); 8] = [
            ("/etc/motd: has other content", |root| {
                fs::write(root.join("etc/motd"), "x").unwrap();
            }),
            ("/etc/hostname: has other content", |root| {
                fs::write(root.join("etc/hostname"), "").unwrap();
            }),
            ("/var: has mode 1755 instead of 0755", |root| {
                fs::set_permissions(root.join("var"), fs::Permissions::from_mode(0o1755)).unwrap();
            }),
            ("/: has mode 0700 instead of 0755", |root| {
                fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap();
            }),
            ("/bin: leads elsewhere", |root| {
                fs::remove_file(root.join("bin")).unwrap();
                symlink("usr/bi", root.join("bin")).unwrap();
            }),
            ("/bin: is of another kind", |root| {
                fs::remove_file(root.join("bin")).unwrap();
                fs::write(root.join("bin"), "usr/bin").unwrap();
            }),
            ("/var: is missing", |root| {
                fs::remove_dir(root.join("var")).unwrap();
            }),
            ("/var/new: should not be there", |root| {
                fs::create_dir(root.join("var/new")).unwrap();
            }),
        ];
        for (expected, harm) in harms {
            assert_eq!(after(harm), [expected]);
        }
    }
}
