//! Walking the sources of a commit: what the calling thread does while workers read files.
//!
//! Directories are opened relative to the one that holds them, without following symbolic links, and listed whole,
//! so that as many descriptors are open as the tree is deep, and those of directories whose files are still
//! waiting.

use super::consume::Consumed;
use super::ingest::{Ingest, Job, Source, not_committable, usable_xattrs};
use super::rules::{ModeChange, PathRules, Verdict};
use super::tree::{MutableTree, NodeId, Slot};
use super::{BATCH, BATCH_BYTES};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind};
use crate::walk::{MAX_DEPTH, push_name, too_deep};
use crate::xattrs;
use crossbeam_channel::Sender;
use ostler_format::{Checksum, DirMeta, ObjectType, S_IFDIR, S_IFREG, Xattrs};
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Puts the tree together and hands files to the workers.
pub(super) struct Scan<'a, 't> {
    pub(super) shared: &'a Ingest<'a>,
    pub(super) tree: &'a mut MutableTree<'t>,
    pub(super) paths: PathRules<'a>,
    pub(super) jobs: Sender<Vec<Job>>,
    /// Files that wait until there are enough to hand on.
    pub(super) batch: Vec<Job>,
    /// How many bytes they hold that were read already.
    pub(super) batch_bytes: usize,
    /// Dirmetas that were written: there are few that differ.
    pub(super) metas: HashMap<DirMeta, Checksum>,
    /// How many directories came by.
    pub(super) dirmetas: u64,
    /// What is to be removed afterwards, if anything is.
    pub(super) consumed: Option<Consumed>,
    /// Whether a worker failed, so that going on is in vain.
    pub(super) failed: &'a AtomicBool,
}

/// A directory that is being gone through.
struct Frame {
    dir: Dir,
    node: NodeId,
    below: std::vec::IntoIter<String>,
    /// The length of the path of the directory above.
    above: usize,
}

impl Scan<'_, '_> {
    /// Lays a directory on disk over the tree.
    pub(super) fn directory(&mut self, path: &Path) -> Result<()> {
        let root = Dir::open(path).map_err(|error| RepoError::Refused {
            detail: format!("opendir({}): {}", path.display(), system_text(&error)),
        })?;
        if let Some(consumed) = &mut self.consumed {
            consumed.begin(path.to_path_buf(), root.clone());
        }
        let mut path = String::from("/");
        let mut stack: Vec<Frame> = Vec::new();
        stack.extend(self.enter(root, MutableTree::ROOT, &path, 0)?);
        while let Some(frame) = stack.last_mut() {
            let Some(name) = frame.below.next() else {
                path.truncate(frame.above);
                stack.pop();
                continue;
            };
            let above = path.len();
            push_name(&mut path, &name);
            if self.paths.is_skipped(&path) {
                self.note_skipped(&path);
                path.truncate(above);
                continue;
            }
            let dir = open_child(&frame.dir, &name)?;
            let node = self.tree.ensure_dir(frame.node, &name)?;
            match self.enter(dir, node, &path, above)? {
                Some(_) if stack.len() >= MAX_DEPTH => return Err(too_deep()),
                Some(frame) => stack.push(frame),
                None => path.truncate(above),
            }
        }
        Ok(())
    }

    /// Writes the dirmeta of a directory and hands its files out; `None` if it is to be left out.
    fn enter(&mut self, dir: Dir, node: NodeId, path: &str, above: usize) -> Result<Option<Frame>> {
        let Verdict::Take(change) = self.paths.look_up(path, S_IFDIR) else {
            return Ok(None);
        };
        if let Some(consumed) = &mut self.consumed {
            consumed.directory(path);
        }
        let failed = |doing: &'static str| RepoError::io(doing, dir.path());
        let stat = dir.stat_self().map_err(failed("look at"))?;
        let xattrs = if self.shared.drops_xattrs() {
            Xattrs::default()
        } else {
            usable_xattrs(xattrs::read_file(&dir).map_err(failed("read the extended attributes of"))?)?
        };
        let meta = DirMeta {
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode,
            xattrs,
        };
        self.set_meta(node, meta, change)?;
        let mut below = Vec::new();
        let entries = dir.entries().map_err(failed("list"))?;
        for entry in entries {
            let name = utf8_name(entry.name, &dir)?;
            match entry.kind {
                FileKind::Directory => below.push(name),
                FileKind::Regular => self.file(node, path, &dir, name, Source::Regular)?,
                FileKind::Symlink => self.file(node, path, &dir, name, Source::Symlink)?,
                FileKind::Special => return Err(not_committable(&name)),
            }
        }
        Ok(Some(Frame {
            dir,
            node,
            below: below.into_iter(),
            above,
        }))
    }

