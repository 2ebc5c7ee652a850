//! Copying refs to a removable medium, where programs look for them when it is mounted.
//!
//! ```text
//! .ostree/repo, ostree/repo          the repository, if it lies where everybody looks
//! .ostree/repos.d/NN-generated       a relative link to it, if it lies elsewhere
//! ```
//!
//! The repository is an archive; the refs are kept as those of their collections. Order of effects: the repository,
//! the refs with all that they need as a local pull orders it, the summary (unsigned), the link. Who comes by the
//! link or the summary finds all of it.

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::pull_local::{PullLocalOptions, PullLocalStats, PullTarget, pull_local_with};
use crate::repo::{DIR_MODE, OpenOptions, Repo};
use crate::sign::Trust;
use crate::summary::{SummaryOptions, update_summary};
use ostler_format::{Checksum, CollectionRef, RepoMode};
use std::path::{Component, Path, PathBuf};

/// Where everybody looks, without a link.
const KNOWN: [&str; 2] = [".ostree/repo", "ostree/repo"];

/// Whatever lies in here is looked at.
const LINKS: &str = ".ostree/repos.d";

/// How many names for links there are.
const MAX_LINKS: u32 = 100;

/// What to copy, and where to.
#[derive(Debug, Clone)]
pub struct UsbOptions {
    /// The repository on the medium, relative to where that is mounted.
    pub destination: PathBuf,
    /// In place of the commit that the only ref names.
    pub commit: Option<Checksum>,
    /// The time for the summary, in seconds since the epoch.
    pub now: u64,
    /// How to open the repository on the medium.
    pub open: OpenOptions,
    /// How many threads copy.
    pub threads: usize,
}

/// Copies refs of collections from `source` to the medium that is mounted at `mount`.
///
/// # Errors
/// [`RepoError::NotFound`] for a ref that the source lacks: nothing is made then. [`RepoError::Invalid`] for a
/// destination that is not below the mount, or holds a repository that is no archive; as
/// [`pull_local`](crate::pull_local()).
pub fn create_usb(
    source: &Repo,
    mount: &Path,
    refs: &[CollectionRef],
    options: &UsbOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PullLocalStats> {
    let destination = normal(&options.destination)?;
    let root = Dir::open(mount).map_err(RepoError::io("open", mount))?;
    let mut targets = Vec::new();
    for name in refs {
        let found = source.find_collection_ref(name)?;
        targets.push(PullTarget::Collection(
            name.clone(),
            Some(options.commit.unwrap_or(found)),
        ));
    }
    let path = mount.join(&destination);
    Repo::create(&path, RepoMode::Archive, None)?;
    let repo = Repo::open_with(&path, options.open.clone())?;
    if repo.mode() != RepoMode::Archive {
        let detail = format!("it holds a repository of mode {}, not an archive", repo.mode());
        return Err(RepoError::invalid(
            format!("destination {}", path.display()),
            detail,
        ));
    }
    let pull = PullLocalOptions {
        threads: options.threads,
        ..PullLocalOptions::default()
    };
    let stats = pull_local_with(&repo, source, &targets, &pull, &Trust::none(), progress)?;
    let summary = SummaryOptions {
        now: options.now,
        keep_unknown: true,
        ..SummaryOptions::default()
    };
    let _size = update_summary(&repo, &summary)?;
    link(&root, &destination)?;
    Ok(stats)
}

/// Refuses a path that leads out of the mount, and drops what means nothing in others.
fn normal(path: &Path) -> Result<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let what = format!("destination '{}'", path.display());
                return Err(RepoError::invalid(what, "it is not below the mount"));
            }
        }
    }
    if normal.as_os_str().is_empty() {
        return Err(RepoError::invalid("destination", "it is empty"));
    }
    Ok(normal)
}

/// Makes a link to a repository, unless everybody looks there anyway or there is one.
fn link(root: &Dir, destination: &Path) -> Result<()> {
    let known = KNOWN.iter().any(|known| Path::new(known) == destination);
    if known || destination.parent() == Some(Path::new(LINKS)) {
        return Ok(());
    }
    let failed = || RepoError::io("make a link in", root.path_of(LINKS));
    root.ensure_dir(LINKS, DIR_MODE).map_err(failed())?;
    let links = root.open_dir(LINKS).map_err(failed())?;
    let up = Path::new(LINKS).components().count();
    let mut target = PathBuf::new();
    target.extend(std::iter::repeat_n("..", up));
    target.push(destination);
    for entry in links.entries().map_err(failed())? {
        // What is no link has no target.
        if links.read_link(&entry.name).is_ok_and(|found| found == target) {
            return Ok(());
        }
    }
    for number in 0..MAX_LINKS {
        match links.symlink(&target, format!("{number:02}-generated")) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                made.map_err(failed())?;
                return root.sync_parents(format!("{LINKS}/link")).map_err(failed());
            }
        }
    }
    Err(RepoError::AlreadyExists {
        what: format!("every name of a link in {}", root.path_of(LINKS).display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_below_the_mount() {
        assert_eq!(normal(Path::new("./a//b/.")).unwrap(), Path::new("a/b"));
        for bad in ["", ".", "/a", "../a", "a/../../b"] {
            assert!(normal(Path::new(bad)).is_err(), "{bad:?}");
        }
    }
}
