//! Archives of files as sources of commits: tar, and cpio in the form `newc`, compressed or not.
//!
//! An archive is read once, from its beginning to its end, by the thread that walks the sources; it may be a pipe. Small
//! files go to the workers as they are, larger ones stream into the transaction from here. So memory does not grow
//! with what an archive holds, whatever it says about sizes: names, extended attributes and maps of sparse files
//! are limited, and decompressors to [`input::DECODER_MEMORY`].
//!
//! Hard links are made when the archive has been read: each gets what its target is then, be it from this
//! archive or from a source before.

mod cpio;
mod input;
mod member;
mod overlay;
mod path;
mod rename;
mod stream;
mod tar;

pub use rename::PathnameFilter;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// An archive whose files go into a commit.
#[derive(Debug, Clone)]
pub struct ArchiveSource {
    /// What it is called in messages.
    pub name: PathBuf,
    /// The archive, at its beginning.
    pub file: Arc<File>,
    /// Whether directories that it lacks are made: of 0:0, with mode 0755 and no extended attributes.
    pub create_parents: bool,
    /// What its paths are changed by.
    pub rename: Option<Arc<PathnameFilter>>,
}
