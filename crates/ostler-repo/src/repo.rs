//! A repository: opening one, making one.
//!
//! ```text
//! config                          mode and settings
//! objects/XX/…                    loose objects; that the directory is there makes it a repository
//! refs/{heads,remotes,mirrors}/   refs
//! state/                          marks of partial commits
//! tmp/                            staging and temporary files
//! extensions/                     free for other programs
//! .lock                           the lock
//! ```
//!
//! Making a repository makes `objects` last: a crash before leaves a directory that is no repository yet, and
//! making it again completes it.

use crate::config::{Config, MAX_CONFIG_SIZE};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileStat, Linked};
use crate::keyfile::KeyFile;
use crate::lock::{FileLock, Observer, RepoLock};
use crate::objects::prefixes::PrefixDirs;
use crate::remote_files::{RemoteFiles, RemotesDir};
use ostler_format::{CollectionId, RepoMode};
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// The permission bits of directories, before the umask.
pub(crate) const DIR_MODE: u32 = 0o775;

/// The permission bits of refs, of a new configuration and the like.
pub(crate) const FILE_MODE: u32 = 0o644;

/// How many parents of parents are followed; a chain that is longer is a circle.
const MAX_PARENTS: u32 = 16;

/// What a new repository consists of, in the order of making.
const DIRECTORIES: [&str; 8] = [
    "tmp",
    "extensions",
    "state",
    "refs",
    "refs/heads",
    "refs/mirrors",
    "refs/remotes",
    "objects",
];

/// An open repository. Threads may share it.
pub struct Repo {
    path: PathBuf,
    root: Dir,
    object_dirs: PrefixDirs,
    tmp: Option<Dir>,
    config: Config,
    parent: Option<Box<Self>>,
    boot_id: OnceLock<String>,
    fails_before_commit: bool,
    remotes_dir: Option<RemotesDir>,
    observer: RwLock<Option<Arc<dyn Observer>>>,
    pub(crate) lock: RepoLock,
}

/// What the caller may bring to opening a repository.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// What stands for this boot of the machine in the names of staging directories, in place of the kernel's
    /// own identifier. The binary takes it from `OSTREE_BOOTID`.
    pub boot_id: Option<String>,
    /// Sync nothing, as with `core.fsync=false`.
    pub without_fsync: bool,
    /// Let every transaction fail before it is committed, as libostree does with `OSTREE_REPO_TEST_ERROR=pre-commit`: for
    /// tests of what is left then.
    pub fails_before_commit: bool,
    /// Where remotes are configured beside the repository. Its parents have no such place.
    pub remotes_dir: Option<RemotesDir>,
}

