//! What every command is given: the user interface, the environment, and the repository that was asked for.

use crate::cli::Global;
use crate::environment::Environment;
use crate::exit;
use crate::program::Program;
use crate::ui::Ui;
use anyhow::Context as _;
use ostler_format::ObjectName;
use ostler_repo::{LockWait, Observer, OpenOptions, Recovery, RemotesDir, Repo};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The surroundings of a command.
#[derive(Debug)]
pub(crate) struct Context {
    program: Program,
    environment: Environment,
    ui: Arc<Ui>,
    global: Global,
}

/// The repository of a running system, where `OSTREE_SYSROOT` names no other.
const SYSTEM_REPOSITORY: &str = "/ostree/repo";

/// No repository was named, and none of the places to look for one holds any.
#[derive(Debug, thiserror::Error)]
#[error("Command requires a --repo argument")]
pub(crate) struct NoRepository;

impl Context {
    /// Puts the surroundings together.
    pub(crate) fn new(program: Program, environment: Environment, ui: Ui, global: Global) -> Self {
        Self {
            program,
            environment,
            ui: Arc::new(ui),
            global,
        }
    }

    /// Returns the name that we were called by.
    pub(crate) const fn program(&self) -> Program {
        self.program
    }

    /// Returns the user interface.
    pub(crate) fn ui(&self) -> &Ui {
        &self.ui
    }

    /// Returns the user interface, for a thread that may outlive the command.
    pub(crate) fn shared_ui(&self) -> Arc<Ui> {
        Arc::clone(&self.ui)
    }

    /// Returns the environment and the clock.
    pub(crate) const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Opens the repository at `path`, which is not the one that the command is about.
    pub(crate) fn open_at(&self, path: &Path) -> anyhow::Result<Repo> {
        self.open_synced_at(path, true)
    }

    /// Opens the repository that the command is about: `--repo`, else the current directory if it is one, else
    /// `OSTREE_REPO`, else that of the system.
    pub(crate) fn open(&self) -> anyhow::Result<Repo> {
        self.open_synced(true)
    }

    /// Opens the same repository, and without `durable` so that nothing in it is synced.
    pub(crate) fn open_synced(&self, durable: bool) -> anyhow::Result<Repo> {
        self.open_synced_at(&self.path()?, durable)
    }

    /// Opens the same repository to look at it: what a crash cut short is left as it is, and nothing is waited for.
    pub(crate) fn open_untouched(&self) -> anyhow::Result<Repo> {
        Ok(Repo::open_with(&self.path()?, self.open_options(true))?)
    }

