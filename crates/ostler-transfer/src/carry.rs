//! Files beside the objects that are carried as they are: static deltas and their indexes, digest-named summaries.
//!
//! A delta is carried if the target has the commit that it leads to, and the source's history as well. Order: parts, then the superblock that names
//! them, then the index that names the superblock, so that a client never finds a name without what it names.

use crate::error::Result;
use crate::history::History;
use crate::plan::CarriedFile;
use crate::planner::{Planner, Published};
use crate::store::Store;
use crate::summaries::{self, Named};
use ostler_format::{Checksum, DeltaList, DeltaName, delta_index_path};
use ostler_repo::fs::Dir;
use std::collections::BTreeSet;

/// The largest superblock or index that is compared, in bytes: the limit of clients.
const LIMIT: u64 = 128 << 20;

/// Returns the files of all deltas that are new or have changed, in the order of putting.
pub(crate) fn deltas(
    planner: &Planner<'_>,
    history: &History,
    published: &Published<'_>,
) -> Result<Vec<CarriedFile>> {
    let root = planner.source.root();
    let mut files = Vec::new();
    let mut targets = BTreeSet::new();
    for first in names(root, "deltas")? {
        for second in names(root, &format!("deltas/{first}"))? {
            let dir = format!("deltas/{first}/{second}");
            let Some(delta) = DeltaName::from_path(&first, &second) else {
                continue;
            };
            if history.link(&delta.to).is_some() && published.has(&delta.to)? {
                targets.insert(delta.to);
                add_delta(planner, &dir, &mut files)?;
            }
        }
    }
    for to in targets {
        add_if_changed(planner, &delta_index_path(&to), &mut files)?;
    }
    Ok(files)
}

/// Returns the files that Flatpak's summary index names, as far as the target lacks them. Their names are digests.
pub(crate) fn indexed(planner: &Planner<'_>, index: &[u8]) -> Result<Vec<CarriedFile>> {
    let root = planner.source.root();
    let there: BTreeSet<_> = planner
        .store
        .list(summaries::DIR)?
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    let mut files = Vec::new();
    let own = names(root, summaries::DIR)?.into_iter();
    for (name, needed) in Named::by(index).among(own) {
        if needed && !there.contains(&name) {
            add(root, format!("{}/{name}", summaries::DIR), &mut files)?;
        }
    }
    Ok(files)
}

fn add_delta(planner: &Planner<'_>, dir: &str, files: &mut Vec<CarriedFile>) -> Result<()> {
    let root = planner.source.root();
    let superblock = format!("{dir}/superblock");
    if !changed(planner, &superblock)? {
        return Ok(());
    }
    for part in names(root, dir)?
        .into_iter()
        .filter(|name| name.bytes().all(|digit| digit.is_ascii_digit()))
    {
        add(root, format!("{dir}/{part}"), files)?;
    }
    add(root, superblock, files)
}

fn add_if_changed(planner: &Planner<'_>, path: &str, files: &mut Vec<CarriedFile>) -> Result<()> {
    if changed(planner, path)? {
        add(planner.source.root(), path.to_owned(), files)
    } else {
        Ok(())
    }
}

/// Returns whether the source has the file and the target has not the same bytes.
fn changed(planner: &Planner<'_>, path: &str) -> Result<bool> {
    let root = planner.source.root();
    let Some(bytes) = read(root, path)? else {
        return Ok(false);
    };
    Ok(planner.store.get(path, LIMIT)?.as_ref() != Some(&bytes))
}

pub(crate) fn read(root: &Dir, path: &str) -> Result<Option<Vec<u8>>> {
    Ok(root
        .read_if_exists(path, LIMIT)
        .map_err(ostler_repo::RepoError::io("read", root.path().join(path)))?)
}

fn add(root: &Dir, path: String, files: &mut Vec<CarriedFile>) -> Result<()> {
    let found = root
        .stat(&path)
        .map_err(ostler_repo::RepoError::io("look at", root.path().join(&path)))?;
    if let Some(stat) = found {
        files.push(CarriedFile {
            path,
            size: stat.size,
        });
    }
    Ok(())
}

fn names(root: &Dir, path: &str) -> Result<Vec<String>> {
    let failed = |fault| ostler_repo::RepoError::io("list", root.path().join(path))(fault);
    let dir = match root.open_dir(path) {
        Ok(dir) => dir,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(failed(fault).into()),
    };
    let mut names: Vec<_> = (dir.entries().map_err(failed)?.into_iter())
        .filter_map(|entry| entry.name.into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Returns the deltas of a store with the checksums of their superblocks, sorted.
pub(crate) fn digests(store: &dyn Store) -> Result<DeltaList> {
    let mut found = Vec::new();
    for first in store.list("deltas")? {
        for second in store.list(&format!("deltas/{}", first.name))? {
            let Some(delta) = DeltaName::from_path(&first.name, &second.name) else {
                continue;
            };
            if let Some(bytes) = store.get(&format!("{}/superblock", delta.path()), LIMIT)? {
                found.push((delta, Checksum::of(&bytes)));
            }
        }
    }
    found.sort_unstable();
    Ok(DeltaList(found))
}