impl Repo {
    /// Opens a repository.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] when there is no repository at `path`; whatever is wrong with its
    /// configuration or its parents.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, OpenOptions::default())
    }

    /// Opens a repository with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, options: OpenOptions) -> Result<Self> {
        Self::open_nested(path, options, MAX_PARENTS)
    }

    fn open_nested(path: &Path, options: OpenOptions, parents: u32) -> Result<Self> {
        let missing = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => RepoError::not_found(format!("repository {}", path.display())),
            _ => RepoError::io("open repository", path)(error),
        };
        let root = Dir::open(path).map_err(missing)?;
        let objects = root.open_dir("objects").map_err(missing)?;
        let bytes = root
            .read("config", MAX_CONFIG_SIZE)
            .map_err(RepoError::io("read", root.path_of("config")))?;
        let mut config = Config::parse(&bytes)?;
        if options.without_fsync {
            config.disable_fsync();
        }
        if let Some(place) = &options.remotes_dir {
            config.set_remote_files(RemoteFiles::read(&place.path)?);
        }
        let parent = match config.parent() {
            None => None,
            Some(_) if parents == 0 => {
                let detail = format!("more than {MAX_PARENTS} repositories in a row");
                return Err(RepoError::invalid("core.parent in config", detail));
            }
            Some(parent) => {
                let options = OpenOptions {
                    remotes_dir: None,
                    ..options.clone()
                };
                Some(Box::new(Self::open_nested(
                    &path.join(parent),
                    options,
                    parents - 1,
                )?))
            }
        };
        let OpenOptions {
            fails_before_commit,
            remotes_dir,
            ..
        } = options;
        let boot_id = options.boot_id.map_or_else(OnceLock::new, OnceLock::from);
        let tmp = if objects.is_writable(".") {
            Some(open_tmp(&root).map_err(RepoError::io("create", root.path_of("tmp")))?)
        } else {
            None
        };
        Ok(Self {
            path: path.to_path_buf(),
            root,
            object_dirs: PrefixDirs::new(objects),
            tmp,
            config,
            parent,
            boot_id,
            fails_before_commit,
            remotes_dir,
            observer: RwLock::new(None),
            lock: RepoLock::default(),
        })
    }

    /// Makes a repository and opens it. One that is there already is opened as it is.
    ///
    /// # Errors
    /// [`RepoError::AlreadyExists`] for a directory that holds another program's `config`; what the system
    /// answers.
    pub fn create(path: &Path, mode: RepoMode, collection: Option<&CollectionId>) -> Result<Self> {
        make_repository_dir(path)?;
        let root = Dir::open(path).map_err(RepoError::io("open", path))?;
        let found = root
            .stat("objects")
            .map_err(RepoError::io("look at", root.path_of("objects")))?;
        if found.is_some() {
            return Self::open(path);
        }
        write_initial_config(&root, Config::initial(mode, collection).as_bytes())?;
        for directory in DIRECTORIES {
            root.ensure_dir(directory, DIR_MODE)
                .map_err(RepoError::io("create", root.path_of(directory)))?;
        }
        root.sync_parents("refs/heads")
            .map_err(RepoError::io("sync", root.path()))?;
        Self::open(path)
    }

    /// Returns the path that the repository was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the repository's own directory.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// Returns `objects/`.
    pub fn objects(&self) -> &Dir {
        self.object_dirs.root()
    }

    /// Returns the directories below `objects/`.
    pub(crate) fn object_dirs(&self) -> &PrefixDirs {
        &self.object_dirs
    }

    /// Returns `tmp/`.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`] when this process may not write.
    pub fn tmp(&self) -> Result<&Dir> {
        self.tmp.as_ref().ok_or_else(|| RepoError::ReadOnly {
            path: self.path.clone(),
            reason: if self.objects().is_on_read_only_file_system() {
                "Read-only file system"
            } else {
                "Permission denied"
            },
        })
    }

    /// Returns the configuration as it was when the repository was opened.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the mode.
    pub fn mode(&self) -> RepoMode {
        self.config.mode()
    }

    /// Returns the repository that reading falls back to.
    pub fn parent(&self) -> Option<&Self> {
        self.parent.as_deref()
    }

    /// Returns whether this process may write, as libostree decides it: by the permission on `objects/`.
    pub fn is_writable(&self) -> bool {
        self.tmp.is_some()
    }

    /// Returns the present time as the file system has it, in seconds since the epoch: that of a file which is made for it.
    pub(crate) fn present(&self) -> std::io::Result<u64> {
        let (seconds, _) = FileStat::of(&self.root().temp_file(FILE_MODE)?)?.mtime;
        Ok(u64::try_from(seconds).unwrap_or_default())
    }

    /// Fails unless this process may write.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`].
    pub fn require_writable(&self) -> Result<()> {
        self.tmp().map(drop)
    }

    /// Returns what stands for this boot of the machine in the names of staging directories.
    ///
    /// # Errors
    /// [`RepoError::Io`] when the kernel does not tell.
    pub fn boot_id(&self) -> Result<&str> {
        const KERNEL: &str = "/proc/sys/kernel/random/boot_id";
        if let Some(known) = self.boot_id.get() {
            return Ok(known);
        }
        let text = std::fs::read_to_string(KERNEL).map_err(RepoError::io("read", KERNEL))?;
        Ok(self.boot_id.get_or_init(|| text.trim_ascii().to_owned()))
    }

    /// Returns where remotes are configured beside the repository.
    pub(crate) const fn remotes_dir(&self) -> Option<&RemotesDir> {
        self.remotes_dir.as_ref()
    }

    /// Returns whether transactions fail before they are committed.
    pub(crate) const fn fails_before_commit(&self) -> bool {
        self.fails_before_commit
    }

    /// Sets who is told what the repository waits for.
    pub fn set_observer(&self, observer: Arc<dyn Observer>) {
        let mut slot = self.observer.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(observer);
    }

    /// Returns who is told what the repository waits for.
    pub fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the configuration file: reads it afresh, lets `edit` change it, checks that it still makes
    /// sense, and replaces it in one step. Two ostlers that do so at once do it one after the other; other
    /// programs take no part in that. This `Repo` keeps the settings that it was opened with.
    ///
    /// # Errors
    /// What `edit` returns, whatever is wrong with the result, what the system answers.
    pub fn edit_config<T>(&self, edit: impl FnOnce(&mut KeyFile) -> Result<T>) -> Result<T> {
        let path = self.root.path_of("config");
        let tmp = self.tmp()?;
        let observer = self.observer();
        let _serial = FileLock::acquire(
            tmp,
            "ostler-config-lock",
            self.config.lock_timeout(),
            observer.as_deref(),
        )?;
        let before = self
            .root
            .read("config", MAX_CONFIG_SIZE)
            .map_err(RepoError::io("read", &path))?;
        let mut file = KeyFile::parse(&before).map_err(RepoError::format("config"))?;
        let result = edit(&mut file)?;
        let after = Config::from_keyfile(file)?.keyfile().to_bytes();
        if after != before {
            let stat = self
                .root
                .stat("config")
                .map_err(RepoError::io("look at", &path))?;
            let mode = stat.map_or(FILE_MODE, |stat| stat.mode);
            self.root
                .replace_via(tmp, "config", &after, mode, self.config.fsync())
                .map_err(RepoError::io("write", &path))?;
        }
        Ok(result)
    }
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repo")
            .field("path", &self.path)
            .field("mode", &self.mode())
            .field("parent", &self.parent)
            .finish_non_exhaustive()
    }
}