    fn file(
        &mut self,
        node: NodeId,
        directory: &str,
        source: &Dir,
        name: String,
        kind: fn(Dir, String) -> Source,
    ) -> Result<()> {
        if !self.paths.matter() && self.consumed.is_none() {
            let slot = self.tree.put_file(node, &name)?;
            return self.submit(kind(source.clone(), name), slot, None);
        }
        let mut path = String::from(directory);
        push_name(&mut path, &name);
        let Verdict::Take(change) = self.paths.look_up(&path, S_IFREG) else {
            self.note_skipped(&path);
            return Ok(());
        };
        let place = self.consumed.as_mut().map(|consumed| consumed.file(&path));
        let slot = self.tree.put_file(node, &name)?;
        self.submit_job(Job {
            source: kind(source.clone(), name),
            slot,
            change,
            place,
        })
    }

    fn note_skipped(&mut self, path: &str) {
        if let Some(consumed) = &mut self.consumed {
            consumed.skipped(path);
        }
    }

    fn look_up_file(&mut self, directory: &str, name: &str) -> Verdict {
        if !self.paths.matter() {
            return Verdict::Take(None);
        }
        let mut path = String::from(directory);
        push_name(&mut path, name);
        self.paths.look_up(&path, S_IFREG)
    }

    pub(super) fn submit(&mut self, source: Source, slot: Slot, change: Option<ModeChange>) -> Result<()> {
        self.submit_job(Job {
            source,
            slot,
            change,
            place: None,
        })
    }

    fn submit_job(&mut self, job: Job) -> Result<()> {
        if let Source::Payload(_, payload) = &job.source {
            self.batch_bytes += payload.len();
        }
        self.batch.push(job);
        if self.batch.len() < BATCH && self.batch_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.submit_rest()
    }

    /// Hands the files that wait for a full batch to the workers.
    pub(super) fn submit_rest(&mut self) -> Result<()> {
        self.batch_bytes = 0;
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let sent = !self.failed.load(Ordering::Relaxed) && self.jobs.send(batch).is_ok();
        // What failed was a worker, and its failure is what will be reported.
        sent.then_some(()).ok_or_else(|| RepoError::Refused {
            detail: "the commit was given up".to_owned(),
        })
    }

    /// Applies the rules to a dirmeta, writes it and gives it to a directory.
    pub(super) fn set_meta(
        &mut self,
        node: NodeId,
        mut meta: DirMeta,
        change: Option<ModeChange>,
    ) -> Result<()> {
        let DirMeta { uid, gid, mode, .. } = &mut meta;
        self.shared.rules.apply(uid, gid, mode, change);
        if self.shared.drops_xattrs() {
            meta.xattrs = Xattrs::default();
        }
        self.set_plain_meta(node, meta)
    }

    /// Writes a dirmeta as it is and gives it to a directory.
    pub(super) fn set_plain_meta(&mut self, node: NodeId, meta: DirMeta) -> Result<()> {
        self.dirmetas += 1;
        let known = self.metas.get(&meta).copied();
        let checksum = known.map_or_else(
            || {
                self.shared
                    .transaction
                    .write_metadata(ObjectType::DirMeta, &meta.to_bytes())
            },
            Ok,
        )?;
        self.metas.insert(meta, checksum);
        self.tree.set_meta(node, checksum);
        Ok(())
    }

    /// Lays the tree of a commit over the tree, changed by the rules if there are any.
    pub(super) fn commit(&mut self, tree: Checksum, meta: Checksum) -> Result<()> {
        if self.shared.rules.is_identity() {
            return self.tree.overlay(MutableTree::ROOT, tree, meta);
        }
        let repo = self.shared.repo;
        let mut pending = vec![(MutableTree::ROOT, tree, meta, String::from("/"), 0)];
        while let Some((node, tree, meta, path, depth)) = pending.pop() {
            if depth >= MAX_DEPTH {
                return Err(too_deep());
            }
            let Verdict::Take(change) = self.paths.look_up(&path, S_IFDIR) else {
                continue;
            };
            self.set_meta(node, repo.load_dirmeta(&meta)?, change)?;
            let contents = repo.load_dirtree(&tree)?;
            for file in contents.files {
                if let Verdict::Take(change) = self.look_up_file(&path, &file.name) {
                    let slot = self.tree.put_file(node, &file.name)?;
                    self.submit(Source::Object(file.checksum), slot, change)?;
                }
            }
            for dir in contents.dirs {
                let mut below = path.clone();
                push_name(&mut below, &dir.name);
                if self.paths.is_skipped(&below) {
                    continue;
                }
                let child = self.tree.ensure_dir(node, &dir.name)?;
                pending.push((child, dir.tree, dir.meta, below, depth + 1));
            }
        }
        Ok(())
    }
}

/// Opens a directory that is no symbolic link.
pub(crate) fn open_child(dir: &Dir, name: &str) -> Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(io::Error::from);
    let path = dir.path_of(name);
    opened
        .map(|fd| Dir::from_fd(fd, path.clone()))
        .map_err(RepoError::io("open directory", path))
}

/// Returns a name as text.
pub(crate) fn utf8_name(name: OsString, dir: &Dir) -> Result<String> {
    name.into_string().map_err(|name| RepoError::Refused {
        detail: format!(
            "Invalid UTF-8 in filename: a name in {} is not UTF-8, as names in a commit have to be: '{}'",
            dir.path().display(),
            name.as_encoded_bytes().escape_ascii()
        ),
    })
}

/// Returns the text of a system error without its number.
fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
