//! Reading all that is needed, and fetching what is not there or not sound.

use super::{RepairOptions, RepairReport};
use crate::error::{RepoError, Result};
use crate::fsck::{Damage, check, gathered::Gathered};
use crate::parallel::spread;
use crate::partial::Partial;
use crate::refs::RefKey;
use crate::repo::Repo;
use crate::transaction::{Transaction, Trust};
use crate::walk::leaves;
use ostler_format::{Checksum, Commit, DirTree, ObjectName, ObjectType};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A repair in progress.
pub(super) struct Mender<'a> {
    repo: &'a Repo,
    sources: &'a [Repo],
    /// `None` where nothing is to be changed.
    transaction: Option<&'a Transaction<'a>>,
    options: RepairOptions,
    found: Mutex<Found>,
}

/// What was wrong.
#[derive(Default)]
pub(super) struct Found {
    pub(super) mended: BTreeMap<ObjectName, (Damage, usize)>,
    /// With the positions of the sources that have it, damaged.
    pub(super) lost: BTreeMap<ObjectName, (Damage, BTreeSet<usize>)>,
}

/// What one thread read of a level of trees.
#[derive(Default)]
struct Level {
    trees: Vec<Checksum>,
    metas: Vec<Checksum>,
    files: Vec<Checksum>,
}

impl<'a> Mender<'a> {
    pub(super) fn new(
        repo: &'a Repo,
        sources: &'a [Repo],
        transaction: Option<&'a Transaction<'a>>,
        options: RepairOptions,
    ) -> Self {
        Self {
            repo,
            sources,
            transaction,
            options,
            found: Mutex::default(),
        }
    }

    pub(super) fn finish(self) -> Found {
        self.found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all commits that are here or that a ref names, after those that are not sound were brought back.
    pub(super) fn commits(
        &self,
        refs: &[(RefKey, Checksum)],
        report: &mut RepairReport,
    ) -> Result<BTreeMap<Checksum, Commit>> {
        let mut names: BTreeSet<Checksum> = refs.iter().map(|(_, commit)| *commit).collect();
        names.extend(self.repo.list_commits(self.options.threads)?);
        report.objects += names.len() as u64;
        let mut commits = BTreeMap::new();
        for checksum in names {
            let name = ObjectName::new(checksum, ObjectType::Commit);
            let commit = match check::commit(self.repo, &checksum)? {
                Ok(commit) => Some(commit),
                Err(damage) => self
                    .fetch(&name, damage)?
                    .map(|source| self.fetched_commit(&name, source))
                    .transpose()?,
            };
            commits.extend(commit.map(|commit| (checksum, commit)));
        }
        Ok(commits)
    }

    /// Returns a commit that was brought back, with its detached metadata where there was none.
    fn fetched_commit(&self, name: &ObjectName, source: &Repo) -> Result<Commit> {
        let metadata = ObjectName::new(name.checksum, ObjectType::CommitMeta);
        if let Some(transaction) = self.transaction
            && !self.repo.has_object(&metadata)?
            && source.has_object(&metadata)?
        {
            transaction.import_object(&metadata, source, Trust::Verify)?;
        }
        let bytes = self.load(name, source)?;
        Commit::parse(&bytes).map_err(RepoError::format(format!("object {name}")))
    }

    /// Looks at all that commits need, and brings back what is not sound.
    pub(super) fn mend<'c>(
        &self,
        commits: impl Iterator<Item = &'c Commit>,
        report: &mut RepairReport,
    ) -> Result<()> {
        let (trees, metas, files) = self.mend_trees(commits)?;
        let others = leaves(metas, files);
        report.objects += trees + others.len() as u64;
        let never = AtomicBool::new(false);
        let look = |(): &mut (), name: &ObjectName| {
            let damage = match name.kind {
                ObjectType::DirMeta => check::dirmeta(self.repo, &name.checksum)?,
                _ if self.options.quick => check::content_quickly(self.repo, &name.checksum, None)?,
                _ => check::content(self.repo, &name.checksum)?,
            };
            if let Some(damage) = damage {
                self.fetch(name, damage)?;
            }
            Ok::<_, RepoError>(())
        };
        spread(&others, self.options.threads, &never, || (), look, |_| {}).map(drop)
    }

