//! Removing the objects that are not marked, commits first; see [`super`] for the order.
//!
//! Commits go one after the other, the rest by several threads, each in a prefix directory of its own.

use super::inventory::Inventory;
use super::{PruneOptions, leftovers};
use crate::error::{RepoError, Result};
use crate::fs::FileKind;
use crate::objects::prefixes::{file_name, prefix_of};
use crate::parallel::spread;
use crate::repo::Repo;
use crate::settle::sync_prefixes;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

/// Objects that were removed, or measured, and the bytes of their files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub objects: u64,
    /// The bytes of their files.
    pub bytes: u64,
}

/// The types of objects that go together, in this order, when the commits are gone.
const PHASES: [&[ObjectType]; 2] = [
    &[ObjectType::DirTree, ObjectType::DirMeta],
    &[ObjectType::File, ObjectType::PayloadLink],
];

/// All types that go.
const ALL: &[ObjectType] = &[
    ObjectType::Commit,
    ObjectType::DirTree,
    ObjectType::DirMeta,
    ObjectType::File,
    ObjectType::PayloadLink,
];

/// Returns how much [`sweep`] would remove.
pub(super) fn measure(repo: &Repo, inventory: &Inventory, options: &PruneOptions) -> Result<Tally> {
    each(inventory, ALL, options.threads, |name| {
        Ok(size_of(repo, name)?.unwrap_or_default())
    })
}

/// Removes what is not marked. How much that is may be `measured` already.
pub(super) fn sweep(
    repo: &Repo,
    inventory: &Inventory,
    tombstones: bool,
    measured: Option<Tally>,
    options: &PruneOptions,
) -> Result<Tally> {
    let size = |name: &ObjectName| match measured {
        Some(_) => Ok(0),
        None => size_of(repo, name).map(Option::unwrap_or_default),
    };
    let mut tally = sweep_commits(repo, inventory, tombstones, options.deleted_commit(), size)?;
    for phase in PHASES {
        let removed = each(inventory, phase, options.threads, |name| {
            let bytes = size(name)?;
            repo.loose().remove(name)?;
            Ok(bytes)
        })?;
        tally.add(removed);
    }
    Ok(measured.unwrap_or(tally))
}

/// Removes commits, and what belongs to them alone. One that was named is counted by nobody.
fn sweep_commits(
    repo: &Repo,
    inventory: &Inventory,
    tombstones: bool,
    deleted: Option<&Checksum>,
    size: impl Fn(&ObjectName) -> Result<u64>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut gone: Vec<Checksum> = Vec::new();
    for prefix in 0..=u8::MAX {
        for name in inventory
            .unmarked(prefix)
            .filter(|name| name.kind == ObjectType::Commit)
        {
            if tombstones {
                repo.write_tombstone(&name.checksum)?;
            }
            let bytes = size(name)?;
            let metadata = ObjectName::new(name.checksum, ObjectType::CommitMeta);
            repo.loose().remove(&metadata)?;
            repo.loose().remove(name)?;
            if deleted != Some(&name.checksum) {
                tally.add(Tally { objects: 1, bytes });
            }
            gone.push(name.checksum);
        }
    }
    let by_name = deleted.is_some_and(|commit| gone.contains(commit));
    if !gone.is_empty() && repo.config().fsync() && (by_name || !keeps_order(repo)?) {
        let touched: BTreeSet<u8> = gone.iter().map(prefix_of).collect();
        sync_prefixes(repo.object_dirs(), &touched)
            .map_err(RepoError::io("sync directories of", repo.objects().path()))?;
    }
    leftovers::remove_marks(repo, &gone)?;
    Ok(tally)
}

fn keeps_order(repo: &Repo) -> Result<bool> {
    let objects = repo.objects();
    objects
        .keeps_order()
        .map_err(RepoError::io("look at the file system of", objects.path()))
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// Calls `work` for each unmarked object of the types, on several threads, and adds up the bytes that it returns.
fn each(
    inventory: &Inventory,
    kinds: &[ObjectType],
    threads: usize,
    work: impl Fn(&ObjectName) -> Result<u64> + Sync,
) -> Result<Tally> {
    let prefixes: Vec<u8> = (0..=u8::MAX).collect();
    let never = AtomicBool::new(false);
    let states = spread(
        &prefixes,
        threads,
        &never,
        Tally::default,
        |tally, prefix| {
            for name in inventory
                .unmarked(*prefix)
                .filter(|name| kinds.contains(&name.kind))
            {
                let bytes = work(name)?;
                tally.add(Tally { objects: 1, bytes });
            }
            Ok::<_, RepoError>(())
        },
        |_| {},
    )?;
    let mut sum = Tally::default();
    for tally in states {
        sum.add(tally);
    }
    Ok(sum)
}

pub(super) fn size_of(repo: &Repo, name: &ObjectName) -> Result<Option<u64>> {
    Ok(repo.loose().stat(name)?.map(|stat| stat.size))
}

/// Returns whether a link to a content object by its payload is to stay: that object stays, and is as large as
/// `core.payload-link-threshold`.
pub(super) fn is_payload_link_needed(repo: &Repo, inventory: &Inventory, link: &ObjectName) -> Result<bool> {
    let threshold = repo.config().payload_link_threshold();
    let Some(dir) = repo.loose().directory_of(link)? else {
        return Ok(false);
    };
    let file = file_name(link, repo.mode());
    let stat = dir
        .stat(file.as_str())
        .map_err(RepoError::io("look at", dir.path_of(file.as_str())))?;
    if stat.is_none_or(|stat| stat.kind != FileKind::Symlink) {
        return Ok(false);
    }
    let target = dir
        .read_link(file.as_str())
        .map_err(RepoError::io("read link", dir.path_of(file.as_str())))?;
    let object = target
        .to_str()
        .and_then(|target| target.strip_prefix("../")?.split_once('/'))
        .and_then(|(directory, file)| ObjectName::from_loose(directory, file));
    let Some(object) = object.filter(|object| object.kind == ObjectType::File && inventory.is_marked(object))
    else {
        return Ok(false);
    };
    Ok(size_of(repo, &object)?.is_some_and(|size| size >= threshold))
}
