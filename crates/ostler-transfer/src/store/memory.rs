//! A store in memory: the smallest one that keeps the promises, for tests.
//!
//! Every change is a step that a hook may stop at, as a crash would; what was done until then stays. Nothing is
//! staged: what is put is visible at once, as in a bucket.

use super::{Body, Edit, Entry, Item, Lease, Overwrite, Removed, Stamp, Store, object_path};
use crate::error::{Damage, Result};
use crate::execute::lock;
use ostler_format::{ObjectName, RepoMode};
use ostler_repo::{Recovery, RepoError, Retired, verify_archived};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a hook is told before it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A file is put under this path.
    Put(String),
    /// A flip begins: its intent is recorded.
    Intent,
    /// A file is replaced or removed by a flip.
    Edit(String),
    /// A flip is done: its intent is removed.
    Done,
    /// What lies under this path is removed by a sweep.
    Remove(String),
}

/// Called before each step; an error stops the run there.
pub type Hook = Box<dyn Fn(&Step) -> Result<()> + Send + Sync>;

/// Tells the time that the store goes by: seconds since the epoch, UTC.
pub type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// A store in memory.
pub struct MemoryStore {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    intent: Mutex<Vec<Edit>>,
    leased: Mutex<()>,
    hook: Mutex<Arc<Hook>>,
    clock: Mutex<Arc<Clock>>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("files", &lock(&self.files).len())
            .finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        let config = format!("[core]\nrepo_version=1\nmode={}\n", RepoMode::Archive);
        Self {
            files: Mutex::new(BTreeMap::from([("config".to_owned(), config.into_bytes())])),
            intent: Mutex::new(Vec::new()),
            leased: Mutex::new(()),
            hook: Mutex::new(Arc::new(Box::new(|_| Ok(())))),
            clock: Mutex::new(Arc::new(Box::new(|| 0))),
        }
    }
}

