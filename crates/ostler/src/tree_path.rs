//! Paths inside a commit: always absolute, without `.` and `..`, and never leaving its root.

use crate::ui::printable;
use ostler_format::Checksum;
use ostler_repo::{PathEntry, Repo, RepoError};
use std::fmt;

/// A path inside a commit: `/` or `/a/b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreePath(String);

impl TreePath {
    /// Returns the path for what a user typed, with or without the leading `/`.
    pub(crate) fn new(text: &str) -> Self {
        Self::joined(Vec::new(), text)
    }

    fn joined<'a>(mut parts: Vec<&'a str>, text: &'a str) -> Self {
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                name => parts.push(name),
            }
        }
        Self(format!("/{}", parts.join("/")))
    }

    /// Returns where a symbolic link at this path with `target` leads.
    pub(crate) fn linked(&self, target: &str) -> Self {
        let mut parts: Vec<&str> = self.0.split('/').skip(1).collect();
        parts.pop();
        if target.starts_with('/') {
            parts.clear();
        }
        Self::joined(parts, target)
    }

    /// Returns the path of `name` in this directory.
    pub(crate) fn child(&self, name: &str) -> Self {
        if self.0 == "/" {
            Self(format!("/{name}"))
        } else {
            Self(format!("{}/{name}", self.0))
        }
    }

    /// Returns the text, raw.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

/// Returns what lies at `path` in `commit`; a symbolic link is not followed.
///
/// # Errors
/// Nothing lies there, or the trees on the way cannot be read.
pub(crate) fn find(repo: &Repo, commit: &Checksum, path: &TreePath) -> Result<PathEntry, RepoError> {
    repo.lookup_path(commit, path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_root() {
        for (typed, path) in [
            ("", "/"),
            ("/", "/"),
            ("a", "/a"),
            ("/a//b/./c/", "/a/b/c"),
            ("a/../../b", "/b"),
            ("../..", "/"),
        ] {
            assert_eq!(TreePath::new(typed).as_str(), path, "{typed}");
        }
        for (at, target, path) in [
            ("/a/l", "b", "/a/b"),
            ("/a/l", "../b", "/b"),
            ("/a/l", "/b/c", "/b/c"),
            ("/l", "../../b", "/b"),
        ] {
            assert_eq!(
                TreePath::new(at).linked(target).as_str(),
                path,
                "{at} -> {target}"
            );
        }
    }
}
