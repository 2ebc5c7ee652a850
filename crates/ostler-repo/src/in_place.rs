//! Hard-linking objects straight to their places, without the way through a staging directory.
//!
//! That is as safe as staging where the file system has been synced before: the bytes of an object that the
//! source has are then on disk, whatever name they get. The caller links children before what names them, so
//! that a crash leaves garbage and never a hole. What is to see to it that the new names are on disk before anything
//! refers to them: the sync of the transaction in which a pull adds the commits, or the end of
//! [`Repo::link_in`].
//!
//! Not linked are objects of another owner, who could go on to change what is then ours, and what another mode
//! stores differently.

use crate::error::{RepoError, Result};
use crate::fs::Linked;
use crate::objects::prefixes::{PrefixDirs, file_name, prefix_of};
use crate::parallel::{READERS, spread};
use crate::repo::Repo;
use crate::settle::sync_directories;
use ostler_format::{ObjectName, ObjectType, RepoMode};
use std::io;
use std::sync::atomic::AtomicBool;

impl Repo {
    /// Links objects of `source`, each after those that it names, into place for a publisher that keeps both repositories
    /// locked and has hashed them. Returns `false` where not all of them could be linked; those that could stay. What is
    /// in place already stays as well.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn link_in(&self, source: &Self, objects: &[ObjectName]) -> Result<bool> {
        let Some(links) = InPlace::new(self, source)? else {
            return Ok(false);
        };
        for layer in objects.chunk_by(|a, b| names_nothing(a) && names_nothing(b)) {
            let placed = links.link_all(layer, READERS, &mut |_| {})?;
            if !placed.left.is_empty() {
                return Ok(false);
            }
            for commit in layer.iter().filter(|name| name.kind == ObjectType::Commit) {
                self.remove_tombstone(&commit.checksum)?;
            }
        }
        if self.config().fsync() {
            let touched = objects.iter().map(|name| prefix_of(&name.checksum)).collect();
            sync_directories(self, &touched)?;
        }
        Ok(true)
    }
}

fn names_nothing(name: &ObjectName) -> bool {
    matches!(name.kind, ObjectType::File | ObjectType::DirMeta)
}

/// Two repositories between which objects can be linked.
pub(crate) struct InPlace<'a> {
    from: &'a PrefixDirs,
    to: &'a PrefixDirs,
    mode: RepoMode,
    links_content: bool,
}

/// What became of several objects.
#[derive(Default)]
pub(crate) struct Placed {
    pub(crate) metadata: u64,
    pub(crate) content: u64,
    /// Those that have to be copied.
    pub(crate) left: Vec<ObjectName>,
}

impl<'a> InPlace<'a> {
    /// Prepares linking from `source` to `repo`, which includes the sync; `None` where it is not to be had.
    pub(crate) fn new(repo: &'a Repo, source: &'a Repo) -> Result<Option<Self>> {
        let owner = |repo: &Repo| {
            let stat = repo.objects().stat_self();
            stat.map(|stat| (stat.uid, stat.dev))
                .map_err(RepoError::io("look at", repo.objects().path()))
        };
        if owner(repo)? != owner(source)? {
            return Ok(None);
        }
        if repo.config().fsync() {
            repo.sync_objects()?;
        }
        Ok(Some(Self {
            from: source.object_dirs(),
            to: repo.object_dirs(),
            mode: repo.mode(),
            links_content: repo.mode() == source.mode() && repo.mode() != RepoMode::BareSplitXattrs,
        }))
    }

    /// Links objects that do not name one another, on several threads.
    pub(crate) fn link_all(
        &self,
        names: &[ObjectName],
        threads: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Placed> {
        let never = AtomicBool::new(false);
        let link = |placed: &mut Placed, name: &ObjectName| self.link(name, placed);
        let states = spread(names, threads, &never, Placed::default, link, progress)?;
        let mut all = Placed::default();
        for placed in states {
            all.metadata += placed.metadata;
            all.content += placed.content;
            all.left.extend(placed.left);
        }
        Ok(all)
    }

    /// Links one object.
    fn link(&self, name: &ObjectName, placed: &mut Placed) -> Result<()> {
        let content = name.kind == ObjectType::File;
        let linked = if content && !self.links_content {
            None
        } else {
            let path = self.to.root().path_of(name.loose_path(self.mode));
            self.try_link(name).map_err(RepoError::io("link", path))?
        };
        match linked {
            None => placed.left.push(*name),
            Some(Linked::Exists) => {}
            Some(Linked::New) if content => placed.content += 1,
            Some(Linked::New) => placed.metadata += 1,
        }
        Ok(())
    }

    fn try_link(&self, name: &ObjectName) -> io::Result<Option<Linked>> {
        let prefix = prefix_of(&name.checksum);
        let file = file_name(name, self.mode);
        let Some(from) = self.from.get(prefix)? else {
            return Ok(None);
        };
        let to = self.to.ensure(prefix)?;
        match to.link_from(file.as_str(), from, file.as_str()) {
            // An empty file may be what a power cut left of an object.
            Ok(Linked::Exists) => Ok(to
                .stat(file.as_str())?
                .filter(|stat| stat.size > 0)
                .map(|_| Linked::Exists)),
            Ok(Linked::New) => Ok(Some(Linked::New)),
            // Too many links, a file system without links, files that may not be linked; an object that only
            // a parent repository has, or nobody: copying finds out.
            Err(error) => match error.kind() {
                io::ErrorKind::CrossesDevices
                | io::ErrorKind::TooManyLinks
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported
                | io::ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            },
        }
    }
}