    /// Reads all trees. Returns their number, and the dirmetas and files they name, sorted.
    fn mend_trees<'c>(
        &self,
        commits: impl Iterator<Item = &'c Commit>,
    ) -> Result<(u64, Vec<Checksum>, Vec<Checksum>)> {
        let mut seen = HashSet::new();
        let mut metas = Gathered::default();
        let mut files = Gathered::default();
        let mut level = Vec::new();
        for commit in commits {
            metas.extend([commit.root_meta]);
            level.extend(seen.insert(commit.root_tree).then_some(commit.root_tree));
        }
        let never = AtomicBool::new(false);
        while !level.is_empty() {
            let read = |state: &mut Level, tree: &Checksum| self.read_tree(tree, state);
            let states = spread(&level, self.options.threads, &never, Level::default, read, |_| {})?;
            level.clear();
            for state in states {
                level.extend(state.trees.into_iter().filter(|tree| seen.insert(*tree)));
                metas.extend(state.metas);
                files.extend(state.files);
            }
        }
        Ok((seen.len() as u64, metas.finish(), files.finish()))
    }

    fn read_tree(&self, checksum: &Checksum, level: &mut Level) -> Result<()> {
        let tree = match check::dirtree(self.repo, checksum)? {
            Ok(tree) => tree,
            Err(damage) => {
                let name = ObjectName::new(*checksum, ObjectType::DirTree);
                let Some(source) = self.fetch(&name, damage)? else {
                    return Ok(());
                };
                let bytes = self.load(&name, source)?;
                DirTree::parse(&bytes).map_err(RepoError::format(format!("object {name}")))?
            }
        };
        level.trees.extend(tree.dirs.iter().map(|dir| dir.tree));
        level.metas.extend(tree.dirs.iter().map(|dir| dir.meta));
        level.files.extend(tree.files.iter().map(|file| file.checksum));
        Ok(())
    }

    /// Brings an object from the first source that has it sound, and notes the outcome. Returns that source.
    fn fetch(&self, name: &ObjectName, damage: Damage) -> Result<Option<&'a Repo>> {
        let mut damaged_at = BTreeSet::new();
        for (number, source) in self.sources.iter().enumerate() {
            if !source.has_object(name)? {
                continue;
            }
            let brought = match self.transaction {
                None => source.verify_object(name),
                Some(transaction) => {
                    if damage != Damage::Missing {
                        transaction.replace_damaged(*name);
                    }
                    copy(transaction, name, source)
                }
            };
            match brought {
                Ok(()) => {
                    self.found().mended.insert(*name, (damage, number));
                    return Ok(Some(source));
                }
                // The source is damaged there as well.
                Err(error) if error.is_damage() => {
                    damaged_at.insert(number);
                }
                Err(error) => return Err(error),
            }
        }
        self.found().lost.insert(*name, (damage, damaged_at));
        Ok(None)
    }

    /// Returns the bytes of an object that was brought, or would be.
    fn load(&self, name: &ObjectName, source: &Repo) -> Result<Vec<u8>> {
        match self.transaction {
            Some(transaction) => transaction.load_metadata(name),
            None => source.load_metadata(name),
        }
    }
}

/// Copies an object, and hashes it on the way. Not by a link: what is repaired is to have nothing in common with where it came
/// from, so that the next damage is not that of both.
fn copy(transaction: &Transaction<'_>, name: &ObjectName, source: &Repo) -> Result<()> {
    if name.kind != ObjectType::File {
        return transaction.import_object(name, source, Trust::Verify).map(drop);
    }
    let owner = source.owner_of(name)?;
    if owner.mode().is_archive() {
        let (mut file, size) = owner.open_stored(name)?;
        return transaction
            .write_archived(&name.checksum, size, &mut file)
            .map(drop);
    }
    let mut content = owner.open_content(&name.checksum)?;
    let (header, size) = (content.header().clone(), content.size());
    let written = transaction.write_content(&header, size, &mut content, Some(name.checksum));
    written.map(drop)
}

/// Returns whether a mark says that objects of a commit are missing on purpose.
pub(super) fn is_on_purpose(partial: Option<Partial>) -> bool {
    partial == Some(Partial::Incomplete)
}
