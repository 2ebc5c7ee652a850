//! Which part of a tree is wanted: all of it, or only what lies at or below some paths.

use std::sync::Arc;

/// What is wanted of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    All,
    /// Only these paths below it, each a list of names that is not empty.
    Paths(Arc<[Vec<String>]>),
}

impl Part {
    /// Reads absolute paths as they are given; none means all.
    pub(super) fn of_paths(paths: &[String]) -> Self {
        let split: Vec<Vec<String>> = paths
            .iter()
            .map(|path| {
                path.split('/')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect()
            })
            .collect();
        Self::of_split(split)
    }

    fn of_split(paths: Vec<Vec<String>>) -> Self {
        if paths.is_empty() || paths.iter().any(Vec::is_empty) {
            Self::All
        } else {
            Self::Paths(paths.into())
        }
    }

    /// Returns whether all is wanted.
    pub(super) fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Returns whether a file of the directory is wanted.
    pub(super) fn has_file(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Paths(paths) => paths
                .iter()
                .any(|path| matches!(path.as_slice(), [only] if only == name)),
        }
    }

    /// Returns what is wanted of a directory in it; `None` if nothing is.
    pub(super) fn of_dir(&self, name: &str) -> Option<Self> {
        let Self::Paths(paths) = self else {
            return Some(Self::All);
        };
        let below: Vec<Vec<String>> = paths
            .iter()
            .filter_map(|path| match path.split_first() {
                Some((first, rest)) if first == name => Some(rest.to_vec()),
                _ => None,
            })
            .collect();
        (!below.is_empty()).then(|| Self::of_split(below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(paths: &[&str]) -> Part {
        Part::of_paths(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn no_path_and_the_root_are_all() {
        for paths in [&[] as &[&str], &["/"], &["/a", "/"]] {
            assert!(part(paths).is_all(), "{paths:?}");
        }
    }

    #[test]
    fn only_what_leads_to_a_path_or_lies_below_it_is_wanted() {
        let root = part(&["/usr/bin", "/usr/lib/x", "/etc"]);
        assert!(!root.has_file("usr") && root.has_file("etc"));
        assert_eq!(root.of_dir("etc"), Some(Part::All));
        assert_eq!(root.of_dir("var"), None);
        let usr = root.of_dir("usr").unwrap();
        assert_eq!(usr.of_dir("bin"), Some(Part::All));
        assert_eq!(usr.of_dir("lib"), Some(part(&["x"])));
        assert!(usr.has_file("bin") && !usr.has_file("lib"));
    }
}
