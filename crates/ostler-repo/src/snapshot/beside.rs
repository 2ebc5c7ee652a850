//! What a snapshot takes beside objects and refs: static deltas, tombstones, the summary, the configuration.
//!
//! Files are linked. All tools replace these files by a rename and never change one in place, so that the source may go on
//! to change its own.

use crate::deltas::entries;
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, Linked};
use crate::partial::tombstone_of;
use crate::pin::is_link_refusal;
use crate::refs::RefKey;
use crate::repo::{DIR_MODE, FILE_MODE, Repo};
use ostler_format::{Checksum, CollectionRef, MAX_METADATA_SIZE, Summary, delta_index_path};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// The mark of a snapshot, relative to its root.
pub(super) const MARK: &str = "extensions/ostler/snapshot";

/// The summary and what is signed or indexed with it.
const SUMMARY: [&str; 4] = ["summary", "summary.sig", "summary.idx", "summary.idx.sig"];

/// The settings that say how the objects are to be read and presented, by group.
const SETTINGS: [(&str, &[&str]); 2] = [
    (
        "core",
        &[
            "repo_version",
            "mode",
            "collection-id",
            "disable-xattrs",
            "indexed-deltas",
            "no-deltas-in-summary",
            "tombstone-commits",
        ],
    ),
    ("archive", &["zlib-level"]),
];

#[derive(Serialize)]
struct Mark {
    source: String,
}

/// Brings the deltas to the commits, and their indexes. Returns how many deltas.
pub(super) fn bring_deltas(source: &Repo, copy: &Repo, commits: &BTreeSet<Checksum>) -> Result<usize> {
    let mut brought = 0;
    for name in source.list_deltas()? {
        if commits.contains(&name.to) {
            bring_tree(source.root(), copy.root(), &name.path())?;
            brought += 1;
        }
    }
    if brought > 0 {
        for commit in commits {
            bring_file(source.root(), copy.root(), delta_index_path(commit))?;
        }
    }
    Ok(brought)
}

/// Brings the tombstones of commits.
pub(super) fn bring_tombstones(source: &Repo, copy: &Repo, commits: &BTreeSet<Checksum>) -> Result<()> {
    for commit in commits {
        let path = tombstone_of(commit).loose_path(source.mode());
        bring_file(source.objects(), copy.objects(), path.as_str())?;
    }
    Ok(())
}

/// Brings the summary, its signature and the index of summaries, if it lists exactly the refs that are copied. Returns
/// whether it does.
pub(super) fn bring_summary(source: &Repo, copy: &Repo, refs: &BTreeMap<RefKey, Checksum>) -> Result<bool> {
    let root = copy.root();
    if !bring_file(source.root(), root, SUMMARY[0])? {
        return Ok(false);
    }
    let read = root.read(SUMMARY[0], MAX_METADATA_SIZE);
    let bytes = read.map_err(RepoError::io("read", root.path_of(SUMMARY[0])))?;
    let listed = Summary::parse(&bytes).and_then(|summary| summary.all_refs());
    let expected = expected(source, refs)?;
    if !listed.is_ok_and(|listed| listed == expected) {
        root.unlink(SUMMARY[0])
            .map_err(RepoError::io("remove", root.path_of(SUMMARY[0])))?;
        return Ok(false);
    }
    for file in SUMMARY.iter().skip(1) {
        bring_file(source.root(), root, file)?;
    }
    bring_tree(source.root(), root, "summaries")?;
    Ok(true)
}

/// Returns the refs as a summary of the source lists them.
fn expected(source: &Repo, refs: &BTreeMap<RefKey, Checksum>) -> Result<BTreeMap<CollectionRef, Checksum>> {
    let own = source.config().collection_id();
    let mut listed = BTreeMap::new();
    for (key, commit) in refs {
        let (collection, name) = match key {
            RefKey::Collection(name) => (name.collection.clone(), name.name.clone()),
            RefKey::Refspec(refspec) => match &refspec.remote {
                None => (None, refspec.name.clone()),
                Some(remote) => match source.config().remote_collection_id(remote)? {
                    Some(id) => (Some(id), refspec.name.clone()),
                    None => continue,
                },
            },
        };
        let collection = collection.filter(|id| Some(id) != own);
        let is_mirror = matches!(key, RefKey::Collection(_)) && collection.is_some();
        let name = CollectionRef { collection, name };
        // What is mirrored goes before what a remote had, and comes behind it.
        if is_mirror {
            listed.insert(name, *commit);
        } else {
            listed.entry(name).or_insert(*commit);
        }
    }
    Ok(listed)
}

/// Writes the configuration: of the source's settings those that concern the objects.
pub(super) fn write_config(source: &Repo, copy: &Repo) -> Result<()> {
    copy.edit_config(|file| {
        for (group, keys) in SETTINGS {
            for key in keys {
                if let Some(value) = source.config().keyfile().get(group, key)? {
                    file.set(group, key, &value)?;
                }
            }
        }
        Ok(())
    })
}

/// Marks the copy as a snapshot.
pub(super) fn write_mark(source: &Repo, copy: &Repo) -> Result<()> {
    let path = std::path::absolute(source.path()).unwrap_or_else(|_| source.path().to_path_buf());
    let mark = Mark {
        source: path.to_string_lossy().into_owned(),
    };
    let mut bytes =
        serde_json::to_vec(&mark).map_err(|fault| RepoError::invalid("mark", fault.to_string()))?;
    bytes.push(b'\n');
    let root = copy.root();
    let write = || {
        make_holder(root, MARK)?;
        root.replace(MARK, &bytes, FILE_MODE, false)
    };
    write().map_err(RepoError::io("write", root.path_of(MARK)))
}

/// Brings all files of a directory; none where there is none.
fn bring_tree(from: &Dir, to: &Dir, path: &str) -> Result<()> {
    let failed = || RepoError::io("list", from.path_of(path));
    let Some(dir) = from.open_dir_if_exists(path).map_err(failed())? else {
        return Ok(());
    };
    for name in entries(&dir)? {
        bring_file(from, to, format!("{path}/{name}"))?;
    }
    Ok(())
}

/// Brings a file, by a link or as a copy; `false` where there is none.
fn bring_file(from: &Dir, to: &Dir, path: impl AsRef<str>) -> Result<bool> {
    let path = path.as_ref();
    link_or_copy(from, to, path).map_err(RepoError::io("bring", from.path_of(path)))
}

fn link_or_copy(from: &Dir, to: &Dir, path: &str) -> io::Result<bool> {
    let stat = from.stat(path)?;
    if stat.is_none_or(|stat| stat.kind != FileKind::Regular) {
        return Ok(false);
    }
    make_holder(to, path)?;
    match to.link_from(path, from, path) {
        Ok(Linked::New | Linked::Exists) => return Ok(true),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(fault) if is_link_refusal(&fault) => {}
        Err(fault) => return Err(fault),
    }
    let mut temp = to.temp_file(FILE_MODE)?;
    io::copy(&mut from.open_file(path)?, &mut temp)?;
    to.link_temp(temp, path).map(|_| true)
}

fn make_holder(to: &Dir, path: &str) -> io::Result<()> {
    match path.rsplit_once('/') {
        Some((holder, _)) => to.ensure_dir(holder, DIR_MODE).map(drop),
        None => Ok(()),
    }
}
