//! The last phase: what the commits need, checked as it is walked.
//!
//! Trees are read level by level, so that several threads have work from the second level on; each is read
//! once however many commits share it. A damaged tree is not descended. What it takes of memory is a set of the
//! trees and sorted lists of the other checksums.
//!
//! Unless all damage is asked for, the first object that is corrupt ends the reading; which one that is of several
//! depends on the threads.

use super::gathered::Gathered;
use super::sizes::Sizes;
use super::{Check, Damage, Damaged, FsckOptions, FsckReport, check};
use crate::error::{RepoError, Result};
use crate::parallel::spread;
use crate::repo::Repo;
use crate::walk::leaves;
use ostler_format::{Checksum, Commit, ObjectName, ObjectType};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// What one thread read of a level of trees.
#[derive(Default)]
struct Level {
    trees: Vec<Checksum>,
    metas: Vec<Checksum>,
    files: Vec<Checksum>,
    damaged: Vec<(ObjectName, Damage)>,
}

impl Check<'_> {
    /// Checks all objects that `commits` need, but for the commits themselves, and returns the damaged ones.
    pub(super) fn check_reachable(
        &self,
        commits: &[(Checksum, &Commit)],
        report: &mut FsckReport,
    ) -> Result<Damaged> {
        let mut damaged = Damaged::new();
        let (trees, metas, files) = self.walk_trees(commits, &mut damaged)?;
        let before = (commits.len() as u64).saturating_add(trees);
        let others = leaves(metas, files);
        report.objects = before.saturating_add(others.len() as u64);
        self.reporter.progress(before, report.objects);
        let (repo, end) = (self.repo, self.end());
        let sizes = self.options.quick.then(|| Sizes::recorded(repo, commits));
        let states = spread(
            &others,
            self.options.threads,
            &self.stop,
            Vec::new,
            |damaged, name| {
                let damage = match name.kind {
                    ObjectType::DirMeta => check::dirmeta(repo, &name.checksum)?,
                    _ => match &sizes {
                        Some(sizes) => {
                            check::content_quickly(repo, &name.checksum, sizes.of(&name.checksum))?
                        }
                        None => check::content(repo, &name.checksum)?,
                    },
                };
                if let Some(damage) = damage {
                    end.at(&damage);
                    damaged.push((*name, damage));
                }
                Ok::<_, RepoError>(())
            },
            |taken| {
                self.reporter
                    .progress(before.saturating_add(taken as u64), report.objects);
            },
        )?;
        damaged.extend(states.into_iter().flatten());
        Ok(damaged)
    }

    /// Reads all trees. Returns their number, and the dirmetas and files they name, sorted.
    fn walk_trees(
        &self,
        commits: &[(Checksum, &Commit)],
        damaged: &mut Damaged,
    ) -> Result<(u64, Vec<Checksum>, Vec<Checksum>)> {
        let mut seen = HashSet::new();
        let mut metas = Gathered::default();
        let mut files = Gathered::default();
        metas.extend(commits.iter().map(|(_, commit)| commit.root_meta));
        let mut level: Vec<Checksum> = commits
            .iter()
            .map(|(_, commit)| commit.root_tree)
            .filter(|tree| seen.insert(*tree))
            .collect();
        while !level.is_empty() && !self.is_over() {
            let (repo, end) = (self.repo, self.end());
            let read = |state: &mut Level, tree: &Checksum| read_tree(repo, end, tree, state);
            let states = spread(
                &level,
                self.options.threads,
                &self.stop,
                Level::default,
                read,
                |_| {},
            )?;
            level.clear();
            for state in states {
                level.extend(state.trees.into_iter().filter(|tree| seen.insert(*tree)));
                metas.extend(state.metas);
                files.extend(state.files);
                damaged.extend(state.damaged);
            }
        }
        Ok((seen.len() as u64, metas.finish(), files.finish()))
    }

    fn end(&self) -> End<'_> {
        End {
            options: self.options,
            stop: &self.stop,
        }
    }
}

/// What ends the reading, for all threads.
#[derive(Clone, Copy)]
struct End<'a> {
    options: &'a FsckOptions,
    stop: &'a AtomicBool,
}

impl End<'_> {
    /// Ends it at damage that ends the check.
    fn at(self, damage: &Damage) {
        if damage.ends(self.options) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn read_tree(repo: &Repo, end: End<'_>, checksum: &Checksum, level: &mut Level) -> Result<()> {
    match check::dirtree(repo, checksum)? {
        Ok(tree) => {
            level.trees.extend(tree.dirs.iter().map(|dir| dir.tree));
            level.metas.extend(tree.dirs.iter().map(|dir| dir.meta));
            level.files.extend(tree.files.iter().map(|file| file.checksum));
        }
        Err(damage) => {
            end.at(&damage);
            let name = ObjectName::new(*checksum, ObjectType::DirTree);
            level.damaged.push((name, damage));
        }
    }
    Ok(())
}
