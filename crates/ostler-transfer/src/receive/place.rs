//! Where the repository lies that a pusher asks for.
//!
//! A path never leaves the root that the rules give: it has no part `..`, and what it leads to through symbolic links lies below the
//! root as well. Where the receiver was started for one repository, no other is to be had.

use crate::error::{Result, TransferError};
use std::fs::canonicalize;
use std::path::{Component, Path, PathBuf};

/// Returns the path of the repository that is asked for: below `root`, or the one that is given.
///
/// # Errors
/// [`TransferError::Denied`] for any other.
pub fn locate(root: Option<&Path>, given: Option<&Path>, asked: &str) -> Result<PathBuf> {
    if let Some(given) = given {
        let is_it = asked.is_empty() || {
            let same = |asked: &Path| canonicalize(asked).ok() == canonicalize(given).ok();
            same(Path::new(asked)) || root.is_some_and(|root| same(&root.join(relative(asked))))
        };
        if !is_it {
            return Err(denied(asked, "pushes go to another repository here"));
        }
        return Ok(given.to_owned());
    }
    let Some(root) = root else {
        let text = "no repository may be pushed to: receive.toml gives no root, and --repo no repository";
        return Err(TransferError::Denied(text.to_owned()));
    };
    if asked.contains('\0')
        || Path::new(asked)
            .components()
            .any(|part| part == Component::ParentDir)
    {
        return Err(denied(asked, "it is no plain path"));
    }
    let path = if Path::new(asked).is_absolute() && Path::new(asked).starts_with(root) {
        PathBuf::from(asked)
    } else {
        root.join(relative(asked))
    };
    // Whether there is anything outside is nobody's business.
    let missing = || denied(asked, "there is no repository");
    let (Ok(real), Ok(real_root)) = (canonicalize(&path), canonicalize(root)) else {
        return Err(missing());
    };
    if !real.starts_with(&real_root) || !real.join("objects").is_dir() {
        return Err(missing());
    }
    Ok(real)
}

/// A path from the root of all is one from the root that is given.
fn relative(asked: &str) -> &str {
    asked.trim_start_matches('/')
}

fn denied(asked: &str, why: &str) -> TransferError {
    TransferError::Denied(format!("cannot push to '{}': {why}", asked.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_path_leads_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for repo in ["root/a/repo", "outside"] {
            fs::create_dir_all(dir.path().join(repo).join("objects")).unwrap();
        }
        symlink("../outside", root.join("link")).unwrap();
        symlink("a/repo", root.join("inside")).unwrap();
        let repo = canonicalize(root.join("a/repo")).unwrap();
        let whole = root.join("a/repo");
        for asked in ["a/repo", "/a/repo", "inside", "a//repo/", whole.to_str().unwrap()] {
            assert_eq!(locate(Some(&root), None, asked).unwrap(), repo, "{asked}");
        }
        let outside = dir.path().join("outside");
        for asked in [
            "",
            "/",
            "a",
            "link",
            "../outside",
            "a/../../outside",
            "a/repo\0",
            "nowhere",
            outside.to_str().unwrap(),
        ] {
            let error = locate(Some(&root), None, asked).unwrap_err();
            assert!(matches!(error, TransferError::Denied(_)), "{asked}: {error}");
        }
        assert!(locate(None, None, whole.to_str().unwrap()).is_err());
    }

    #[test]
    fn a_receiver_for_one_repository_gives_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        for repo in [&one, &other] {
            fs::create_dir_all(repo.join("objects")).unwrap();
        }
        let located = |asked| locate(Some(dir.path()), Some(&one), asked);
        for asked in ["", "one", "/one", one.to_str().unwrap()] {
            assert_eq!(located(asked).unwrap(), one, "{asked}");
        }
        assert!(located("other").is_err());
        assert!(located(other.to_str().unwrap()).is_err());
    }
}
