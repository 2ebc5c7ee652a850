//! The lease file `extensions/ostler/lease`: who publishes into a directory that several machines have mounted.
//!
//! It is written under a name of its own, `lease-…`, and linked to the name by which it counts, which fails where there is one (without links:
//! made by a create that fails then). It says who made it, and is written again every half minute as long as its
//! owner lives. It is taken over when its owner was a process of this machine that is dead, or when nobody has written
//! it for ten minutes: by the times that the far end gives to it and to the file of whoever wants it, never by a
//! clock of this machine. Who takes over renames it aside and looks whether it still is what was judged; else it gets its name back.
//!
//! Its owner looks before each change that shows whether the file still is its own. A process that is stopped for longer than ten minutes
//! between that look and the change is not kept from it.

use crate::execute::lock;
use ostler_repo::flip::{LeaseOwner, Leaseholder, wait_for_leaseholder};
use ostler_repo::fs::{Dir, FileStat, Linked, sync_file};
use ostler_repo::{Observer, RepoError};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The file, relative to the repository.
const PATH: &str = LeaseOwner::PATH;
const HOLDER: &str = "extensions/ostler";
const LIMIT: u64 = LeaseOwner::LIMIT;
/// How often its owner writes it.
const BEAT: Duration = Duration::from_secs(30);

/// The lease file of a repository, as one store uses it.
#[derive(Debug)]
pub(super) struct LeaseFile {
    root: Dir,
    who: String,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    owner: LeaseOwner,
    _beat: Beat,
}

/// Writes the file again and again, until it is dropped.
#[derive(Debug)]
struct Beat {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl LeaseFile {
    pub(super) fn new(root: Dir, who: &str) -> Self {
        Self {
            root,
            who: who.to_owned(),
            held: Mutex::new(None),
        }
    }

    /// Takes the file, and waits for it at most for `limit`; `None` is for ever. Returns whether it was not held before.
    pub(super) fn acquire(
        &self,
        limit: Option<Duration>,
        observer: Option<&dyn Observer>,
    ) -> Result<bool, RepoError> {
        if lock(&self.held).is_some() {
            return Ok(false);
        }
        wait_for_leaseholder(&self.root.path_of(PATH), limit, observer, || self.attempt())?;
        Ok(true)
    }

    /// Takes the file if it is free.
    pub(super) fn try_acquire(&self) -> Result<bool, RepoError> {
        Ok(self.attempt()?.is_none())
    }

    /// Returns whether there are files of owners, or of those who wait: living ones or dead ones.
    pub(super) fn is_there(&self) -> Result<bool, RepoError> {
        Ok(!self.files().map_err(self.failed("look for"))?.is_empty())
    }

    /// Removes what those left who died while they waited; who lives makes it again. The file is held.
    pub(super) fn remove_left(&self) -> Result<(), RepoError> {
        for name in self.files().map_err(self.failed("look for"))? {
            let path = format!("{HOLDER}/{name}");
            if path != PATH {
                (self.root.unlink(&path)).map_err(RepoError::io("remove", self.root.path_of(&path)))?;
            }
        }
        Ok(())
    }

    /// Returns the names of such files.
    fn files(&self) -> io::Result<Vec<String>> {
        let Some(holder) = self.root.open_dir_if_exists(HOLDER)? else {
            return Ok(Vec::new());
        };
        let names = holder
            .entries()?
            .into_iter()
            .filter_map(|entry| entry.name.into_string().ok());
        let is_one = |name: &String| name == "lease" || name.starts_with("lease-");
        Ok(names.filter(is_one).collect())
    }

    /// Returns whether the file is ours, by what it says now.
    pub(super) fn is_held(&self) -> Result<bool, RepoError> {
        let held = lock(&self.held);
        let Some(held) = &*held else { return Ok(false) };
        let found = self
            .root
            .read_if_exists(PATH, LIMIT)
            .map_err(self.failed("read"))?;
        Ok(found.and_then(|bytes| LeaseOwner::parse(&bytes)).as_ref() == Some(&held.owner))
    }

