//! The directory of the demo, and what lies where in it.

use crate::exit;
use crate::real_path::real_path;
use anyhow::Context as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// There is something in the directory already.
#[derive(Debug, thiserror::Error)]
#[error("{} is not empty", .0.display())]
pub(crate) struct Occupied(pub(crate) PathBuf);

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Stock `ostree`.
    Stock,
    /// This program.
    Own,
}

impl Who {
    /// Returns what the names of its directories begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Stock => "",
            Self::Own => "own-",
        }
    }
}

/// The directory, by its absolute path.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// Makes the directory, or takes an empty one. It may not lie in the tree that is to be left alone.
    pub(super) fn make(dir: &Path, tree: Option<&Path>) -> anyhow::Result<Self> {
        let dir = real_path(dir).with_context(|| format!("cannot work in {}", dir.display()))?;
        if let Some(tree) = tree {
            let tree = fs::canonicalize(tree).with_context(|| format!("cannot read {}", tree.display()))?;
            if !tree.is_dir() {
                return Err(exit::usage(format!("{} is not a directory", tree.display())));
            }
            if dir.starts_with(&tree) {
                let (dir, tree) = (dir.display(), tree.display());
                return Err(exit::usage(format!(
                    "{dir} would lie in the tree {tree}: name a place elsewhere with --dir"
                )));
            }
        }
        match fs::read_dir(&dir) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Occupied(dir).into());
                }
            }
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            }
            Err(fault) => {
                return Err(fault).with_context(|| format!("cannot look into {}", dir.display()));
            }
        }
        Ok(Self(dir))
    }

    /// Returns the directory itself.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns where the files to commit lie.
    pub(super) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// Returns the private repository.
    pub(super) fn build(&self) -> PathBuf {
        self.0.join("build")
    }

    /// Returns the public repository.
    pub(super) fn public(&self) -> PathBuf {
        self.0.join("public")
    }

    /// Returns the repository of a client.
    pub(super) fn client(&self, who: Who) -> PathBuf {
        self.0.join(format!("{}client", who.prefix()))
    }

    /// Returns where a client leaves the files of a version.
    pub(super) fn checkout(&self, who: Who, version: u8) -> PathBuf {
        self.0.join(format!("{}checkout-{version}", who.prefix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_something_in_it_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("used")).unwrap();
        assert!(Place::make(&scratch.path().join("used"), None).is_ok());

        fs::write(scratch.path().join("used/file"), "").unwrap();

        let error = Place::make(&scratch.path().join("used"), None).unwrap_err();
        assert!(error.is::<Occupied>(), "{error}");
        let error = Place::make(&scratch.path().join("used/file"), None).unwrap_err();
        assert!(!error.is::<Occupied>(), "{error}");
    }

    #[test]
    fn a_place_inside_the_tree_is_refused_before_it_is_made() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink("tree", scratch.path().join("link")).unwrap();
        for dir in ["tree", "tree/a/b", "link/a", "tree/../link/a"] {
            let error = Place::make(&scratch.path().join(dir), Some(&tree)).unwrap_err();
            assert!(error.is::<exit::UsageError>(), "{dir}: {error}");
        }
        assert_eq!(fs::read_dir(&tree).unwrap().count(), 0);
        fs::write(tree.join("file"), "").unwrap();
        let error = Place::make(&scratch.path().join("new"), Some(&tree.join("file"))).unwrap_err();
        assert!(error.is::<exit::UsageError>(), "{error}");
        assert!(!scratch.path().join("new").exists());
        let place = Place::make(&scratch.path().join("tree-2/a"), Some(&tree)).unwrap();
        assert!(place.path().is_dir());
    }
}
