//! Commits that come into a repository another way than over the stream of a push: whoever brings them fills an archive beside the
//! repository with them, and has it published.
//!
//! Order of effects:
//! 1. the archive is made, or what an earlier run of the same pusher left is taken over: *nothing locked*, out of everybody's sight;
//! 2. the caller fills it, and decides in its [turn](Incoming::turn), one after the other, which refs are to move;
//! 3. what they lead to is [published](crate::publish()) into the repository: refs, summary and record change in one flip, each ref
//!    from the value that the caller has seen, or none does;
//! 4. the archive goes.

use super::quarantine::Quarantine;
use super::{HELD_BYTES, own_ref, require_archive, store_of};
use crate::error::Result;
use crate::policy::{Policy, RefMove, Signing, SummaryPolicy};
use crate::publish::{Outcome, PublishOptions, publish};
use crate::report::Reporter;
use crate::retention::Retention;
use ostler_format::{RefName, RemoteName};
use ostler_repo::refs::{Expected, RefEdit};
use ostler_repo::{FileLock, OpenOptions, Repo};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::sync::atomic::AtomicBool;

/// Who brings commits, and how they are published.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "the clock is a function without one")]
pub struct IncomingOptions<'a> {
    /// Who brings them: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub pusher: &'a str,
    /// Who brings them, for the records of generations.
    pub who: &'a str,
    /// How repositories are opened.
    pub open: &'a OpenOptions,
    /// Returns the time, in seconds since the epoch, UTC.
    pub clock: &'a (dyn Fn() -> u64 + Sync),
    /// How many objects are put at once.
    pub jobs: NonZero<usize>,
    /// Set when the process is to end.
    pub interrupted: &'a AtomicBool,
    /// Hears how the publish goes.
    pub reporter: &'a dyn Reporter,
}

/// An archive whose parent is the repository, where commits wait.
pub struct Incoming<'a> {
    target: &'a Repo,
    quarantine: Quarantine,
    archive: Repo,
    options: IncomingOptions<'a>,
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("archive", &self.archive)
            .finish_non_exhaustive()
    }
}

impl<'a> Incoming<'a> {
    /// Makes the archive, with a remote of these settings from which it can be filled.
    ///
    /// # Errors
    /// [`TransferError::UnfitTarget`](crate::TransferError::UnfitTarget) if the repository is no archive, [`TransferError::Denied`](crate::TransferError::Denied) for a name that is none of a pusher,
    /// [`TransferError::Repo`](crate::TransferError::Repo).
    pub fn open(
        target: &'a Repo,
        remote: &RemoteName,
        settings: &[(&str, String)],
        options: IncomingOptions<'a>,
    ) -> Result<Self> {
        require_archive(target)?;
        target.require_writable()?;
        let quarantine = Quarantine::open(target, options.pusher, options.open, (options.clock)())?;
        let group = format!("remote \"{remote}\"");
        quarantine.repo().edit_config(|file| {
            file.remove_group(&group);
            for (key, value) in settings {
                file.set(&group, key, value)?;
            }
            Ok(())
        })?;
        let archive = Repo::open_with(quarantine.repo().path(), options.open.clone())?;
        if let Some(observer) = target.observer() {
            archive.set_observer(observer);
        }
        Ok(Self {
            target,
            quarantine,
            archive,
            options,
        })
    }

    /// Returns the archive.
    pub const fn archive(&self) -> &Repo {
        &self.archive
    }

    /// Waits until no other receiver publishes, and keeps others from it until what is returned goes.
    ///
    /// # Errors
    /// [`TransferError::Repo`](crate::TransferError::Repo) when that takes too long.
    pub fn turn(&self) -> Result<FileLock> {
        Quarantine::turn(self.target)
    }

    /// Moves refs of the repository to commits of the archive, with all that they need. To be called in the caller's
    /// [turn](Self::turn).
    ///
    /// # Errors
    /// As [`publish`](crate::publish()); no ref has moved then.
    pub fn publish(
        &self,
        moves: &BTreeMap<RefName, RefMove>,
        summary: SummaryPolicy,
        signing: Signing,
    ) -> Result<Outcome> {
        let set = |(name, wanted): (&RefName, &RefMove)| {
            let set = |new| RefEdit::set(name.clone(), Expected::Any, new);
            wanted.new.map(set)
        };
        let edits: Vec<_> = moves.iter().filter_map(set).collect();
        self.archive.edit_refs(&edits)?;
        let store = store_of(self.target, self.options.open)?;
        let own = moves.iter().map(|(name, wanted)| (own_ref(name), *wanted));
        let policy = Policy {
            moves: Some(own.collect()),
            summary,
            signing,
            retention: Retention::of_target(&store)?,
            ..Policy::default()
        };
        publish(
            &self.archive,
            &store,
            &PublishOptions {
                policy: &policy,
                dry_run: false,
                jobs: self.options.jobs,
                held_bytes: HELD_BYTES,
                sweep: None,
                clock: self.options.clock,
                who: self.options.who,
                interrupted: self.options.interrupted,
                reporter: self.options.reporter,
            },
        )
    }

    /// Removes the archive, and what earlier runs of the same pusher left.
    ///
    /// # Errors
    /// [`TransferError::Repo`](crate::TransferError::Repo).
    pub fn discard(self) -> Result<()> {
        let (target, pusher, now) = (self.target, self.options.pusher, (self.options.clock)());
        drop(self.archive);
        self.quarantine.discard()?;
        Quarantine::tidy(target, pusher, now)
    }
}
