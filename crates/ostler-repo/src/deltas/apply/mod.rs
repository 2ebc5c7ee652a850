//! Applying parts of static deltas: the objects of a part are written into a transaction.
//!
//! A part's file is hashed while it is inflated, and nothing is made of it before it has shown to be the one that the
//! superblock names. Inflated it is kept in memory up to 32 MiB, and in a file without a name beyond. Every object is
//! hashed while it is written, so that a part that lies makes nothing; what it claims is bounded by its header before,
//! and files that it reads from must belong to the commit from which the delta leads, and be readable by everybody.
//!
//! All modes of repositories take parts. Where files are not stored as they are (in archives) a source is inflated first.

mod assembly;
mod part;
mod patch;
mod scratch;
mod sources;
mod survey;

pub use survey::{PartSurvey, survey_part};

use crate::error::{RepoError, Result};
use crate::transaction::Transaction;
use assembly::Assembly;
use ostler_format::delta::{Operation, PartHeader, Superblock};
use ostler_format::{FileHeader, MAX_METADATA_SIZE, ObjectName, S_IFLNK, S_IFMT};
use part::Part;
use scratch::Room;
use sources::Sources;
use std::io::Read;

/// What a part made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartStats {
    /// The objects of the part.
    pub objects: u64,
    /// Those that were not there before.
    pub written_objects: u64,
}

/// The longest target of a symbolic link.
const MAX_TARGET: u64 = 4095;

/// Writes the objects of a part into a transaction. `part` is the part's file from its first byte, and read to its end.
/// Several threads may apply parts of one delta at once.
///
/// # Errors
/// [`RepoError::Corrupt`] for a file that is not the one which the superblock names, and for objects that come out with
/// another checksum; [`RepoError::Format`] and [`RepoError::Invalid`] for operations that make no sense or go beyond what
/// the header claims; [`RepoError::Missing`] where the commit from which the delta leads is not whole.
pub fn apply_part(
    transaction: &Transaction<'_>,
    superblock: &Superblock,
    index: usize,
    part: impl Read,
) -> Result<PartStats> {
    let header = header_of(superblock, index)?;
    let room = Room::of_transaction(transaction)?;
    let part = Part::of_file(room, &part_name(superblock, index), header, part)?;
    Application::new(transaction, superblock, header, &part).run()
}

/// Writes the objects of a part that lies in the superblock into a transaction.
///
/// # Errors
/// As [`apply_part`]; [`RepoError::NotFound`] where the part is a file.
pub fn apply_inline_part(
    transaction: &Transaction<'_>,
    superblock: &Superblock,
    index: usize,
) -> Result<PartStats> {
    let header = header_of(superblock, index)?;
    let name = part_name(superblock, index);
    let inline = superblock
        .inline_part(index)
        .map_err(RepoError::format(name.as_str()))?
        .ok_or_else(|| RepoError::not_found(format!("{name} in the superblock")))?;
    let room = Room::of_transaction(transaction)?;
    let part = Part::of_inline(room, &name, header, inline.compression, inline.bytes)?;
    Application::new(transaction, superblock, header, &part).run()
}

/// The inflated bytes of a part may be this many times what its objects come to, …
const GROWTH: u64 = 2;
/// … and this much more: lists of modes and attributes, operations, controls of patches.
const SLACK: u64 = 64 << 20;

/// Returns how many bytes a part may have when inflated.
fn inflated_limit(header: &PartHeader) -> u64 {
    header.unpacked.saturating_mul(GROWTH).saturating_add(SLACK)
}

fn header_of(superblock: &Superblock, index: usize) -> Result<&PartHeader> {
    superblock
        .parts
        .get(index)
        .ok_or_else(|| RepoError::not_found(part_name(superblock, index)))
}

/// Returns how errors name a part.
pub(super) fn part_name(superblock: &Superblock, index: usize) -> String {
    format!("part {index} of static delta {}", superblock.name())
}

