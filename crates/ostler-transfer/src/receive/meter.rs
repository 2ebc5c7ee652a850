//! How much of a push has come, held against the rules while it comes.
//!
//! What only a whole commit shows (see `inspect/contents.rs`) is bounded here for all commits of the push together: where they have more
//! than all of them may, one of them has too much. Room on the disk is looked at before the bytes are taken that may need it, and again
//! after as many of them as were there, or a sixteenth of what may wait, since others take of it as well.

use super::quarantine::Quarantine;
use super::rules::{Measure, PushLimits, Room};
use crate::error::{Result, TransferError};
use ostler_format::{DirTree, ObjectName};
use ostler_repo::{Repo, RepoError};

/// Between two looks at the disk no more than this is taken, or a sixteenth of what may wait.
const STEP: u64 = 64 << 20;

/// What has come of a push.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    limits: &'a PushLimits,
    /// How many commits the pusher names.
    commits: u64,
    received: u64,
    disk: Disk<'a>,
}

/// Where it goes, and how much room there is.
#[derive(Debug)]
pub(super) struct Disk<'a> {
    pub(super) target: &'a Repo,
    pub(super) quarantine: &'a Quarantine,
    pub(super) room: &'a Room,
    /// So much may be taken before we look again.
    pub(super) allowance: u64,
}

impl<'a> Meter<'a> {
    pub(super) const fn new(limits: &'a PushLimits, disk: Disk<'a>) -> Self {
        Self {
            limits,
            commits: 0,
            received: 0,
            disk,
        }
    }

    /// Notes how many commits may come.
    pub(super) const fn expect_commits(&mut self, commits: u64) {
        self.commits = commits;
    }

    /// Fails if the commits consist of more objects than they may.
    pub(super) fn seen(&self, objects: usize) -> Result<()> {
        self.limits
            .check_all(Measure::Entries, objects as u64, self.commits)
    }

    /// Fails if a tree so deep, or with so many entries, may not be.
    pub(super) fn tree(&self, name: &ObjectName, tree: &DirTree, depth: u32) -> Result<()> {
        let entries = tree.files.len() + tree.dirs.len();
        self.limits.check(Measure::Entries, entries as u64, name)?;
        self.limits.check(Measure::Depth, depth.into(), name)
    }

    /// Fails if a content object may not have so many bytes, as it is sent or as it says that it inflates to.
    pub(super) fn content(&self, name: &ObjectName, bytes: u64) -> Result<()> {
        self.limits.check(Measure::Object, bytes, name)
    }

    /// Notes bytes that are about to be kept, behind so many of the same object: those have no name yet.
    pub(super) fn take(&mut self, bytes: u64, before: u64) -> Result<()> {
        self.received = self.received.saturating_add(bytes);
        self.limits.check(Measure::Push, self.received, &"this push")?;
        self.limits
            .check_all(Measure::Commit, self.received, self.commits)?;
        self.disk.take(bytes, before)
    }
}

impl Disk<'_> {
    fn take(&mut self, bytes: u64, before: u64) -> Result<()> {
        if *self.room == Room::default() {
            return Ok(());
        }
        if bytes > self.allowance {
            self.allowance = self.look(bytes, before)?;
        }
        self.allowance = self.allowance.saturating_sub(bytes);
        Ok(())
    }

    /// Returns how much may be taken, which is as much as is needed at least. What nobody comes back for makes room first.
    fn look(&self, needed: u64, before: u64) -> Result<u64> {
        match self.look_once(needed, before) {
            Err(TransferError::TooMuch { .. } | TransferError::NoSpace { .. }) => {
                self.quarantine.remove_unused()?;
                self.look_once(needed, before)
            }
            looked => looked,
        }
    }

    fn look_once(&self, needed: u64, before: u64) -> Result<u64> {
        let mut allowance = STEP.max(self.room.max.unwrap_or_default() / 16).max(needed);
        if let Some(min_free) = self.room.min_free {
            let available = self.available()?.saturating_sub(min_free);
            if needed > available {
                return Err(TransferError::NoSpace {
                    target: self.target.path().display().to_string(),
                    needed,
                    available,
                });
            }
            allowance = allowance.min(available);
        }
        if self.room.max.is_none() && self.room.max_each.is_none() {
            return Ok(allowance);
        }
        let (all, own) = self.quarantine.occupied()?;
        for (most, there, what, key) in [
            (self.room.max, all, "what waits in quarantine", "max"),
            (self.room.max_each, own, "what waits of this pusher", "max-each"),
        ] {
            let Some(most) = most else { continue };
            let left = most.saturating_sub(there.saturating_add(before));
            if needed > left {
                return Err(TransferError::TooMuch {
                    what: what.to_owned(),
                    limit: format!("{most} bytes"),
                    rule: format!("{key} of [quarantine]"),
                });
            }
            allowance = allowance.min(left);
        }
        Ok(allowance)
    }

    fn available(&self) -> Result<u64> {
        let root = self.target.root();
        let space = root
            .statvfs()
            .map_err(RepoError::io("look at the free space of", root.path()))?;
        Ok(space.available_blocks.saturating_mul(space.block_bytes))
    }
}
