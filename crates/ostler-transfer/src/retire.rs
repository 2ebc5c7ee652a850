//! What a publish leaves behind: commits that nothing leads to any more are retired, those that are led to again are not.
//!
//! The list of what is retired ([`Retired`]) changes in the flip that moves the refs. It costs nothing where no ref leaves
//! anything behind and nothing is retired; the whole history of other refs is followed only where there is a commit
//! to be retired, or to be taken off the list.

use crate::error::Result;
use crate::history::History;
use crate::live::{Chains, Live, Root, Rules};
use crate::plan::{CarriedFile, RefUpdate};
use crate::planner::Planner;
use crate::report::Reporter;
use crate::retention::Retention;
use crate::store::{Edit, Expect, Store};
use crate::summaries;
use ostler_format::{Checksum, CollectionRef};
use ostler_repo::Retired;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What becomes of the list of what is retired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retirement {
    /// Commits of the target that nothing leads to any more, as far as its own commits tell.
    pub retired: Vec<Checksum>,
    /// Commits that were retired and that something leads to again.
    pub revived: Vec<Checksum>,
    /// The list as it is and as it will be; `None` if nothing changes.
    change: Option<Change>,
    /// The digest of the list as it was read.
    seen: Option<Checksum>,
    /// Why the list that was there is passed over, if it is damaged.
    pub(crate) damage: Option<String>,
}

/// A change of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    before: Retired,
    after: Retired,
    expect: Expect,
}

impl Retirement {
    /// Returns whether the list stays as it is.
    pub fn is_empty(&self) -> bool {
        self.change.is_none()
    }

    /// Returns whether the list is what it was when this was computed: no sweep has gone by it, and nobody retired more.
    pub(crate) fn is_current(&self, store: &dyn Store) -> Result<bool> {
        let bytes = store.get(Retired::PATH, Retired::LIMIT)?;
        Ok(bytes.as_deref().map(Checksum::of) == self.seen)
    }

    /// Returns the edit of a flip at a time: what it retires was needed until then, however long ago it was planned.
    pub(crate) fn edit(&self, now: u64) -> Result<Option<Edit>> {
        let Some(Change {
            before,
            after,
            expect,
        }) = &self.change
        else {
            return Ok(None);
        };
        let mut list = after.clone();
        list.stamp_new(before, now);
        for commit in &self.retired {
            list.renew_commit(*commit, now);
        }
        Ok(Some(Edit {
            expect: *expect,
            ..list.edit()?
        }))
    }
}

/// What a plan will do that matters for what stays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changes<'a> {
    pub(crate) history: &'a History,
    pub(crate) refs: &'a [RefUpdate],
    pub(crate) refs_after: &'a BTreeMap<CollectionRef, Checksum>,
    pub(crate) sent: &'a [Checksum],
}

/// The list as it will be, as far as that is known.
#[derive(Debug)]
pub(crate) struct Pending {
    before: Retired,
    list: Retired,
    retirement: Retirement,
}

/// Computes which commits are on the list.
pub(crate) fn commits(planner: &Planner<'_>, changes: &Changes<'_>) -> Result<Pending> {
    let bytes = planner.store.get(Retired::PATH, Retired::LIMIT)?;
    let mut damage = None;
    let before = Retired::read(bytes.as_deref(), |error| damage = Some(error.to_string()));
    let mut pending = Pending {
        list: before.clone(),
        before,
        retirement: Retirement {
            damage,
            seen: bytes.as_deref().map(Checksum::of),
            ..Retirement::default()
        },
    };
    let mut work = Retiring {
        planner,
        changes,
        rules: planner.rules(),
        chains: Chains::new(
            planner.store,
            Some(changes.history),
            changes.sent.iter().copied().collect(),
        ),
    };
    if !planner.inventory.is_empty && work.concerns_commits(&pending.list)? {
        work.apply(&mut pending.list, &mut pending.retirement)?;
    }
    Ok(pending)
}

impl Pending {
    /// Returns whether a commit will be on the list.
    pub(crate) fn is_retired(&self, commit: &Checksum) -> bool {
        self.list.has_commit(commit)
    }

    /// Adds the files that a new `index` does not name, takes those off that are put, and returns what becomes of the list.
    pub(crate) fn with_files(
        self,
        store: &dyn Store,
        index: Option<&[u8]>,
        put: &[CarriedFile],
        now: u64,
    ) -> Result<Retirement> {
        let Self {
            before,
            mut list,
            mut retirement,
        } = self;
        if let Some(index) = index {
            summaries::retire(store, index, now, &mut list)?;
        }
        for file in put {
            list.revive_file(&file.path);
        }
        if list != before || !retirement.retired.is_empty() {
            retirement.change = Some(Change {
                before,
                after: list,
                expect: retirement.seen.map_or(Expect::Absent, Expect::Bytes),
            });
        }
        Ok(retirement)
    }
}

struct Retiring<'a> {
    planner: &'a Planner<'a>,
    changes: &'a Changes<'a>,
    rules: Rules<'a>,
    chains: Chains<'a>,
}

