//! How to check out, and what a checkout did.

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use ostler_format::{FileHeader, RepoMode};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

/// A checkout in user mode can be read by its owner.
pub(super) const OWNER_READS: u32 = 0o400;
/// Mode bits that a checkout in user mode does not carry over.
pub(super) const PRIVILEGED_BITS: u32 = 0o6000;

/// What happens where something is in the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// The destination must not exist.
    #[default]
    Never,
    /// Directories are merged, files are replaced.
    Files,
    /// Directories are merged, files are kept.
    Add,
    /// Directories are merged, files must be the same.
    Identical,
}

/// Whether files become hard links to objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HardLinks {
    /// Where the repository stores them just so: in a bare repository for full checkouts, in a bare-user repository
    /// for those in user mode, in a bare-user-only repository for both. Symbolic links of the latter two and empty
    /// files are always made anew.
    #[default]
    WherePossible,
    /// As above, and where it is not possible that is an error.
    Require,
    /// Never; and directories keep the time of the checkout, as copies do.
    Never,
}

/// How to check out.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, none depends on another"
)]
pub struct CheckoutOptions {
    /// Leave owners and extended attributes as they come, and set-user-id bits away; else all is as in the commit,
    /// which takes privileges. From a bare-user-only repository there is no other way.
    pub user_mode: bool,
    /// What happens where something is in the way.
    pub overwrite: Overwrite,
    /// Whether files become hard links.
    pub hard_links: HardLinks,
    /// Make directories with those permission bits only that bare-user-only repositories keep of files; always so
    /// for what comes from such a repository.
    pub bareuseronly_dirs: bool,
    /// Only what is at this path; of a directory its contents, of a file the file itself, in the destination.
    pub subpath: Option<String>,
    /// What is left out: paths from the root of what is checked out, `/a/file`, those of directories with a slash
    /// at their end.
    pub skip: BTreeSet<String>,
    /// Take files `.wh.NAME` for orders to remove NAME from what was there before, and `.wh..wh..opq` for one to
    /// empty its directory, as container images have them. A file may then replace a directory.
    pub whiteouts: bool,
    /// Make the device of an overlay file system that hides NAME of files `.ostree-wh.NAME`.
    pub passthrough_whiteouts: bool,
    /// In user mode from an archive repository that its configuration allows it: keep an uncompressed copy of each
    /// file in the repository, and make hard links to that.
    pub uncompressed_cache: bool,
    /// Whether everything is on disk on return.
    pub fsync: bool,
    /// How many threads write files; as many as there are processors by default.
    pub threads: Option<NonZero<usize>>,
    /// Who is told how it goes on.
    pub reporter: Option<Arc<dyn CheckoutReporter>>,
}

/// Who is told how a checkout goes on.
pub trait CheckoutReporter: fmt::Debug + Send + Sync {
    /// So many files are done of those that were found up to now. Called now and then, by any thread.
    fn progress(&self, done: u64, found: u64);
}

/// What a checkout did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckoutStats {
    /// Directories made or merged.
    pub directories: u64,
    /// Files that are hard links.
    pub linked: u64,
    /// Files and symbolic links that were written.
    pub copied: u64,
    /// Files that were there and stayed.
    pub kept: u64,
    /// Bytes of content that were written.
    pub copied_bytes: u64,
}

impl CheckoutStats {
    pub(super) fn add(&mut self, other: &Self) {
        self.linked += other.linked;
        self.copied += other.copied;
        self.kept += other.kept;
        self.copied_bytes += other.copied_bytes;
    }
}

impl CheckoutOptions {
    /// Checks that the options make sense together.
    pub(super) fn check(&self) -> Result<()> {
        if self.overwrite == Overwrite::Identical && self.hard_links != HardLinks::Require {
            return Err(RepoError::Refused {
                detail: "--union-identical requires --require-hardlinks".to_owned(),
            });
        }
        Ok(())
    }

    /// Returns the permission bits that a file of `mode` has in this checkout.
    pub(super) fn file_bits(&self, mode: u32) -> u32 {
        let bits = mode & ostler_format::PERMISSION_BITS;
        if self.user_mode {
            (bits & !PRIVILEGED_BITS) | OWNER_READS
        } else {
            bits
        }
    }

    /// Returns whether a file is made anew in every checkout: empty files are in so many places that they would
    /// exhaust the links of a file, and tempt programs that write to what they take for a fresh one; what its
    /// owner cannot read gets another mode.
    pub(super) fn always_copied(&self, header: &FileHeader, size: u64) -> bool {
        !header.is_symlink() && (size == 0 || self.user_mode && header.mode & OWNER_READS == 0)
    }

    /// Returns whether directories get the time that all checkouts have.
    pub(super) fn sets_times(&self) -> bool {
        self.hard_links != HardLinks::Never
    }

    /// Returns whether a repository of `mode` stores files as this checkout wants them.
    pub(super) const fn links_fit(&self, mode: RepoMode) -> bool {
        match mode {
            RepoMode::Bare => !self.user_mode,
            RepoMode::BareUser | RepoMode::BareUserOnly => self.user_mode,
            // What lies beside the file there, a hard link would lack.
            RepoMode::BareSplitXattrs | RepoMode::Archive => false,
        }
    }
}

/// The refusal of hard links by a repository of `mode`, in the words of libostree.
pub(super) fn no_hard_links(mode: RepoMode) -> RepoError {
    let detail = match mode {
        RepoMode::BareUser => "User repository mode requires user checkout mode to hardlink",
        _ => "Bare repository mode cannot hardlink in user checkout mode",
    };
    RepoError::Refused {
        detail: detail.to_owned(),
    }
}

/// Checks that what is stored in the repository can be linked from a directory.
pub(super) fn check_device(repo: &Repo, there: &Dir) -> Result<()> {
    let stat = |dir: &Dir| dir.stat_self().map_err(RepoError::io("look at", dir.path()));
    let (repo, there) = (stat(repo.root())?, stat(there)?);
    if repo.dev == there.dev {
        return Ok(());
    }
    // In the words of libostree.
    Err(RepoError::Refused {
        detail: format!(
            "Unable to do hardlink checkout across devices (src={} destination={})",
            repo.dev, there.dev
        ),
    })
}
