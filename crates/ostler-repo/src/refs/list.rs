//! Listing refs: what is on disk under valid names.
//!
//! Other names (temporary files of other programs, a checksum) are not refs and are passed over, as are aliases
//! to nothing. Several refs that change while they are listed may be listed some before and some after the
//! change; whoever needs them of one moment holds the lock or reads again.

use super::{RefKey, Space, Survey, Value, read_value};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind};
use crate::parallel::{READERS, spread};
use crate::repo::Repo;
use ostler_format::{Checksum, CollectionId, CollectionRef, RefName, Refspec, RemoteName};
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Which refs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefScope {
    /// Those of the repository itself.
    Local,
    /// Those of remotes.
    Remotes,
    /// Both.
    All,
}

impl Repo {
    /// Returns the refs of this repository, aliases among them; those of mirrored collections are not refspecs
    /// and are listed by [`list_all_refs`](Self::list_all_refs) and
    /// [`list_collection_refs`](Self::list_collection_refs).
    ///
    /// # Errors
    /// [`RepoError::DamagedRef`] for a file that is no ref under a name that is one; [`RepoError::Io`].
    pub fn list_refs(&self, scope: RefScope) -> Result<BTreeMap<Refspec, Checksum>> {
        self.survey_refs(scope)?.into_sound()
    }

    /// Returns what [`list_refs`](Self::list_refs) does, with those that are damaged.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn survey_refs(&self, scope: RefScope) -> Result<Survey<Refspec>> {
        let mut survey = Survey::default();
        if scope != RefScope::Remotes {
            survey.add(self.survey_space(&Space::Heads)?, Refspec::local);
        }
        if scope != RefScope::Local {
            for remote in self.tracked_remotes()? {
                let refs = self.survey_space(&Space::Remote(remote.clone()))?;
                survey.add(refs, |name| Refspec {
                    remote: Some(remote.clone()),
                    name,
                });
            }
        }
        Ok(survey)
    }

    /// Returns the refs of collections: our own, if the repository has a collection, those mirrored, and those
    /// of remotes that are configured with a collection. Where several say different things, in this order.
    ///
    /// # Errors
    /// As [`list_refs`](Self::list_refs).
    pub fn list_collection_refs(&self) -> Result<BTreeMap<CollectionRef, Checksum>> {
        self.survey_collection_refs()?.into_sound()
    }

    /// Returns what [`list_collection_refs`](Self::list_collection_refs) does, with those that are damaged.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn survey_collection_refs(&self) -> Result<Survey<CollectionRef>> {
        let mut spaces = Vec::new();
        if let Some(own) = self.config().collection_id() {
            spaces.push((own.clone(), Space::Heads));
        }
        for id in self.mirrored_collections()? {
            spaces.push((id.clone(), Space::Mirror(id)));
        }
        for remote in self.config().remotes() {
            if let Some(id) = self.config().remote_collection_id(&remote)? {
                spaces.push((id, Space::Remote(remote)));
            }
        }
        let mut survey = Survey::default();
        for (id, space) in spaces {
            survey.add(self.survey_space(&space)?, |name| CollectionRef {
                collection: Some(id.clone()),
                name,
            });
        }
        Ok(survey)
    }

    /// Returns the commit of a ref of a collection, of whichever kind it is here.
    ///
    /// # Errors
    /// [`RepoError::NotFound`], in stock's words; [`RepoError::DamagedRef`] if it is damaged; [`RepoError::Io`].
    pub fn find_collection_ref(&self, name: &CollectionRef) -> Result<Checksum> {
        let mut survey = self.survey_collection_refs()?;
        survey.retain(|found| found == name);
        survey.into_sound()?.remove(name).ok_or_else(|| {
            let collection = name.collection.as_ref().map_or("", CollectionId::as_str);
            RepoError::not_found(format!("Collection–ref ({collection}, {})", name.name))
        })
    }

    /// Returns every ref of this repository: its own, those of remotes, those of mirrored collections. These
    /// are what keeps commits from being removed.
    ///
    /// # Errors
    /// As [`list_refs`](Self::list_refs).
    pub fn list_all_refs(&self) -> Result<BTreeMap<RefKey, Checksum>> {
        self.survey_all_refs()?.into_sound()
    }

    /// Returns what [`list_all_refs`](Self::list_all_refs) does, with those that are damaged.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn survey_all_refs(&self) -> Result<Survey> {
        let mut survey = Survey::default();
        survey.add(self.survey_refs(RefScope::All)?, RefKey::from);
        for id in self.mirrored_collections()? {
            survey.add(self.survey_space(&Space::Mirror(id.clone()))?, |name| {
                let collection = Some(id.clone());
                CollectionRef { collection, name }.into()
            });
        }
        Ok(survey)
    }

    /// Returns the remotes that refs are kept of, configured or not.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn tracked_remotes(&self) -> Result<Vec<RemoteName>> {
        self.directories("refs/remotes", |name| RemoteName::new(name).ok())
    }

    /// Returns the collections that refs are mirrored of.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn mirrored_collections(&self) -> Result<Vec<CollectionId>> {
        self.directories("refs/mirrors", |name| CollectionId::new(name).ok())
    }

    fn directories<T: Ord>(&self, path: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let list = || match self.root().open_dir_if_exists(path)? {
            None => Ok(Vec::new()),
            Some(dir) => dir.entries(),
        };
        let entries = list().map_err(RepoError::io("list", self.root().path_of(path)))?;
        let mut found: Vec<T> = entries
            .into_iter()
            .filter(|entry| entry.kind == FileKind::Directory)
            .filter_map(|entry| read(entry.name.to_str()?))
            .collect();
        found.sort();
        Ok(found)
    }

    /// Returns the refs of the repository itself by name alone.
    pub(crate) fn list_heads(&self) -> Result<BTreeMap<RefName, Checksum>> {
        self.survey_space(&Space::Heads)?.into_sound()
    }

    fn survey_space(&self, space: &Space) -> Result<Survey<RefName>> {
        let mut survey = Survey::default();
        let Some(dir) = self.open_space(space)? else {
            return Ok(survey);
        };
        let read = |reader: &mut Reader, (name, _): &(RefName, FileKind)| {
            let value = match reader.read_usual(&dir, name) {
                None => read_value(&dir, space, name)?,
                Some(commit) => Some(Value::Commit(commit)),
            };
            reader.refs.extend(value.map(|value| (name.clone(), value)));
            Ok::<_, RepoError>(())
        };
        let names = names_below(&dir, "")?;
        let never = AtomicBool::new(false);
        let readers = spread(&names, READERS, &never, Reader::default, read, |_| {})?;
        for (name, value) in readers.into_iter().flat_map(|reader| reader.refs) {
            match value {
                Value::Commit(commit) => drop(survey.refs.insert(name, commit)),
                Value::Damaged(damaged) => drop(survey.damaged.insert(name, damaged)),
            }
        }
        Ok(survey)
    }
}

