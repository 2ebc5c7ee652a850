//! Looking at each new file: what it is, and in which form it goes into the delta.
//!
//! Patches are written to a file without a name at once, so that memory does not grow with what has changed.

use super::DeltaOptions;
use super::compare::memory_of;
use super::form::{Form, Row, choose};
use super::memory::Memory;
use super::pairs::NewFile;
use crate::error::{RepoError, Result};
use crate::fs::{Dir, TempFile};
use crate::objects::ContentReader;
use crate::repo::Repo;
use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Files below this size are not compared with others: the checksum of the other alone is half as long.
const TOO_SMALL: u64 = 64;
/// The permission bit of everybody else to read: other files are no sources.
const EVERYBODY_READS: u32 = 0o004;

/// A new file as it goes into the delta.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) checksum: Checksum,
    pub(super) header: FileHeader,
    /// The size of its content.
    pub(super) size: u64,
    pub(super) shape: Shape,
    /// Whether there is another that it was held against.
    pub(super) similar: bool,
}

/// In which form.
#[derive(Debug)]
pub(super) enum Shape {
    Whole,
    Link,
    Rows {
        source: Checksum,
        rows: Vec<Row>,
    },
    Patch {
        source: Checksum,
        offset: u64,
        length: u64,
    },
    /// In no part: fetched as an object of this size.
    Fallback {
        stored: u64,
    },
}

/// Encodes files, several at once.
pub(super) struct Encoder<'a> {
    repo: &'a Repo,
    options: &'a DeltaOptions,
    memory: &'a Memory,
    patches: &'a Patches,
}

impl<'a> Encoder<'a> {
    pub(super) const fn new(
        repo: &'a Repo,
        options: &'a DeltaOptions,
        memory: &'a Memory,
        patches: &'a Patches,
    ) -> Self {
        Self {
            repo,
            options,
            memory,
            patches,
        }
    }

    pub(super) fn encode(&self, file: &NewFile) -> Result<Encoded> {
        let content = self.repo.open_content(&file.checksum)?;
        let (header, size) = (content.header().clone(), content.size());
        let mut encoded = Encoded {
            checksum: file.checksum,
            header,
            size,
            shape: Shape::Whole,
            similar: false,
        };
        if encoded.header.is_symlink() {
            encoded.shape = Shape::Link;
            return Ok(encoded);
        }
        if size >= TOO_SMALL
            && let Some(source) = self.source_for(file, size)?
        {
            encoded.similar = true;
            encoded.shape = self.shape_from(source, content, size)?;
        }
        let limit = self.options.min_fallback_bytes;
        if limit > 0 && size > limit && matches!(encoded.shape, Shape::Whole) {
            let name = ObjectName::new(file.checksum, ObjectType::File);
            let stored = self.repo.object_size(&name)?;
            encoded.shape = Shape::Fallback { stored };
        }
        Ok(encoded)
    }

    /// Returns the other file that a new one is held against, if there is one that can be.
    fn source_for(&self, file: &NewFile, size: u64) -> Result<Option<ContentReader>> {
        if let Some(same) = &file.same_path
            && let Some(source) = self.open_source(same, size)?
        {
            return Ok(Some(source));
        }
        let mut best: Option<ContentReader> = None;
        for namesake in &file.namesakes {
            let Some(source) = self.open_source(namesake, size)? else {
                continue;
            };
            let nearer = |best: &ContentReader| source.size().abs_diff(size) < best.size().abs_diff(size);
            if best.as_ref().is_none_or(nearer) {
                best = Some(source);
            }
        }
        Ok(best)
    }

    fn open_source(&self, checksum: &Checksum, size: u64) -> Result<Option<ContentReader>> {
        let source = self.repo.open_content(checksum)?;
        let header = source.header();
        let usable = header.is_regular()
            && header.mode & EVERYBODY_READS != 0
            && source.size() >= TOO_SMALL
            && memory_of(source.size(), size) <= self.memory.limit();
        Ok(usable.then_some(source))
    }

    fn shape_from(&self, source: ContentReader, content: ContentReader, size: u64) -> Result<Shape> {
        let _share = self.memory.take(memory_of(source.size(), size));
        let both = source.size().saturating_add(size);
        let with_patch = self.options.bsdiff && both < self.options.max_bsdiff_bytes;
        let checksum = source.name().checksum;
        let (old, new) = (read_all(source)?, read_all(content)?);
        Ok(match choose(&old, &new, with_patch) {
            Form::Whole => Shape::Whole,
            Form::Rows(rows) => Shape::Rows {
                source: checksum,
                rows,
            },
            Form::Patch(patch) => Shape::Patch {
                source: checksum,
                offset: self.patches.add(&patch)?,
                length: patch.len() as u64,
            },
        })
    }
}

fn read_all(mut content: ContentReader) -> Result<Vec<u8>> {
    // So much memory has been asked for.
    let mut bytes = Vec::with_capacity(usize::try_from(content.size()).unwrap_or_default());
    match content.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(content.read_error(error)),
    }
}

/// Patches, one behind the other in a file without a name.
#[derive(Debug)]
pub(super) struct Patches {
    temp: TempFile,
    dir: Dir,
    end: AtomicU64,
}

impl Patches {
    pub(super) fn new(tmp: &Dir) -> Result<Self> {
        let temp = tmp.temp_file(0o600);
        Ok(Self {
            temp: temp.map_err(RepoError::io("make a temporary file in", tmp.path()))?,
            dir: tmp.clone(),
            end: AtomicU64::new(0),
        })
    }

    fn add(&self, patch: &[u8]) -> Result<u64> {
        let length = patch.len() as u64;
        let offset = self.end.fetch_add(length, Ordering::Relaxed);
        self.temp
            .file()
            .write_all_at(patch, offset)
            .map_err(RepoError::io("write a temporary file in", self.dir.path()))?;
        Ok(offset)
    }

    pub(super) fn file(&self) -> &File {
        self.temp.file()
    }

    pub(super) fn failed(&self) -> impl FnOnce(std::io::Error) -> RepoError {
        RepoError::io("read a temporary file in", self.dir.path())
    }
}
