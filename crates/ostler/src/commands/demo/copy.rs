//! A copy of a tree: contents, modes and links. Owners and attributes are not copied: the demo commits none.

use super::files;
use crate::interrupt::Interrupt;
use anyhow::{Context as _, bail};
use std::fs::{self, DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;

/// The permission bits of a directory that is being filled.
const UNFINISHED: u32 = 0o700;

/// Copies `from` to `to`, which must not be there. Nothing in `from` is changed.
pub(super) fn copy(from: &Path, to: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    let listing = files::listing(from)?;
    for (path, metadata) in &listing {
        interrupt.check()?;
        entry(&from.join(path), &to.join(path), metadata)?;
    }
    // From the leaves up: a directory that nobody may write to is complete by then.
    for (path, metadata) in listing.iter().rev().filter(|(_, metadata)| metadata.is_dir()) {
        let to = to.join(path);
        fs::set_permissions(&to, metadata.permissions())
            .with_context(|| format!("cannot set the mode of {}", to.display()))?;
    }
    Ok(())
}

fn entry(from: &Path, to: &Path, metadata: &Metadata) -> anyhow::Result<()> {
    let copied = if metadata.is_dir() {
        DirBuilder::new().mode(UNFINISHED).create(to)
    } else if metadata.is_symlink() {
        fs::read_link(from).and_then(|target| symlink(target, to))
    } else if metadata.is_file() {
        // Writing takes set-user-id bits away: they are set again.
        fs::copy(from, to).and_then(|_length| fs::set_permissions(to, metadata.permissions()))
    } else {
        bail!(
            "{} is neither a file nor a directory nor a link: no commit can hold it",
            from.display()
        );
    };
    copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