/// Reads refs, those of one directory after the other.
#[derive(Default)]
struct Reader {
    /// The directory of the last ref, relative to that of all.
    parent: Option<(String, Dir)>,
    refs: Vec<(RefName, Value)>,
}

impl Reader {
    /// Returns the commit of a ref whose file is as files of refs usually are: no alias, 64 digits and a newline. That takes
    /// half the time of a look from the top. `None` says nothing about any other.
    fn read_usual(&mut self, dir: &Dir, name: &RefName) -> Option<Checksum> {
        const DIGITS: usize = 64;
        let (parent, file) = name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()));
        if self.parent.as_ref().is_none_or(|(path, _)| path != parent) {
            let opened = match parent {
                "" => dir.clone(),
                path => dir.open_dir(path).ok()?,
            };
            self.parent = Some((parent.to_owned(), opened));
        }
        let (_, holder) = self.parent.as_ref()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
        let opened = rustix::fs::openat(holder, file, flags, Mode::empty()).ok()?;
        let mut bytes = [0; DIGITS + 2];
        let length = rustix::io::read(&opened, &mut bytes).ok()?;
        let digits = bytes.get(..length)?.strip_suffix(b"\n")?;
        Checksum::from_hex(std::str::from_utf8(digits).ok()?).ok()
    }
}

/// Returns the valid names of files and links in `dir`, from the directory `start` ("" is all) downwards.
pub(super) fn names_below(dir: &Dir, start: &str) -> Result<Vec<(RefName, FileKind)>> {
    let mut names = Vec::new();
    let mut todo = vec![start.to_owned()];
    while let Some(prefix) = todo.pop() {
        let list = || {
            let below = match prefix.as_str() {
                "" => Some(dir.clone()),
                path => dir.open_dir_if_exists(path)?,
            };
            below.map_or(Ok(Vec::new()), |below| below.entries())
        };
        let entries = list().map_err(RepoError::io("list", dir.path_of(&prefix)))?;
        for entry in entries {
            let Some(part) = entry.name.to_str() else {
                continue;
            };
            let path = match prefix.as_str() {
                "" => part.to_owned(),
                prefix => format!("{prefix}/{part}"),
            };
            match (entry.kind, RefName::new(&path)) {
                (FileKind::Directory, Ok(_)) => todo.push(path),
                (kind @ (FileKind::Regular | FileKind::Symlink), Ok(name)) => names.push((name, kind)),
                _ => {}
            }
        }
    }
    Ok(names)
}