    /// Returns the path of the repository that the command is about.
    fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = self.named() {
            return Ok(path);
        }
        let system = match &self.environment.sysroot {
            Some(sysroot) => sysroot.join("ostree/repo"),
            None => PathBuf::from(SYSTEM_REPOSITORY),
        };
        if !system.join("objects").is_dir() {
            return Err(NoRepository.into());
        }
        Ok(system)
    }

    /// Returns how repositories are opened; without `durable` so that nothing in them is synced.
    pub(crate) fn open_options(&self, durable: bool) -> OpenOptions {
        OpenOptions {
            boot_id: self.environment.boot_id.clone(),
            without_fsync: !durable,
            fails_before_commit: self.environment.fails_before_commit,
            remotes_dir: None,
        }
    }

    /// Opens the repository of a system whose root is at `sysroot`, with the remotes that are configured there.
    pub(crate) fn open_sysroot(&self, sysroot: &Path) -> anyhow::Result<Repo> {
        let listed = std::fs::read_dir(sysroot).map(drop);
        listed.with_context(|| format!("loading sysroot: opendir({})", sysroot.display()))?;
        self.open_with(
            &sysroot.join("ostree/repo"),
            OpenOptions {
                remotes_dir: Some(remotes_of(sysroot, false)),
                ..self.open_options(true)
            },
        )
    }

    fn open_synced_at(&self, path: &Path, durable: bool) -> anyhow::Result<Repo> {
        let is_system = path == Path::new(SYSTEM_REPOSITORY);
        let options = OpenOptions {
            remotes_dir: is_system.then(|| remotes_of(Path::new("/"), true)),
            ..self.open_options(durable)
        };
        self.open_with(path, options)
    }

    fn open_with(&self, path: &Path, options: OpenOptions) -> anyhow::Result<Repo> {
        let repo = Repo::open_with(path, options)?;
        if self.global.verbose {
            let (path, mode) = (path.display(), repo.mode());
            self.ui.note(&format!("repository {path}, mode {mode}"));
        }
        repo.set_observer(Arc::new(Waiting {
            ui: Arc::clone(&self.ui),
            environment: self.environment.clone(),
        }));
        self.complete_flip(&repo)?;
        Ok(repo)
    }

    /// Completes a publish to the repository that was cut short, whatever else the command is about.
    fn complete_flip(&self, repo: &Repo) -> anyhow::Result<()> {
        let path = repo.path().display();
        match repo.complete_flip()? {
            None => {}
            Some(Recovery::Completed) => {
                self.ui
                    .note(&format!("completed a change of {path} that was cut short"));
            }
            Some(Recovery::GivenUp) => self.ui.note(&format!(
                "a publish to {path} was cut short, and what it brought was removed since: it is dropped"
            )),
        }
        Ok(())
    }

    /// Returns the path of the repository to create; the one of the system is never meant.
    pub(crate) fn path_to_create(&self) -> anyhow::Result<PathBuf> {
        self.named().ok_or_else(|| exit::usage(NoRepository.to_string()))
    }

    /// Returns the repository that the command line names.
    pub(crate) fn named_repository(&self) -> Option<PathBuf> {
        self.global.repo.clone()
    }

    /// Returns whether the command line names a repository.
    pub(crate) const fn names_repository(&self) -> bool {
        self.global.repo.is_some()
    }

    /// Refuses `--repo` for a command that is about DEST alone.
    ///
    /// # Errors
    /// A usage error.
    pub(crate) fn refuse_repository(&self) -> anyhow::Result<()> {
        if self.names_repository() {
            return Err(exit::usage(
                "the command is about DEST alone: it has no use for --repo",
            ));
        }
        Ok(())
    }

    fn named(&self) -> Option<PathBuf> {
        if self.global.repo.is_some() {
            return self.global.repo.clone();
        }
        if Path::new("objects").is_dir() && Path::new("config").is_file() {
            return Some(PathBuf::from("."));
        }
        self.environment.repo.clone()
    }
}

/// Returns where a system configures remotes beside its repository.
fn remotes_of(sysroot: &Path, takes_new: bool) -> RemotesDir {
    RemotesDir {
        path: sysroot.join("etc/ostree/remotes.d"),
        takes_new,
    }
}

/// Tells the user what a repository waits for.
struct Waiting {
    ui: Arc<Ui>,
    environment: Environment,
}

impl Observer for Waiting {
    fn waiting_for_lock(&self, wait: &LockWait) {
        let holders: Vec<String> = wait.holders.iter().map(ToString::to_string).collect();
        let holders = if let Some(elsewhere) = &wait.elsewhere {
            elsewhere.clone()
        } else if holders.is_empty() {
            "another program".to_owned()
        } else {
            holders.join(", ")
        };
        let limit = wait.limit.map_or_else(String::new, |limit| {
            format!(", giving up after {} s", limit.as_secs())
        });
        self.ui.note(&format!(
            "waiting for the {} lock on {}, held by {holders}{limit}",
            wait.kind,
            wait.path.display(),
        ));
    }

    fn took_damaged(&self, object: &ObjectName) {
        self.ui
            .note(&format!("{object} is damaged, and was copied as it is"));
    }

    fn now(&self) -> Option<u64> {
        Some(self.environment.now())
    }
}
