//! The second version: a file added to the tree, and the smallest that is not empty changed.

use super::files;
use anyhow::Context as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The file that is added.
const ADDED: &str = "ostler-demo.txt";

/// What was done to the tree; paths in it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) added: String,
    /// Nothing where the tree has only empty files.
    pub(super) changed: Option<PathBuf>,
}

/// Changes the tree. Modes stay, those that forbid writing too.
pub(super) fn make(tree: &Path) -> anyhow::Result<Change> {
    let listing = files::listing(tree)?;
    let sizes = listing.iter().filter(|(_, metadata)| metadata.is_file());
    let changed = sizes
        .map(|(path, metadata)| (metadata.len(), path))
        .filter(|(length, _)| *length > 0)
        .min()
        .map(|(_, path)| path.clone());
    if let Some(path) = &changed {
        let path = tree.join(path);
        let append = || {
            let mut file = OpenOptions::new().append(true).open(&path)?;
            file.write_all(b"changed by ostler demo\n")
        };
        while_writable(&path, append).with_context(|| format!("cannot change {}", path.display()))?;
    }
    let mut added = ADDED.to_owned();
    while listing.contains_key(Path::new(&added)) {
        added.insert_str(0, "new-");
    }
    let path = tree.join(&added);
    let add = || {
        fs::write(&path, "Added by ostler demo.\n")?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))
    };
    while_writable(tree, add).with_context(|| format!("cannot add {}", path.display()))?;
    Ok(Change { added, changed })
}

/// Does something to a file or directory whose mode may forbid it; the mode is as before afterwards.
fn while_writable(path: &Path, action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let before = fs::metadata(path)?.permissions();
    let mode = before.mode() | 0o200;
    if mode != before.mode() {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    action()?;
    // Also for what writing changes: set-user-id bits.
    fs::set_permissions(path, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_file_changes_and_one_comes_and_no_mode_moves() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for (name, content, mode) in [
            ("empty", "", 0o644),
            ("large", "much of it", 0o644),
            ("small", "x\n", 0o4444),
            (ADDED, "taken already", 0o600),
        ] {
            fs::write(tree.join(name), content).unwrap();
            fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&tree, Permissions::from_mode(0o555)).unwrap();

        let change = make(&tree).unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(change.changed.as_deref(), Some(Path::new("small")));
        assert_eq!(change.added, "new-ostler-demo.txt");
        assert_eq!(mode(&tree.join("small")), 0o4444);
        assert_eq!(mode(&tree.join(change.added)), 0o644);
        assert_eq!(mode(&tree), 0o555);
        assert_eq!(
            fs::read_to_string(tree.join("small")).unwrap(),
            "x\nchanged by ostler demo\n"
        );
        assert_eq!(fs::read_to_string(tree.join(ADDED)).unwrap(), "taken already");
        fs::set_permissions(&tree, Permissions::from_mode(0o755)).unwrap();
    }
}