impl Retiring<'_> {
    /// Returns whether a commit may have to be retired, or taken off the list: what decides that in full costs more.
    fn concerns_commits(&mut self, list: &Retired) -> Result<bool> {
        for update in self.changes.refs {
            if self.leaves_behind(update) && update.old.is_some() {
                return Ok(true);
            }
            if self.reaches_retired(update, list)? {
                return Ok(true);
            }
        }
        if self.rules.retention.is_unset() {
            return Ok(false);
        }
        // What time alone, or another rule than the last time, puts behind the end of what is kept.
        let named = (self.changes.refs_after.iter()).map(|(name, tip)| self.rules.root(name, *tip));
        let listed = self.rules.listed_roots();
        let limited: Vec<_> = named.chain(listed).filter(|root| root.keep.is_some()).collect();
        let kept = Live::of(&limited, &mut self.chains, list, self.rules.now)?;
        if kept.commits.iter().any(|commit| list.has_commit(commit)) {
            return Ok(true);
        }
        for commit in &kept.beyond {
            if !list.has_commit(commit)
                && !kept.commits.contains(commit)
                && self.chains.link(commit)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether a ref does not lead any more to where it led. Where what is kept is limited, that is looked at
    /// closely.
    fn leaves_behind(&self, update: &RefUpdate) -> bool {
        match (update.old, update.new) {
            (Some(old), Some(new)) => {
                let kept = self.rules.root(&update.name, new).keep;
                kept.is_some_and(|keep| !keep.forever) || !self.changes.history.contains(new, old)
            }
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Returns whether a ref newly leads to a retired commit: behind what is sent, up to what was there and live.
    fn reaches_retired(&mut self, update: &RefUpdate, list: &Retired) -> Result<bool> {
        let mut next = update.new;
        while let Some(commit) = next {
            if list.has_commit(&commit) {
                return Ok(true);
            }
            if !self.chains.is_sent(&commit) {
                return Ok(false);
            }
            next = self.chains.link(&commit)?.and_then(|link| link.parent);
        }
        Ok(false)
    }

    fn apply(&mut self, list: &mut Retired, retirement: &mut Retirement) -> Result<()> {
        let roots = self.rules.roots(self.planner.store, self.changes.refs_after)?;
        let dropped = (self.changes.refs.iter()).filter_map(|update| update.old);
        (retirement.retired, retirement.revived) =
            bring_up_to_date(list, &roots, dropped, &mut self.chains, self.rules.now)?;
        Ok(())
    }
}

/// Retires what none of the roots leads to, of the histories of commits that were `dropped` and of what lies behind the
/// end of what is kept, and takes off the list what they lead to again. Returns both.
pub(crate) fn bring_up_to_date(
    list: &mut Retired,
    roots: &[Root],
    dropped: impl Iterator<Item = Checksum>,
    chains: &mut Chains<'_>,
    now: u64,
) -> Result<(Vec<Checksum>, Vec<Checksum>)> {
    let live = Live::of(roots, chains, list, now)?;
    let mut dead = Dead {
        live: &live.commits,
        list,
        gone: BTreeSet::new(),
    };
    for start in dropped {
        dead.follow(start, true, chains)?;
    }
    for start in &live.beyond {
        dead.follow(*start, false, chains)?;
    }
    let gone = dead.gone;
    let revived: Vec<_> = (list.commits().map(|(commit, _)| *commit))
        .filter(|commit| live.commits.contains(commit))
        .collect();
    for commit in &gone {
        list.renew_commit(*commit, now);
    }
    for commit in &revived {
        list.revive_commit(commit);
    }
    list.set_ends(live.ends(chains, list)?);
    Ok((gone.into_iter().collect(), revived))
}

/// Returns the rules by which what is there stays, as far as history was not cut.
pub(crate) fn unlimited(now: u64) -> Rules<'static> {
    static NOTHING: Retention = Retention {
        rules: Vec::new(),
        others: None,
    };
    Rules {
        retention: &NOTHING,
        publishing: None,
        now,
    }
}

/// Returns the edit of a flip after which these roots are all that keeps commits; `None` if the list stays as it is.
/// `dropped` are commits that were kept until then. `also` may change more of the list.
pub(crate) fn edit(
    store: &dyn Store,
    roots: &[Root],
    dropped: &[Checksum],
    now: u64,
    reporter: &dyn Reporter,
    also: impl FnOnce(&mut Retired) -> Result<()>,
) -> Result<Option<Edit>> {
    let bytes = store.get(Retired::PATH, Retired::LIMIT)?;
    let before = Retired::read(bytes.as_deref(), |error| reporter.note(&error.to_string()));
    let mut list = before.clone();
    let mut chains = Chains::new(store, None, HashSet::new());
    bring_up_to_date(&mut list, roots, dropped.iter().copied(), &mut chains, now)?;
    also(&mut list)?;
    if list == before {
        return Ok(None);
    }
    Ok(Some(Edit {
        expect: bytes.map_or(Expect::Absent, |bytes| Expect::Bytes(Checksum::of(&bytes))),
        ..list.edit()?
    }))
}

/// Collects what nothing leads to any more.
struct Dead<'a> {
    live: &'a HashSet<Checksum>,
    /// The list as it was.
    list: &'a Retired,
    gone: BTreeSet<Checksum>,
}

impl Dead<'_> {
    /// Collects the commits from `start` back to the first one that is live, or not at the target. What led to a commit
    /// that is dropped `until_now` led as well to what is on the list behind it, up to where history was cut: something made
    /// the ref that knows nothing of the list. Otherwise what is on the list has been dead since then, and ends the walk.
    fn follow(&mut self, start: Checksum, until_now: bool, chains: &mut Chains<'_>) -> Result<()> {
        let mut next = Some(start);
        while let Some(commit) = next {
            if self.live.contains(&commit) || (!until_now && self.list.has_commit(&commit)) {
                return Ok(());
            }
            let Some(link) = chains.link(&commit)? else {
                return Ok(());
            };
            if !self.gone.insert(commit) {
                return Ok(());
            }
            next = link.parent.filter(|_| !until_now || !self.list.is_end(&commit));
        }
        Ok(())
    }
}
