//! What a target claims to have, all of it read and hashed: commits in place, those that its refs and pinned generations name, their
//! trees and content, detached metadata, parts of static deltas. Reads only.
//!
//! What is not sound is a hole that a publish fills, if the source has it sound, or else lost. A tree that the target has lost is
//! followed where the source has it. Commits that the target marks as incomplete claim nothing, unless a ref or a pin names them.
//! Others may be at work: only what a commit still needs counts that is there, or named, when all has been read.

mod needs;

use crate::carry;
use crate::check::in_parallel;
use crate::error::{Result, TransferError};
use crate::generation::{Generation, Listing};
use crate::inventory::Inventory;
use crate::plan::Plan;
use crate::refs;
use crate::store::{Item, Store, object_path};
use needs::Needs;
use ostler_format::delta::{SignedSuperblock, Superblock};
use ostler_format::{Checksum, Commit, DeltaName, DirTree, ObjectName, ObjectType};
use ostler_repo::{ObjectList, Repo, RepoError};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The largest commit or dirtree, in bytes: the limit of clients.
const LIMIT: u64 = 128 << 20;

/// Something that the target claims to have and has not, or has damaged, and that the source does not have sound either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What it is.
    pub item: Item,
    /// Whether it is not there at all.
    pub missing: bool,
    /// The commits that need it.
    pub commits: Vec<Checksum>,
    /// The refs and pinned generations that lead to these, as a user knows them; none where nothing does.
    pub needed_by: Vec<String>,
}

/// What is not as the target claims.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Objects that the source has sound.
    pub(crate) holes: BTreeSet<ObjectName>,
    lost: Vec<Lost>,
}

impl Claims {
    /// Reads all that the target claims to have.
    pub(crate) fn check(source: &Repo, store: &dyn Store, inventory: &Inventory) -> Result<Self> {
        let roots = roots(store, inventory)?;
        let reading = Reading { source, store };
        let found = reading.all(&claimed(store, inventory, &roots)?)?;
        let mut claims = Self::default();
        if !found.is_empty() {
            let unsound: BTreeSet<_> = found.iter().map(|odd| odd.name).collect();
            let commits = claimed(store, inventory, &roots)?;
            let needs = Needs::find(&reading, &commits, &unsound)?;
            for odd in found {
                let Some(commits) = needs.of(&odd.name) else {
                    continue;
                };
                if odd.has_source {
                    claims.holes.insert(odd.name);
                } else {
                    claims.lost.push(Lost {
                        item: Item::Object(odd.name),
                        missing: store.look(&odd.name)?.is_none(),
                        needed_by: needs.labels(&roots, &commits),
                        commits,
                    });
                }
            }
        }
        claims.lost.extend(lost_parts(store)?);
        Ok(claims)
    }

    /// Returns what is lost of what refs that move will lead to: no ref is to move to it.
    pub(crate) fn relied_on(&self, moved: &[Arc<ObjectList>]) -> BTreeSet<ObjectName> {
        let object = |lost: &Lost| match lost.item {
            Item::Object(name) => Some(name),
            Item::File(_) => None,
        };
        let lost: BTreeSet<_> = self.lost.iter().filter_map(object).collect();
        if lost.is_empty() {
            return lost;
        }
        let needed = moved.iter().flat_map(|list| list.names());
        needed.filter(|name| lost.contains(name)).collect()
    }

    /// Returns what is lost also when a plan was carried out.
    pub(crate) fn lost_after(&self, plan: &Plan) -> Vec<Lost> {
        let is_replaced = |lost: &&Lost| match &lost.item {
            Item::Object(name) if name.kind == ObjectType::CommitMeta => {
                (plan.detached.iter()).any(|update| update.commit == name.checksum)
            }
            Item::Object(name) => plan.objects.iter().any(|added| added.name == *name),
            Item::File(path) => plan.files.iter().any(|file| file.path == *path),
        };
        let lost = self.lost.iter().filter(|lost| !is_replaced(lost));
        lost.cloned().collect()
    }
}

/// What leads to commits, as a user knows it, with the commit that it names.
type Roots = Vec<(String, Checksum)>;

fn roots(store: &dyn Store, inventory: &Inventory) -> Result<Roots> {
    let mut roots: Roots = (inventory.refs.iter())
        .map(|(name, tip)| (format!("'{name}'"), *tip))
        .collect();
    let tracked = refs::of_remotes(store)?.into_iter();
    roots.extend(tracked.map(|tip| ("a ref of a remote".to_owned(), tip)));
    for number in Listing::read(store)?.pinned {
        let record = Generation::read(store, number)?;
        let tips = record.into_iter().flat_map(|record| record.refs.into_values());
        let tips = tips.filter_map(|hex| Checksum::from_hex(&hex).ok());
        roots.extend(tips.map(|tip| (format!("generation {number}"), tip)));
    }
    Ok(roots)
}

/// Returns the commits that the target claims to have whole.
fn claimed(store: &dyn Store, inventory: &Inventory, roots: &Roots) -> Result<Vec<Checksum>> {
    let there = store.list_commits()?.into_iter();
    let mut commits: BTreeSet<_> = there
        .filter(|commit| !inventory.partial.contains(commit))
        .collect();
    commits.extend(roots.iter().map(|(_, tip)| *tip));
    Ok(commits.into_iter().collect())
}

/// An object that is missing at the target, or not what its name says.
#[derive(Debug, Clone, Copy)]
struct Odd {
    name: ObjectName,
    /// Whether the source has it sound.
    has_source: bool,
}

/// Where objects are read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    source: &'a Repo,
    store: &'a dyn Store,
}

/// What was read of an object that names others; `None` where neither side has it sound.
struct Read<T> {
    contents: Option<T>,
    odd: Option<Odd>,
}

