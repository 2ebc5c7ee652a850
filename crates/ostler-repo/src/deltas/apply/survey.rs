//! Looking at a part without applying it.

use super::part::Part;
use super::scratch::Room;
use super::{header_of, part_name};
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use ostler_format::delta::{Operation, Superblock};
use std::io::Read;

/// What a part consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartSurvey {
    /// Owners and modes.
    pub modes: usize,
    /// Sets of extended attributes.
    pub xattrs: usize,
    /// The size of the payload.
    pub payload_bytes: u64,
    /// The size of the operations.
    pub operation_bytes: usize,
    /// Objects that come from the payload as they are.
    pub splices: usize,
    /// Files that are opened.
    pub opens: usize,
    /// Rows that are written to open files.
    pub writes: usize,
    /// Sources that are set.
    pub sources_set: usize,
    /// Sources that are taken away.
    pub sources_unset: usize,
    /// Files that are closed.
    pub closes: usize,
    /// Patches.
    pub patches: usize,
}

/// Reads a part, from its file or, without one, from the superblock, and counts what is in it. What is large is kept in a
/// file without a name in `tmp`.
///
/// # Errors
/// As [`apply_part`](super::apply_part).
pub fn survey_part(
    tmp: &Dir,
    superblock: &Superblock,
    index: usize,
    file: Option<&mut dyn Read>,
) -> Result<PartSurvey> {
    let header = header_of(superblock, index)?;
    let name = part_name(superblock, index);
    let room = Room::in_dir(tmp);
    let part = if let Some(file) = file {
        Part::of_file(room, &name, header, file)?
    } else {
        let inline = superblock
            .inline_part(index)
            .map_err(RepoError::format(name.as_str()))?
            .ok_or_else(|| RepoError::not_found(name.as_str()))?;
        Part::of_inline(room, &name, header, inline.compression, inline.bytes)?
    };
    let (modes, xattrs, payload_bytes, operation_bytes) = part.sizes();
    let mut survey = PartSurvey {
        modes,
        xattrs,
        payload_bytes,
        operation_bytes,
        ..PartSurvey::default()
    };
    for operation in part.operations(&header.objects) {
        let counter = match operation.map_err(RepoError::format(name.as_str()))? {
            Operation::Metadata { .. } | Operation::File { .. } => &mut survey.splices,
            Operation::Open { .. } => &mut survey.opens,
            Operation::Write { .. } => &mut survey.writes,
            Operation::SetSource { .. } => &mut survey.sources_set,
            Operation::UnsetSource => &mut survey.sources_unset,
            Operation::Close => &mut survey.closes,
            Operation::Patch { .. } => &mut survey.patches,
        };
        *counter += 1;
    }
    Ok(survey)
}