impl MemoryStore {
    /// Returns a store that holds these files and nothing else.
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            files: Mutex::new(files),
            ..Self::default()
        }
    }

    /// Sets what is called before each step.
    pub fn set_hook(&self, hook: Hook) {
        *lock(&self.hook) = Arc::new(hook);
    }

    /// Sets the clock; until then it stands still.
    pub fn set_clock(&self, clock: Clock) {
        *lock(&self.clock) = Arc::new(clock);
    }

    /// Returns all files, by path.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.files).clone()
    }

    /// Changes a file behind the back of publishers, as another tool would; `None` removes it.
    pub fn tamper(&self, path: &str, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) => lock(&self.files).insert(path.to_owned(), bytes),
            None => lock(&self.files).remove(path),
        };
    }

    fn step(&self, step: &Step) -> Result<()> {
        // Not locked meanwhile: a hook may let others go first.
        let hook = Arc::clone(&lock(&self.hook));
        hook(step)
    }

    fn carry_out(&self, edits: &[Edit]) -> Result<()> {
        for edit in edits {
            self.step(&Step::Edit(edit.path.clone()))?;
            self.tamper(&edit.path, edit.new.clone());
        }
        self.step(&Step::Done)?;
        lock(&self.intent).clear();
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryLease<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl Lease for MemoryLease<'_> {}

impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn get(&self, path: &str, _limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(lock(&self.files).get(path).cloned())
    }

    fn look(&self, object: &ObjectName) -> Result<Option<u64>> {
        Ok(lock(&self.files)
            .get(&object_path(*object))
            .map(|bytes| bytes.len() as u64))
    }

    fn stamps(&self) -> Result<Vec<Option<Stamp>>> {
        let files = lock(&self.files);
        let stamp = |prefix: u8| {
            let dir = format!("objects/{prefix:02x}/");
            let names = files.range(dir.clone()..).map(|(path, _)| path);
            let mut hasher = DefaultHasher::new();
            for name in names.take_while(|path| path.starts_with(&dir)) {
                name.hash(&mut hasher);
            }
            Some((hasher.finish().cast_signed(), 0))
        };
        Ok((0..=u8::MAX).map(stamp).collect())
    }

    fn verify(&self, object: &ObjectName) -> Result<bool> {
        let bytes = lock(&self.files).get(&object_path(*object)).cloned();
        Ok(bytes.is_some_and(|bytes| verify_archived(object, &bytes).is_ok()))
    }

    fn list(&self, dir: &str) -> Result<Vec<Entry>> {
        let prefix = format!("{dir}/");
        let mut entries = BTreeSet::new();
        for rest in lock(&self.files)
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix))
        {
            let (name, is_dir) = rest
                .split_once('/')
                .map_or((rest, false), |(name, _)| (name, true));
            entries.insert((name.to_owned(), is_dir));
        }
        Ok(entries
            .into_iter()
            .map(|(name, is_dir)| Entry {
                name,
                is_dir,
                link: None,
            })
            .collect())
    }

    fn put(&self, item: &Item, body: Body<'_>, overwrite: Overwrite) -> Result<()> {
        let bytes = read_body(item, body)?;
        self.step(&Step::Put(item.path()))?;
        let mut files = lock(&self.files);
        if overwrite == Overwrite::Replace || !files.contains_key(&item.path()) {
            files.insert(item.path(), bytes);
        }
        Ok(())
    }

    fn settle(&self, _order: &[(Item, Overwrite)]) -> Result<()> {
        Ok(())
    }

    fn flip(&self, edits: &[Edit]) -> Result<()> {
        self.recover()?;
        for edit in edits {
            if !edit
                .expect
                .allows(lock(&self.files).get(&edit.path).map(Vec::as_slice))
            {
                let changed = RepoError::Changed {
                    path: edit.path.clone().into(),
                    expected: edit.expect.to_string(),
                };
                return Err(changed.into());
            }
        }
        self.step(&Step::Intent)?;
        *lock(&self.intent) = edits.to_vec();
        self.carry_out(edits)
    }

    fn pending(&self) -> Result<bool> {
        Ok(!lock(&self.intent).is_empty())
    }

    fn recover(&self) -> Result<Option<Recovery>> {
        let intent = lock(&self.intent).clone();
        if intent.is_empty() {
            return Ok(None);
        }
        let changes = |path: &dyn Fn(&str) -> bool| intent.iter().any(|edit| path(&edit.path));
        if changes(&|path| path == Retired::PATH) && changes(&|path| path.starts_with("refs/")) {
            // What is retired by this flip is so from now on.
            let clock = Arc::clone(&lock(&self.clock));
            let now = clock();
            self.step(&Step::Edit(Retired::COMPLETED.to_owned()))?;
            self.tamper(Retired::COMPLETED, Some(format!("{now}\n").into_bytes()));
        }
        self.carry_out(&intent)?;
        Ok(Some(Recovery::Completed))
    }

    fn remove(&self, items: &[Item]) -> Result<Removed> {
        let mut removed = Removed::default();
        for path in items.iter().map(Item::path) {
            if !lock(&self.files).contains_key(&path) {
                continue;
            }
            self.step(&Step::Remove(path.clone()))?;
            if let Some(bytes) = lock(&self.files).remove(&path) {
                removed.count += 1;
                removed.bytes += bytes.len() as u64;
            }
        }
        Ok(removed)
    }

    fn lease(&self) -> Result<Box<dyn Lease + '_>> {
        Ok(Box::new(MemoryLease {
            _guard: lock(&self.leased),
        }))
    }
}

/// Reads a body whole and, where nobody has hashed it yet, hashes it.
fn read_body(item: &Item, body: Body<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let failed = || RepoError::io("read", item.to_string());
    match body {
        Body::Bytes(whole) => bytes.extend_from_slice(whole),
        Body::Stream(stream) => {
            stream.read_to_end(&mut bytes).map_err(failed())?;
        }
        Body::File { dir, path, size } => bytes = dir.read(path, size).map_err(failed())?,
        Body::Adopted => return Err(RepoError::not_found(format!("{item}, taken over before")).into()),
    }
    if let Item::Object(name) = item {
        verify_archived(name, &bytes).map_err(|fault| Damage::wrap(*name, fault))?;
    }
    Ok(bytes)
}
