//! A store that fails at its n-th operation, whatever that is, and leaves the operation undone; or before whose lease
//! somebody else comes.

use ostler_format::{Checksum, ObjectName};
use ostler_repo::fs::Dir;
use ostler_repo::{Recovery, Repo};
use ostler_transfer::{
    Body, Edit, Entry, Item, Lease, Overwrite, Removed, Result, Stamp, Store, TransferError,
};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the operations of a store and fails one of them.
pub(crate) struct FaultyStore<'a> {
    store: &'a dyn Store,
    fails_at: u64,
    done: AtomicU64,
    trees: AtomicU64,
    before_lease: Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>,
}

impl<'a> FaultyStore<'a> {
    /// Fails the operation with this number, counted from 0.
    pub(crate) fn new(store: &'a dyn Store, fails_at: u64) -> Self {
        Self {
            store,
            fails_at,
            done: AtomicU64::new(0),
            trees: AtomicU64::new(0),
            before_lease: Mutex::new(None),
        }
    }

    /// Fails nothing, and does something right before the first lease is taken.
    pub(crate) fn meddled(store: &'a dyn Store, before_lease: impl FnOnce() + Send + 'a) -> Self {
        Self {
            before_lease: Mutex::new(Some(Box::new(before_lease))),
            ..Self::new(store, u64::MAX)
        }
    }

    /// Returns how many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Returns how often trees were read.
    pub(crate) fn trees_read(&self) -> u64 {
        self.trees.load(Ordering::Relaxed)
    }

    fn step(&self) -> Result<&dyn Store> {
        match self.done.fetch_add(1, Ordering::Relaxed) {
            at if at == self.fails_at => Err(TransferError::Stopped(at)),
            _ => Ok(self.store),
        }
    }
}

impl Store for FaultyStore<'_> {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn looks_are_dear(&self) -> bool {
        self.store.looks_are_dear()
    }

    fn jobs(&self) -> NonZero<usize> {
        self.store.jobs()
    }

    fn stages(&self) -> bool {
        self.store.stages()
    }

    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let is_tree = path.ends_with(".dirtree");
        self.trees.fetch_add(u64::from(is_tree), Ordering::Relaxed);
        self.step()?.get(path, limit)
    }

    fn look(&self, object: &ObjectName) -> Result<Option<u64>> {
        self.step()?.look(object)
    }

    fn stamps(&self) -> Result<Vec<Option<Stamp>>> {
        self.step()?.stamps()
    }

    fn verify(&self, object: &ObjectName) -> Result<bool> {
        self.step()?.verify(object)
    }

    fn list(&self, dir: &str) -> Result<Vec<Entry>> {
        self.step()?.list(dir)
    }

    fn shares_files_with(&self, source: &Repo) -> bool {
        self.store.shares_files_with(source)
    }

    fn adopt(&self, item: &Item, dir: &Dir, path: &str) -> Result<bool> {
        self.step()?.adopt(item, dir, path)
    }

    fn put(&self, item: &Item, body: Body<'_>, overwrite: Overwrite) -> Result<()> {
        self.step()?.put(item, body, overwrite)
    }

    fn settle(&self, order: &[(Item, Overwrite)]) -> Result<()> {
        self.step()?.settle(order)
    }

    fn flip(&self, edits: &[Edit]) -> Result<()> {
        self.step()?.flip(edits)
    }

    fn pending(&self) -> Result<bool> {
        self.step()?.pending()
    }

    fn recover(&self) -> Result<Option<Recovery>> {
        self.step()?.recover()
    }

    fn lease(&self) -> Result<Box<dyn Lease + '_>> {
        let meddle = self.before_lease.lock().unwrap().take();
        if let Some(meddle) = meddle {
            meddle();
        }
        self.step()?.lease()
    }

    fn list_commits(&self) -> Result<Vec<Checksum>> {
        self.step()?.list_commits()
    }

    fn remove(&self, items: &[Item]) -> Result<Removed> {
        self.step()?.remove(items)
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        self.step()?.free_bytes()
    }
}
