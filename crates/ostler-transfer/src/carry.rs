//! Files beside the objects that are carried as they are: static deltas and their indexes, digest-named summaries.
//!
//! A delta is carried if the target has the commit that it leads to, and the source's history as well; never a signed one, which
//! clients cannot read. Order: parts, then the superblock that names them, then the index that names the superblock, so that a client
//! never finds a name without what it names. A delta of which the source lacks a part is refused, and so is one of which the
//! index says another digest than its superblock has.

use crate::error::{Result, TransferError};
use crate::history::History;
use crate::plan::CarriedFile;
use crate::planner::{Planner, Published};
use crate::store::Store;
use crate::summaries::{self, Named};
use ostler_format::delta::{SignedSuperblock, Superblock};
use ostler_format::{Checksum, DeltaList, DeltaName, delta_index_path};
use ostler_repo::RepoError;
use ostler_repo::fs::Dir;
use std::collections::{BTreeMap, BTreeSet};

/// The largest superblock or index that is compared, in bytes: the limit of clients.
pub(crate) const LIMIT: u64 = 128 << 20;

/// The deltas of the source to a commit, with the digests of those that are carried.
type Found = BTreeMap<DeltaName, Option<Checksum>>;

/// The deltas that a publish carries.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    /// The files that are new or have changed, in the order of putting.
    pub(crate) files: Vec<CarriedFile>,
    /// What the target will have of the source's, with the digests of superblocks.
    pub(crate) carried: DeltaList,
}

/// Returns what is carried of deltas.
pub(crate) fn deltas(planner: &Planner<'_>, history: &History, published: &Published<'_>) -> Result<Deltas> {
    let root = planner.source.root();
    let mut files = Vec::new();
    let mut found: BTreeMap<Checksum, Found> = BTreeMap::new();
    for first in names(root, "deltas")? {
        for second in names(root, &format!("deltas/{first}"))? {
            let Some(delta) = DeltaName::from_path(&first, &second) else {
                continue;
            };
            if history.link(&delta.to).is_some() && published.has(&delta.to)? {
                let carried = add_delta(planner, &delta, &mut files)?;
                found.entry(delta.to).or_default().insert(delta, carried);
            }
        }
    }
    let mut carried = DeltaList::default();
    for (to, deltas) in found {
        check_index(planner, &to, &deltas)?;
        add_if_changed(planner, &delta_index_path(&to), &mut files)?;
        let digests = deltas.into_iter();
        carried
            .0
            .extend(digests.filter_map(|(name, digest)| Some((name, digest?))));
    }
    Ok(Deltas { files, carried })
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

/// Adds what the target lacks of a delta. Returns the digest of its superblock, unless it is not carried.
fn add_delta(
    planner: &Planner<'_>,
    delta: &DeltaName,
    files: &mut Vec<CarriedFile>,
) -> Result<Option<Checksum>> {
    let root = planner.source.root();
    let dir = delta.path();
    let path = format!("{dir}/superblock");
    let Some(bytes) = read(root, &path)?.filter(|bytes| !SignedSuperblock::is_signed(bytes)) else {
        return Ok(None);
    };
    let same = planner.store.get(&path, LIMIT)?.as_ref() == Some(&bytes);
    let there: BTreeSet<String> = if same {
        let entries = planner.store.list(&dir)?.into_iter();
        entries.map(|entry| entry.name).collect()
    } else {
        BTreeSet::new()
    };
    let failed = || TransferError::format(format!("{path} of the source"));
    let superblock = Superblock::parse_up_to(&bytes, LIMIT).map_err(failed())?;
    for (index, part) in superblock.parts.iter().enumerate() {
        let inline = superblock.inline_part(index).map_err(failed())?;
        if inline.is_none() && !there.contains(&index.to_string()) {
            let part_path = format!("{dir}/{index}");
            let stat = root
                .stat(&part_path)
                .map_err(RepoError::io("look at", root.path().join(&part_path)))?;
            if stat.is_none_or(|stat| stat.size != part.size) {
                let detail =
                    format!("part {index} is missing or has another size; generate or delete the delta");
                return Err(RepoError::corrupt(format!("static delta {delta} of the source"), detail).into());
            }
            add(root, part_path, files)?;
        }
    }
    if !same {
        add(root, path, files)?;
    }
    Ok(Some(Checksum::of(&bytes)))
}

/// Refuses an index that says another digest of a delta than its superblock has: clients would fail. (Those of a source that can be
/// written to are made anew before.) Without one in the
/// source that of the target stays.
fn check_index(planner: &Planner<'_>, to: &Checksum, deltas: &Found) -> Result<()> {
    let path = delta_index_path(to);
    let (bytes, own) = match read(planner.source.root(), &path)? {
        Some(bytes) => (bytes, true),
        None => match planner.store.get(&path, LIMIT)? {
            Some(bytes) => (bytes, false),
            None => return Ok(()),
        },
    };
    let listed = DeltaList::parse_index(&bytes).map_err(TransferError::format(&path))?;
    let wrong = listed.0.iter().find(|(name, digest)| match deltas.get(name) {
        None => false,
        Some(None) => own,
        Some(Some(found)) => found != digest && !(own && planner.mends_indexes),
    });
    match wrong {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!(
                "does not fit static delta {name} of the source; 'static-delta reindex' in the source makes it anew"
            );
            Err(RepoError::invalid(path, detail).into())
        }
    }
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
        .map_err(RepoError::io("read", root.path().join(path)))?)
}

fn add(root: &Dir, path: String, files: &mut Vec<CarriedFile>) -> Result<()> {
    let found = root
        .stat(&path)
        .map_err(RepoError::io("look at", root.path().join(&path)))?;
    if let Some(stat) = found {
        files.push(CarriedFile {
            path,
            size: stat.size,
        });
    }
    Ok(())
}

fn names(root: &Dir, path: &str) -> Result<Vec<String>> {
    let failed = |fault| RepoError::io("list", root.path().join(path))(fault);
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

/// Returns the deltas of a store that clients can read, with the checksums of their superblocks, sorted.
pub(crate) fn digests(store: &dyn Store) -> Result<DeltaList> {
    let mut found = Vec::new();
    for first in store.list("deltas")? {
        for second in store.list(&format!("deltas/{}", first.name))? {
            let Some(delta) = DeltaName::from_path(&first.name, &second.name) else {
                continue;
            };
            let bytes = store.get(&format!("{}/superblock", delta.path()), LIMIT)?;
            if let Some(bytes) = bytes.filter(|bytes| !SignedSuperblock::is_signed(bytes)) {
                found.push((delta, Checksum::of(&bytes)));
            }
        }
    }
    found.sort_unstable();
    Ok(DeltaList(found))
}