/// Opens `tmp/` of a repository that we may write to, with what libostree expects in it.
fn open_tmp(root: &Dir) -> std::io::Result<Dir> {
    root.ensure_dir("tmp/cache", DIR_MODE)?;
    root.open_dir("tmp")
}

/// Makes the directory of a new repository, and those above it, and brings their names to disk.
fn make_repository_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut existing = path.parent();
    while let Some(above) = existing.filter(|above| !above.as_os_str().is_empty() && !above.is_dir()) {
        existing = above.parent();
    }
    let base = existing
        .filter(|above| !above.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let relative = existing.map_or(Ok(path), |above| path.strip_prefix(above));
    let relative = relative.unwrap_or(path);
    let make = || {
        let base = Dir::open(base)?;
        base.ensure_dir(relative, DIR_MODE)?;
        base.sync_parents(relative)
    };
    make().map_err(RepoError::io("create", path))
}

/// Writes the first configuration. What a making that was cut short left behind is replaced; a `config` that
/// is not of a repository is somebody else's.
fn write_initial_config(root: &Dir, bytes: &[u8]) -> Result<()> {
    let path = root.path_of("config");
    let write = || {
        let mut temp = root.temp_file(FILE_MODE)?;
        temp.write_all(bytes)?;
        temp.set_mode(FILE_MODE)?;
        temp.sync()?;
        root.link_temp(temp, "config")
    };
    if write().map_err(RepoError::io("write", &path))? == Linked::New {
        return Ok(());
    }
    let found = root
        .read("config", MAX_CONFIG_SIZE)
        .map_err(RepoError::io("read", &path))?;
    if found == bytes {
        return Ok(());
    }
    if Config::parse(&found).is_err() {
        let what = format!("a file {} that does not configure a repository", path.display());
        return Err(RepoError::AlreadyExists { what });
    }
    root.ensure_dir("tmp", DIR_MODE)
        .and_then(|_| root.open_dir("tmp"))
        .and_then(|tmp| root.replace_via(&tmp, "config", bytes, FILE_MODE, true))
        .map_err(RepoError::io("write", &path))
}
