//! Where in the tree of a commit an entry of an archive belongs.
//!
//! The rules are libostree's: paths are relative to the root, whether they begin with `/`, with `./` or with neither, and
//! the parent of the root is the root; repeated slashes and `.` between names mean nothing. A `..` anywhere else is refused, as is a `.` at the end of a
//! longer path: so no entry leads out of the tree, or where its name does not say.

use crate::error::{RepoError, Result};
use ostler_format::check_file_name;

/// Takes the beginning away that says where the path starts.
pub(super) fn relative(path: &str) -> &str {
    let mut rest = path;
    let absolute = path.starts_with('/');
    loop {
        let next = rest
            .strip_prefix('/')
            .or_else(|| rest.strip_prefix("./"))
            .or_else(|| rest.strip_prefix("../").filter(|_| absolute));
        match next {
            Some(next) => rest = next,
            None if rest == "." => return "",
            None => return rest,
        }
    }
}

/// Splits a path into names; there are none for the root.
pub(super) fn split(path: &str) -> Result<Vec<&str>> {
    let refused = |why: &str| {
        let detail = format!("{why} in path {}", path.escape_debug());
        RepoError::Refused { detail }
    };
    let mut names: Vec<&str> = relative(path)
        .split('/')
        .filter(|name| !name.is_empty())
        .collect();
    if names.last() == Some(&".") {
        return Err(refused("Invalid self-referential filename '.'"));
    }
    names.retain(|name| *name != ".");
    for name in &names {
        if *name == ".." {
            return Err(refused("Invalid uplink '..'"));
        }
        check_file_name(name.as_bytes()).map_err(RepoError::format("path of the entry"))?;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_where_libostree_puts_them() {
        for (path, names) in [
            ("a", Some("a")),
            ("./a/b/", Some("a b")),
            ("/a", Some("a")),
            ("//a//b", Some("a b")),
            (".//././a/./b", Some("a b")),
            ("/../a", Some("a")),
            ("/./../../a", Some("a")),
            ("", Some("")),
            (".", Some("")),
            ("./", Some("")),
            ("/", Some("")),
            ("..", None),
            ("../a", None),
            ("./../a", None),
            ("a/../b", None),
            ("a/..", None),
            ("a/.", None),
            ("/..", None),
            ("a\0b", None),
        ] {
            let found = split(path).ok().map(|names| names.join(" "));
            assert_eq!(found.as_deref(), names, "{path}");
        }
    }
}