    /// Lets go of it, if it is held. Where that fails the next run takes it over, since this process is dead by then.
    pub(super) fn release(&self) {
        let is_ours = matches!(self.is_held(), Ok(true));
        if lock(&self.held).take().is_some() && is_ours {
            drop(self.root.unlink(PATH));
        }
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> RepoError {
        RepoError::io(what, self.root.path_of(PATH))
    }

    /// Takes the file, also from one who is gone; or tells who has it.
    fn attempt(&self) -> Result<Option<Leaseholder>, RepoError> {
        let mut held = lock(&self.held);
        if held.is_some() {
            return Ok(None);
        }
        let owner = LeaseOwner::of_this_process(&self.who).map_err(self.failed("make"))?;
        let taken = self.take(&owner).map_err(self.failed("make"))?;
        match taken {
            Ok(beat) => {
                *held = Some(Held { owner, _beat: beat });
                Ok(None)
            }
            Err(other) => Ok(Some(other)),
        }
    }

    fn take(&self, owner: &LeaseOwner) -> io::Result<Result<Beat, Leaseholder>> {
        let bytes = serde_json::to_vec(owner)?;
        self.root.ensure_dir(HOLDER, 0o777)?;
        let own = format!("{PATH}-{}", owner.token);
        let taken = self.take_by(owner, &own, &bytes);
        // It is of no use any more, and removed by the next run if it cannot be removed now.
        drop(self.root.unlink(&own));
        taken
    }

    /// Writes a file of its own, which tells the time of the far end as well, and gives it the name by which it counts.
    fn take_by(&self, owner: &LeaseOwner, own: &str, bytes: &[u8]) -> io::Result<Result<Beat, Leaseholder>> {
        loop {
            self.root.unlink(own)?;
            let Some(file) = self.written(own, bytes)? else {
                continue;
            };
            let now = FileStat::of(&file)?.mtime.0;
            match self.give_name(own, bytes, file) {
                Ok(Some(file)) => {
                    let beat = Beat::start(file, bytes.to_vec(), BEAT);
                    if beat.is_err() {
                        self.root.unlink(PATH)?;
                    }
                    return beat.map(Ok);
                }
                Ok(None) => {}
                // Somebody who tidied up has taken it for left.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                Err(fault) => return Err(fault),
            }
            let Some(found) = self.root.read_if_exists(PATH, LIMIT)? else {
                continue;
            };
            let Some(stat) = self.root.stat(PATH)? else {
                continue;
            };
            let other = Leaseholder {
                owner: LeaseOwner::parse(&found),
                silent: now - stat.mtime.0,
            };
            if !other.is_gone() || !self.put_aside(owner, &found, &stat)? {
                return Ok(Err(other));
            }
        }
    }

    /// Makes a file; `None` where something has the name.
    fn written(&self, path: &str, bytes: &[u8]) -> io::Result<Option<File>> {
        let Some(mut file) = self.root.create_new(path, 0o644)? else {
            return Ok(None);
        };
        file.write_all(bytes)?;
        sync_file(&file)?;
        Ok(Some(file))
    }

    /// Gives a file the name by which it counts, unless there is one. Where there are no links another one is made: who dies
    /// before it is written is known to nobody.
    fn give_name(&self, own: &str, bytes: &[u8], file: File) -> io::Result<Option<File>> {
        match self.root.link_from(PATH, &self.root, own) {
            Ok(Linked::New) => Ok(Some(file)),
            Ok(Linked::Exists) => Ok(None),
            Err(fault)
                if [Errno::PERM, Errno::NOSYS, Errno::OPNOTSUPP]
                    .map(Some)
                    .contains(&Errno::from_io_error(&fault)) =>
            {
                let made = self.written(PATH, bytes);
                if made.is_err() {
                    drop(self.root.unlink(PATH));
                }
                made
            }
            Err(fault) => Err(fault),
        }
    }

    /// Takes the name from a file, if it is the one that was judged. Returns `false` if it is not, and has its name again.
    fn put_aside(&self, owner: &LeaseOwner, judged: &[u8], before: &FileStat) -> io::Result<bool> {
        let aside = format!("{PATH}-{}-aside", owner.token);
        match Dir::rename_over(&self.root, PATH, &self.root, &aside) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(true),
            renamed => renamed?,
        }
        let same_bytes = self.root.read_if_exists(&aside, LIMIT)?.as_deref() == Some(judged);
        let same_time = (self.root.stat(&aside)?).is_some_and(|stat| stat.mtime == before.mtime);
        if !(same_bytes && same_time) {
            // Whoever has made one in between is right: the owner of this one will see that.
            let _whose = Dir::rename_new(&self.root, &aside, &self.root, PATH)?;
        }
        self.root.unlink(&aside)?;
        Ok(same_bytes && same_time)
    }
}

impl Drop for LeaseFile {
    fn drop(&mut self) {
        self.release();
    }
}

impl Beat {
    fn start(file: File, bytes: Vec<u8>, every: Duration) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().spawn(move || {
            let (stopped, woken) = &*stopped;
            let mut over = lock(stopped);
            while !*over {
                let (guard, wait) = woken
                    .wait_timeout(over, every)
                    .unwrap_or_else(PoisonError::into_inner);
                over = guard;
                if wait.timed_out() {
                    // By the open file: whoever has the name now, this one is ours. A failure shows at the next look.
                    drop(file.write_all_at(&bytes, 0).and_then(|()| sync_file(&file)));
                }
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let (stopped, woken) = &*self.stop;
        *lock(stopped) = true;
        woken.notify_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn owner_writes_its_file_again_and_again_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = Dir::open(dir.path()).unwrap();
        let file = root.create_new("one", 0o644).unwrap().unwrap();
        let beat = Beat::start(file, b"alive".to_vec(), Duration::from_millis(1)).unwrap();
        Dir::rename_over(&root, "one", &root, "other").unwrap();
        for _ in 0..2 {
            std::fs::write(dir.path().join("other"), "").unwrap();
            let start = Instant::now();
            while std::fs::read(dir.path().join("other")).unwrap() != b"alive" {
                assert!(start.elapsed() < Duration::from_secs(60));
                std::thread::yield_now();
            }
        }
        drop(beat);
        assert!(!dir.path().join("one").exists());
    }
}