/// A part on its way into a transaction.
struct Application<'a> {
    transaction: &'a Transaction<'a>,
    header: &'a PartHeader,
    part: &'a Part,
    sources: Sources<'a>,
    stats: PartStats,
}

impl<'a> Application<'a> {
    fn new(
        transaction: &'a Transaction<'a>,
        superblock: &'a Superblock,
        header: &'a PartHeader,
        part: &'a Part,
    ) -> Self {
        Self {
            transaction,
            header,
            part,
            sources: Sources::new(transaction, superblock.from),
            stats: PartStats::default(),
        }
    }

    fn run(mut self) -> Result<PartStats> {
        let mut operations = self.part.operations(&self.header.objects);
        let mut objects = self.header.objects.iter();
        while let Some(operation) = operations.next() {
            let operation = operation.map_err(RepoError::format(self.part.name()))?;
            let written = match operation {
                Operation::SetSource { offset } => {
                    self.sources.set(offset);
                    continue;
                }
                Operation::UnsetSource => {
                    self.sources.unset();
                    continue;
                }
                Operation::Metadata { offset, length } => {
                    self.metadata(next(&mut objects)?, offset, length)?
                }
                Operation::File {
                    mode,
                    xattrs,
                    offset,
                    length,
                } => {
                    let header = self.part.file_header(mode, xattrs)?;
                    self.file(next(&mut objects)?, header, offset, length)?
                }
                Operation::Open { mode, xattrs, size } => {
                    let header = self.part.file_header(mode, xattrs)?;
                    let expected = next(&mut objects)?.checksum;
                    let mut assembly = Assembly::new(self.part, &mut operations, &mut self.sources);
                    let written =
                        self.transaction
                            .write_content(&header, size, &mut assembly, Some(expected))?;
                    assembly.finish()?;
                    written.new
                }
                Operation::Write { .. } | Operation::Patch { .. } | Operation::Close => {
                    return Err(self.part.invalid("bytes for a file that is not open"));
                }
            };
            self.stats.objects += 1;
            self.stats.written_objects += u64::from(written);
        }
        Ok(self.stats)
    }

    fn metadata(&self, name: &ObjectName, offset: u64, length: u64) -> Result<bool> {
        if length > MAX_METADATA_SIZE {
            return Err(self.part.invalid("metadata beyond the limit"));
        }
        let bytes = self.part.read(offset, length)?;
        self.transaction.write_named_metadata(name, &bytes)
    }

    fn file(&self, name: &ObjectName, mut header: FileHeader, offset: u64, length: u64) -> Result<bool> {
        let expected = Some(name.checksum);
        if header.mode & S_IFMT == S_IFLNK {
            if length > MAX_TARGET {
                return Err(self
                    .part
                    .invalid("the target of a symbolic link beyond the limit"));
            }
            header.symlink_target = String::from_utf8(self.part.read(offset, length)?)
                .map_err(|_error| self.part.invalid("the target of a symbolic link is not UTF-8"))?;
            return self
                .transaction
                .write_content(&header, 0, &mut std::io::empty(), expected)
                .map(|written| written.new);
        }
        let mut content = self.part.section(offset, length)?;
        self.transaction
            .write_content(&header, length, &mut content, expected)
            .map(|written| written.new)
    }
}

fn next<'a>(objects: &mut std::slice::Iter<'a, ObjectName>) -> Result<&'a ObjectName> {
    objects
        .next()
        .ok_or_else(|| RepoError::invalid("static delta", "it makes more objects than it names"))
}

/// Returns whether all objects of a part are there, so that it need not be fetched.
///
/// # Errors
/// [`RepoError::Io`].
pub fn has_part(transaction: &Transaction<'_>, superblock: &Superblock, index: usize) -> Result<bool> {
    for object in &header_of(superblock, index)?.objects {
        if !transaction.has(object)? {
            return Ok(false);
        }
    }
    Ok(true)
}
