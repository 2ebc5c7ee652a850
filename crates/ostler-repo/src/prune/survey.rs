//! What is there, what stays, and bringing that up to date.
//!
//! A survey is taken without any lock, while others add objects and move refs, and brought up to date under the exclusive
//! lock, when nobody does. What came between the two stays, whether anything needs it or not, with all that it
//! needs: a commit without a ref that somebody is about to give one, a tree that a pull brought for a commit that was
//! partial. What was marked stays marked, even where its ref has gone since: the next prune removes it.

use super::grace::{self, Waiting};
use super::inventory::Inventory;
use super::lists::{self, Told};
use super::roots::{self, Facts, Root};
use super::seen::Clock;
use super::sweep::{self, Tally};
use super::{PruneOptions, deltas, leftovers, mark};
use crate::error::Result;
use crate::repo::Repo;
use ostler_format::{ObjectName, ObjectType};

/// The objects of a repository, those that stay marked.
pub(super) struct Survey {
    pub(super) inventory: Inventory,
    pub(super) roots: Vec<Root>,
    pub(super) facts: Facts,
    /// The sizes of what is not marked, as long as that does not change.
    pub(super) measured: Option<Tally>,
    /// What is in its grace, if there is one.
    pub(super) waiting: Option<Waiting>,
    /// Whether there was nothing to do for which others would have to be kept out.
    pub(super) idle: bool,
}

impl Survey {
    /// Lists all objects and marks those that stay.
    pub(super) fn take(repo: &Repo, options: &PruneOptions, clock: Clock) -> Result<Self> {
        let mut survey = Self::list(repo, options, clock)?;
        survey.mark(repo, options)?;
        Ok(survey)
    }

    /// Lists all objects, and the commits that stay.
    fn list(repo: &Repo, options: &PruneOptions, clock: Clock) -> Result<Self> {
        let inventory = Inventory::list(repo, options.commits_only, options.threads, clock)?;
        let mut facts = Facts::new();
        let roots = roots::collect(repo, &inventory, options, &mut facts)?;
        Ok(Self {
            inventory,
            roots,
            facts,
            measured: None,
            waiting: None,
            idle: false,
        })
    }

    fn mark(&mut self, repo: &Repo, options: &PruneOptions) -> Result<()> {
        mark::mark(repo, &self.inventory, &self.roots, options)?;
        self.spare(repo, options)
    }

    fn spare(&mut self, repo: &Repo, options: &PruneOptions) -> Result<()> {
        if let Some(grace) = options.grace {
            self.waiting = Some(grace::spare(repo, self, grace, options)?);
        }
        Ok(())
    }

    /// Takes a survey that can be brought up to date, and looks at what is going to be removed, which makes removing it
    /// faster where it has to be read from a disk.
    pub(super) fn take_early(repo: &Repo, options: &PruneOptions) -> Result<Self> {
        let mut survey = Self::list(repo, options, Clock::now(repo)?)?;
        let told = lists::ask(repo, &survey.inventory, &survey.roots, &survey.facts, options);
        if told == Told::AllStays {
            survey.spare(repo, options)?;
            survey.idle = survey.is_idle(repo, options)?;
            if survey.idle {
                return Ok(survey);
            }
        }
        survey.inventory.clear_marks();
        survey.mark(repo, options)?;
        if options.deleted_commit().is_none() {
            survey.measured = Some(sweep::measure(repo, &survey.inventory, options)?);
        }
        survey.idle = survey.is_idle(repo, options)?;
        if survey.idle {
            survey.record_lists(repo, told == Told::NotAll);
        }
        Ok(survey)
    }

    /// Makes lists that were missed, or that are not right.
    pub(super) fn record_lists(&self, repo: &Repo, doubted: bool) {
        lists::record(repo, &self.inventory, &self.roots, &self.facts, doubted);
    }

    /// Brings the survey up to date. Nobody else adds or removes anything from now on.
    pub(super) fn bring_up_to_date(&mut self, repo: &Repo, options: &PruneOptions) -> Result<()> {
        let before = self.inventory.unmarked_count();
        let mut come = self.inventory.refresh(repo)?;
        come.retain(|name| !is_deleted(name, options));
        self.roots = roots::collect(repo, &self.inventory, options, &mut self.facts)?;
        mark::mark(repo, &self.inventory, &self.roots, options)?;
        let commits = come.iter().filter(|name| name.kind == ObjectType::Commit);
        let spared = roots::spared(repo, commits.map(|name| &name.checksum), &mut self.facts)?;
        mark::mark(repo, &self.inventory, &spared, options)?;
        mark::mark_objects(repo, &self.inventory, &come, options)?;
        self.spare(repo, options)?;
        if !come.is_empty() || before != self.inventory.unmarked_count() {
            self.measured = None;
        }
        Ok(())
    }

    /// Returns whether there is nothing to do for which others would have to be kept out.
    fn is_idle(&self, repo: &Repo, options: &PruneOptions) -> Result<bool> {
        let going = |target: &_| super::is_going(repo, &self.inventory, target);
        Ok(options.delete.is_none()
            && !self.waiting.as_ref().is_some_and(Waiting::is_changed)
            && self.inventory.unmarked_count() == 0
            && !repo.flip_pending()?
            && !leftovers::has_stale_marks(repo)?
            && deltas::find(repo, going)?.is_empty())
    }
}

fn is_deleted(name: &ObjectName, options: &PruneOptions) -> bool {
    name.kind == ObjectType::Commit && options.deleted_commit() == Some(&name.checksum)
}
