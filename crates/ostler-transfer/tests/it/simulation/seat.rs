//! The store as one actor sees it: each operation waits for the actor's turn. Some break a rule on purpose.

use super::stage::Stage;
use super::trace::Op;
use super::world::Source;
use ostler_format::{Checksum, ObjectName, ObjectType, RepoMode};
use ostler_repo::{Recovery, RepoError};
use ostler_transfer::{Body, Edit, Entry, Expect, Item, Lease, Overwrite, Removed, Result, Stamp, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// What a flip leaves behind is deleted before it.
    FlipBeforeDeletion,
    /// What is retired is swept at once.
    Grace,
    /// Refs are not read again before the flip, which expects nothing of them.
    CompareAndSwap,
    /// Commits are put before their trees, and these before their content.
    ChildFirst,
    /// Content is removed before the trees that name it, and these before their commits.
    ParentGoesFirst,
    /// Parts of static deltas are removed before the superblocks that name them.
    PartsGoFirst,
    /// A new summary comes before any signature of it.
    Overlap,
    /// A flip is not journalled.
    Journal,
}

/// What somebody reads, kept to be seen again.
#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<String, Option<Vec<u8>>>,
    dirs: BTreeMap<String, Vec<Entry>>,
    commits: Option<Vec<Checksum>>,
}

/// See the module.
pub(crate) struct Seat<'a> {
    stage: &'a Stage,
    me: usize,
    broken: Option<Broken>,
    is_leased: Mutex<bool>,
    seen: Mutex<Seen>,
    held_back: Mutex<Vec<(Item, Vec<u8>)>>,
    to_remove: Mutex<Vec<Item>>,
    meddler: Mutex<Option<Meddler<'a>>>,
}

/// Changes the source when the snapshot is taken.
pub(crate) struct Meddler<'a> {
    pub(crate) source: &'a Source,
    pub(crate) refs: BTreeMap<String, String>,
    /// How many reads later.
    pub(crate) delay: usize,
    pub(crate) is_armed: bool,
}

struct SeatLease<'s, 'a> {
    seat: &'s Seat<'a>,
    _lease: Box<dyn Lease + 's>,
}

impl fmt::Debug for SeatLease<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeatLease")
    }
}

impl Lease for SeatLease<'_, '_> {}

impl Drop for SeatLease<'_, '_> {
    fn drop(&mut self) {
        *self.seat.is_leased.lock().unwrap() = false;
        self.seat.stage.release(self.seat.me);
    }
}

impl<'a> Seat<'a> {
    pub(crate) fn new(stage: &'a Stage, me: usize, broken: Option<Broken>) -> Self {
        Self {
            stage,
            me,
            broken,
            is_leased: Mutex::new(false),
            seen: Mutex::default(),
            held_back: Mutex::default(),
            to_remove: Mutex::default(),
            meddler: Mutex::new(None),
        }
    }