impl Reading<'_> {
    /// Reads commits with all that they need, each object once; returns what is not sound.
    fn all(&self, commits: &[Checksum]) -> Result<Vec<Odd>> {
        let mut odd = Vec::new();
        let mut leaves = Vec::new();
        let mut level = Vec::new();
        for (checksum, read) in in_parallel(self.store, commits, |commit| {
            Ok(Some((*commit, self.commit(commit)?)))
        })? {
            odd.extend(read.odd);
            if let Some(commit) = read.contents {
                level.push(commit.root_tree);
                leaves.push(ObjectName::new(commit.root_meta, ObjectType::DirMeta));
            }
            let detached = ObjectName::new(checksum, ObjectType::CommitMeta);
            if self.store.look(&detached)?.is_some() {
                leaves.push(detached);
            }
        }
        let mut followed = HashSet::new();
        loop {
            level.retain(|tree| followed.insert(*tree));
            if level.is_empty() {
                break;
            }
            let trees = in_parallel(self.store, &level, |tree| self.tree(tree).map(Some))?;
            level.clear();
            for read in trees {
                odd.extend(read.odd);
                let Some(tree) = read.contents else { continue };
                let files = tree.files.iter().map(|file| file.checksum);
                leaves.extend(files.map(|file| ObjectName::new(file, ObjectType::File)));
                let metas = tree.dirs.iter().map(|dir| dir.meta);
                leaves.extend(metas.map(|meta| ObjectName::new(meta, ObjectType::DirMeta)));
                level.extend(tree.dirs.iter().map(|dir| dir.tree));
            }
            leaves.sort_unstable();
            leaves.dedup();
        }
        leaves.sort_unstable();
        leaves.dedup();
        odd.extend(in_parallel(self.store, &leaves, |name| self.leaf(name))?);
        Ok(odd)
    }

    fn commit(&self, checksum: &Checksum) -> Result<Read<Commit>> {
        self.read(ObjectName::new(*checksum, ObjectType::Commit), Commit::parse)
    }

    fn tree(&self, checksum: &Checksum) -> Result<Read<DirTree>> {
        self.read(ObjectName::new(*checksum, ObjectType::DirTree), DirTree::parse)
    }

    /// Reads an object of the target, or in its place that of the source.
    fn read<T>(
        &self,
        name: ObjectName,
        parse: impl Fn(&[u8]) -> Result<T, ostler_format::FormatError>,
    ) -> Result<Read<T>> {
        let sound = |bytes: Vec<u8>| {
            let named = Checksum::of(&bytes) == name.checksum;
            parse(&bytes).ok().filter(|_| named)
        };
        let too_large = self.store.look(&name)?.is_some_and(|size| size > LIMIT);
        let there = if too_large {
            None
        } else {
            self.store.get(&object_path(name), LIMIT)?
        };
        if let Some(contents) = there.and_then(sound) {
            return Ok(Read {
                contents: Some(contents),
                odd: None,
            });
        }
        let contents = if_undamaged(self.source.load_metadata(&name))?.and_then(sound);
        let odd = Some(Odd {
            name,
            has_source: contents.is_some(),
        });
        Ok(Read { contents, odd })
    }

    fn leaf(&self, name: &ObjectName) -> Result<Option<Odd>> {
        if self.store.verify(name)? {
            return Ok(None);
        }
        // Detached metadata is carried by rules of its own.
        let has_source = name.kind != ObjectType::CommitMeta
            && if_undamaged(self.source.verify_object_quickly(name))?.is_some();
        Ok(Some(Odd {
            name: *name,
            has_source,
        }))
    }
}

fn if_undamaged<T>(read: Result<T, RepoError>) -> Result<Option<T>> {
    match read {
        Err(error) if error.is_damage() => Ok(None),
        read => Ok(Some(read?)),
    }
}

/// Returns the parts that the target's static deltas name and that are not there. A delta that has gone meanwhile claims nothing.
fn lost_parts(store: &dyn Store) -> Result<Vec<Lost>> {
    let mut lost = Vec::new();
    for first in store.list("deltas")? {
        for second in store.list(&format!("deltas/{}", first.name))? {
            let Some(delta) = DeltaName::from_path(&first.name, &second.name) else {
                continue;
            };
            let missing = missing_parts(store, &delta)?;
            lost.extend(missing.into_iter().map(|part| Lost {
                item: Item::File(part),
                missing: true,
                commits: vec![delta.to],
                needed_by: Vec::new(),
            }));
        }
    }
    Ok(lost)
}

fn missing_parts(store: &dyn Store, delta: &DeltaName) -> Result<Vec<String>> {
    let path = format!("{}/superblock", delta.path());
    let superblock = || -> Result<Option<Vec<u8>>> {
        let bytes = store.get(&path, carry::LIMIT)?;
        Ok(bytes.filter(|bytes| !SignedSuperblock::is_signed(bytes)))
    };
    let Some(bytes) = superblock()? else {
        return Ok(Vec::new());
    };
    let failed = || TransferError::format(format!("{path} of {}", store.describe()));
    let parsed = Superblock::parse_up_to(&bytes, carry::LIMIT).map_err(failed())?;
    let there: BTreeSet<_> = (store.list(&delta.path())?.into_iter())
        .map(|entry| entry.name)
        .collect();
    let mut missing = Vec::new();
    for index in 0..parsed.parts.len() {
        let is_inline = parsed.inline_part(index).map_err(failed())?.is_some();
        if !is_inline && !there.contains(&index.to_string()) {
            missing.push(format!("{}/{index}", delta.path()));
        }
    }
    if !missing.is_empty() && superblock()?.as_ref() != Some(&bytes) {
        missing.clear();
    }
    Ok(missing)
}
