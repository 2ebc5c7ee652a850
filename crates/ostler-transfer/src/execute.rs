//! Carries out the part of a plan that no reader sees: puts every object and file, several at once.
//!
//! Order: content and dirmeta, then dirtrees (each after those below it), then commits, then files beside the objects.
//! One kind is finished before the next begins, so that a store that shows at once what is put keeps I2 as well.

use crate::error::{Damage, Result, TransferError};
use crate::pin::Pin;
use crate::plan::{Addition, CarriedFile, Plan};
use crate::report::Reporter;
use crate::store::{Body, Item, Overwrite, Store};
use ostler_format::ObjectType;
use ostler_repo::Repo;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// At most this many damaged objects are collected before the run stops looking for more.
const NAMED_DAMAGE: usize = 100;

/// What putting needs beside the plan.
#[derive(Clone, Copy)]
pub(crate) struct Execution<'a> {
    pub(crate) source: &'a Repo,
    pub(crate) store: &'a dyn Store,
    pub(crate) pin: &'a Pin<'a>,
    pub(crate) jobs: NonZero<usize>,
    pub(crate) interrupted: &'a AtomicBool,
    pub(crate) reporter: &'a dyn Reporter,
}

impl Execution<'_> {
    /// Puts everything that the plan names; returns the order in which it is to be settled.
    ///
    /// All damaged objects of the source are found before the run fails, so that one run names them all.
    pub(crate) fn put_all(&self, plan: &Plan) -> Result<Vec<(Item, Overwrite)>> {
        for layer in layers(&plan.objects) {
            // A dirtree needs those below it, which stand before it in its layer.
            let ordered = layer
                .first()
                .is_some_and(|added| added.name.kind == ObjectType::DirTree);
            let jobs = if ordered && !self.store.stages() {
                NonZero::<usize>::MIN
            } else {
                self.jobs
            };
            for_each(layer, jobs, |added| self.put_object(added))?;
        }
        for file in &plan.files {
            self.put_file(file)?;
        }
        let objects = plan
            .objects
            .iter()
            .map(|added| (Item::Object(added.name), overwrite(added)));
        let files = plan
            .files
            .iter()
            .map(|file| (Item::File(file.path.clone()), Overwrite::Replace));
        Ok(objects.chain(files).collect())
    }

    /// Hashes the objects of a plan where they lie in the source, which the caller keeps locked.
    pub(crate) fn hash_all(&self, plan: &Plan) -> Result<()> {
        for_each(&plan.objects, self.jobs, |added| {
            self.check_interrupt()?;
            let hashed = self.source.verify_object_quickly(&added.name);
            hashed.map_err(|fault| Damage::wrap(added.name, fault))
        })
    }

    fn put_object(&self, added: &Addition) -> Result<()> {
        self.check_interrupt()?;
        let item = Item::Object(added.name);
        let overwrite = overwrite(added);
        if self.pin.is_adopted() {
            self.store.put(&item, Body::Adopted, overwrite)?;
        } else if added.name.kind != ObjectType::File || self.source.mode().is_archive() {
            let (dir, path) = self.pin.place_of(self.source, &added.name)?;
            self.store.put(
                &item,
                Body::File {
                    dir: &dir,
                    path: &path,
                    size: added.size,
                },
                overwrite,
            )?;
        } else {
            let stream = self.pin.archive_stream(self.source, &added.name.checksum);
            let mut stream = stream.map_err(|fault| Damage::wrap(added.name, fault))?;
            self.store.put(&item, Body::Stream(&mut stream), overwrite)?;
        }
        self.reporter.stored(added.size);
        Ok(())
    }

    pub(crate) fn check_interrupt(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(TransferError::Interrupted);
        }
        Ok(())
    }

    fn put_file(&self, file: &CarriedFile) -> Result<()> {
        let (dir, path) = self.pin.place_of_file(self.source, &file.path);
        let body = Body::File {
            dir: &dir,
            path: &path,
            size: file.size,
        };
        self.store
            .put(&Item::File(file.path.clone()), body, Overwrite::Replace)?;
        self.reporter.stored(file.size);
        Ok(())
    }
}

/// Does the same for several objects at once, and collects what is found damaged.
fn for_each(
    layer: &[Addition],
    jobs: NonZero<usize>,
    put: impl Fn(&Addition) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let damage = Mutex::new(Vec::new());
    let failure = Mutex::new(None);
    let failed = AtomicBool::new(false);
    let work = || {
        while let Some(added) = layer.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                return;
            }
            match put(added) {
                Ok(()) => {}
                Err(TransferError::CorruptSource(found)) => lock(&damage).extend(found),
                Err(error) => {
                    lock(&failure).get_or_insert(error);
                    failed.store(true, Ordering::Relaxed);
                }
            }
            if lock(&damage).len() > NAMED_DAMAGE {
                failed.store(true, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs.get().min(layer.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    let mut damage = damage.into_inner().unwrap_or_else(PoisonError::into_inner);
    damage.sort_by_key(|found: &Damage| found.object);
    if damage.is_empty() {
        Ok(())
    } else {
        Err(TransferError::CorruptSource(damage))
    }
}

fn overwrite(added: &Addition) -> Overwrite {
    if added.replaces_damaged {
        Overwrite::Replace
    } else {
        Overwrite::Never
    }
}

/// Splits objects where their place in the order changes: content with dirmeta, dirtrees, commits.
fn layers(objects: &[Addition]) -> impl Iterator<Item = &[Addition]> {
    let rank = |added: &Addition| match added.name.kind {
        ObjectType::DirTree => 1,
        ObjectType::Commit => 2,
        _ => 0,
    };
    objects.chunk_by(move |a, b| rank(a) == rank(b))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