    /// Lets somebody change the source after the snapshot.
    pub(crate) fn with_meddler(self, meddler: Meddler<'a>) -> Self {
        *self.meddler.lock().unwrap() = Some(meddler);
        self
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    fn read(&self, path: &str) -> Result<()> {
        self.stage.turn(self.me, Op::Read(path.to_owned()))?;
        self.meddle(path);
        Ok(())
    }

    /// The marks of partial commits are the last thing that is read before the snapshot is taken.
    fn meddle(&self, path: &str) {
        let mut place = self.meddler.lock().unwrap();
        let Some(meddler) = &mut *place else { return };
        if !meddler.is_armed {
            meddler.is_armed = path == "state/";
            return;
        }
        if meddler.delay > 0 {
            meddler.delay -= 1;
            return;
        }
        meddler.source.set_refs(&meddler.refs);
        *place = None;
    }

    /// Returns whether what was seen before the lease is what is seen under it.
    fn is_stale(&self, path: &str) -> bool {
        let for_this = self.is(Broken::CompareAndSwap) && path.starts_with("refs/");
        for_this && *self.is_leased.lock().unwrap()
    }

    fn body(item: &Item, body: Body<'_>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let failed = || RepoError::io("read", item.to_string());
        match body {
            Body::Bytes(whole) => bytes.extend_from_slice(whole),
            Body::Stream(stream) => drop(stream.read_to_end(&mut bytes).map_err(failed())?),
            Body::File { dir, path, size } => bytes = dir.read(path, size).map_err(failed())?,
            Body::Adopted => unreachable!("nothing is taken over"),
        }
        Ok(bytes)
    }

    fn put_held_back(&self) -> Result<()> {
        while let Some((item, bytes)) = self.held_back.lock().unwrap().pop() {
            self.stage
                .store
                .put(&item, Body::Bytes(&bytes), Overwrite::Never)?;
        }
        Ok(())
    }

    fn remove_held_back(&self) -> Result<()> {
        while let Some(item) = self.to_remove.lock().unwrap().pop() {
            let _removed = self.stage.store.remove(&[item])?;
        }
        Ok(())
    }

    /// Deletes what only the old commits of refs need.
    fn delete_first(&self, edits: &[Edit]) -> Result<()> {
        let world = &self.stage.world;
        let refs = || edits.iter().filter(|edit| edit.path.starts_with("refs/"));
        let mut kept = BTreeSet::new();
        let mut gone = BTreeSet::new();
        for bytes in refs().filter_map(|edit| edit.new.as_ref()) {
            kept.extend(
                world
                    .closure(String::from_utf8_lossy(bytes).trim())
                    .iter()
                    .cloned(),
            );
        }
        for edit in refs() {
            if let Expect::Ref(old) = edit.expect {
                gone.extend(world.closure(&old.to_string()).iter().cloned());
            }
        }
        for path in gone.difference(&kept) {
            let _removed = self.stage.store.remove(&[Item::File(path.clone())])?;
        }
        Ok(())
    }

    fn flip_without_journal(&self, edits: &[Edit]) -> Result<()> {
        self.stage.judge(self.me, |laws, _| {
            laws.flip_begins();
            Ok(())
        });
        for edit in edits {
            self.stage.turn(self.me, Op::Edit(edit.path.clone()))?;
            self.stage.store.tamper(&edit.path, edit.new.clone());
        }
        self.stage.flipped();
        Ok(())
    }
}

impl Store for Seat<'_> {
    fn describe(&self) -> String {
        "the stage".to_owned()
    }

    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        if self.is_stale(path)
            && let Some(seen) = self.seen.lock().unwrap().files.get(path)
        {
            return Ok(seen.clone());
        }
        self.read(path)?;
        let bytes = self.stage.store.get(path, limit)?;
        self.seen
            .lock()
            .unwrap()
            .files
            .insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }

    fn look(&self, object: &ObjectName) -> Result<Option<u64>> {
        self.read(&format!(
            "objects/{}",
            object.loose_path(RepoMode::Archive).as_str()
        ))?;
        self.stage.store.look(object)
    }

    fn stamps(&self) -> Result<Vec<Option<Stamp>>> {
        self.read("objects/")?;
        self.stage.store.stamps()
    }

    fn verify(&self, object: &ObjectName) -> Result<bool> {
        self.read(&format!(
            "objects/{}",
            object.loose_path(RepoMode::Archive).as_str()
        ))?;
        self.stage.store.verify(object)
    }

    fn list(&self, dir: &str) -> Result<Vec<Entry>> {
        if self.is_stale(dir)
            && let Some(seen) = self.seen.lock().unwrap().dirs.get(dir)
        {
            return Ok(seen.clone());
        }
        self.read(&format!("{dir}/"))?;
        let entries = self.stage.store.list(dir)?;
        self.seen
            .lock()
            .unwrap()
            .dirs
            .insert(dir.to_owned(), entries.clone());
        Ok(entries)
    }

    fn put(&self, item: &Item, body: Body<'_>, overwrite: Overwrite) -> Result<()> {
        self.stage.alive(self.me)?;
        if !self.is(Broken::ChildFirst) {
            return self.stage.store.put(item, body, overwrite);
        }
        let bytes = Self::body(item, body)?;
        self.held_back.lock().unwrap().push((item.clone(), bytes));
        match item {
            Item::Object(name) if name.kind == ObjectType::Commit => self.put_held_back(),
            _ => Ok(()),
        }
    }

    fn settle(&self, order: &[(Item, Overwrite)]) -> Result<()> {
        self.put_held_back()?;
        self.stage.store.settle(order)
    }

    fn flip(&self, edits: &[Edit]) -> Result<()> {
        self.remove_held_back()?;
        if self.is(Broken::Overlap) && edits.iter().all(|edit| edit.path == "summary.sig") {
            return Ok(());
        }
        let mut edits = edits.to_vec();
        if self.is(Broken::FlipBeforeDeletion) {
            self.delete_first(&edits)?;
        }
        if self.is(Broken::CompareAndSwap) {
            for edit in &mut edits {
                edit.expect = Expect::Any;
            }
        }
        self.stage.flipping(self.me, &edits)?;
        if self.is(Broken::Journal) {
            return self.flip_without_journal(&edits);
        }
        self.stage.store.flip(&edits)
    }

    fn pending(&self) -> Result<bool> {
        self.read("the intent")?;
        self.stage.store.pending()
    }

    fn recover(&self) -> Result<Option<Recovery>> {
        self.stage.alive(self.me)?;
        self.stage.store.recover()
    }

    fn lease(&self) -> Result<Box<dyn Lease + '_>> {
        self.stage.turn(self.me, Op::Lease)?;
        *self.is_leased.lock().unwrap() = true;
        Ok(Box::new(SeatLease {
            seat: self,
            _lease: self.stage.store.lease()?,
        }))
    }

    fn list_commits(&self) -> Result<Vec<Checksum>> {
        if self.is_stale("objects")
            && let Some(seen) = &self.seen.lock().unwrap().commits
        {
            return Ok(seen.clone());
        }
        self.read("objects/")?;
        let commits = self.stage.store.list_commits()?;
        self.seen.lock().unwrap().commits = Some(commits.clone());
        Ok(commits)
    }

    fn remove(&self, items: &[Item]) -> Result<Removed> {
        self.stage.alive(self.me)?;
        if self.is(Broken::ParentGoesFirst) {
            self.to_remove.lock().unwrap().extend_from_slice(items);
            return Ok(Removed::default());
        }
        if self.is(Broken::PartsGoFirst) {
            let is_superblock = |item: &&Item| item.path().ends_with("/superblock");
            let (later, now): (Vec<&Item>, Vec<&Item>) = items.iter().partition(is_superblock);
            self.to_remove.lock().unwrap().extend(later.into_iter().cloned());
            let now: Vec<_> = now.into_iter().cloned().collect();
            return self.stage.store.remove(&now);
        }
        self.stage.store.remove(items)
    }
}
