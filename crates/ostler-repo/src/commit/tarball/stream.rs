//! The entries of an archive one after the other, in whichever form, each with its content.
//!
//! The content of an entry is read before the next entry is asked for; what was not read is read over. Holes of sparse files are
//! zeros, made here.

use super::input::Input;
use super::member::{Member, about};
use super::{cpio, tar};
use crate::error::{RepoError, Result};
use ostler_format::FormatError;
use ostler_format::tar::{CpioHeader, SparseMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many bytes tell the form.
const FIRST: usize = 6;

/// An archive that is being read.
pub(super) struct Members {
    pub(super) name: PathBuf,
    pub(super) input: Input,
    form: Form,
    content: Content,
    /// The path of the entry that was read last, for messages.
    last: Option<Vec<u8>>,
}

enum Form {
    Tar(tar::State),
    Cpio(cpio::State),
}

/// The content of an entry.
pub(super) struct Content {
    map: SparseMap,
    /// The piece that is read next or now.
    piece: usize,
    position: u64,
    /// How many bytes of the archive belong to the content and are not read yet.
    stored: u64,
    /// What follows these, up to the next header.
    padding: u64,
}

impl Content {
    /// Returns the content that a map describes, with so many bytes behind it that mean nothing.
    pub(super) fn new(map: SparseMap, padding: u64) -> Self {
        Self {
            piece: 0,
            position: 0,
            stored: map.stored(),
            padding,
            map,
        }
    }

    /// Returns no content, in front of `padding` bytes to be read over.
    pub(super) fn none(padding: u64) -> Self {
        Self::new(SparseMap::whole(0), padding)
    }
}

impl Members {
    /// Looks at the beginning of an archive.
    pub(super) fn open(name: &Path, file: &Arc<File>) -> Result<Self> {
        let mut input = Input::open(name, file)?;
        let start = input
            .peek(FIRST)
            .map_err(|error| of_archive(name, damage(&error)))?;
        if start.is_empty() {
            return Err(of_archive(name, "it is empty"));
        }
        let form = if CpioHeader::is_magic(start) {
            Form::Cpio(cpio::State::default())
        } else {
            Form::Tar(tar::State::default())
        };
        Ok(Self {
            name: name.to_path_buf(),
            input,
            form,
            content: Content::none(0),
            last: None,
        })
    }

    /// Returns the next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Member>> {
        let last = self.last.take();
        let read_over = self.content.stored.saturating_add(self.content.padding);
        if let Err(error) = self.input.skip(read_over) {
            let error = cut(error);
            return Err(match last {
                Some(entry) => about(&self.name, &entry)(error),
                None => of_archive(&self.name, error.to_string()),
            });
        }
        self.content = Content::none(0);
        let found = match &mut self.form {
            Form::Tar(state) => state.next(&self.name, &mut self.input),
            Form::Cpio(state) => state.next(&self.name, &mut self.input),
        };
        let Some((member, content)) = found.map_err(|error| self.after(last.as_deref(), error))? else {
            self.input
                .drain()
                .map_err(|error| self.after(last.as_deref(), cut(error)))?;
            return Ok(None);
        };
        self.content = content;
        self.last = Some(member.path.clone());
        Ok(Some(member))
    }

    /// Says where in the archive something was wrong.
    fn after(&self, last: Option<&[u8]>, error: RepoError) -> RepoError {
        if matches!(error, RepoError::Entry { .. }) {
            return error;
        }
        let detail = match &error {
            RepoError::Format { source, .. } => source.to_string(),
            RepoError::Corrupt { detail, .. } => detail.clone(),
            RepoError::Io { source, .. } => format!("cannot read on: {source}"),
            other => other.to_string(),
        };
        match last {
            Some(entry) => of_archive(
                &self.name,
                format!("after entry '{}': {detail}", entry.escape_ascii()),
            ),
            None => of_archive(&self.name, format!("no tar or cpio archive begins so: {detail}")),
        }
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let content = &mut self.content;
        let (start, end) = match content.map.pieces().get(content.piece) {
            Some((offset, length)) => (*offset, offset + length),
            None => (content.map.size(), content.map.size()),
        };
        let in_hole = content.position < start;
        let left = if in_hole {
            start - content.position
        } else {
            end - content.position
        };
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..room).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let count = if in_hole {
            buffer.fill(0);
            room
        } else {
            let count = self
                .input
                .read(buffer)
                .map_err(|error| io::Error::other(cut(error)))?;
            if count == 0 {
                return Err(io::Error::other(cut(io::ErrorKind::UnexpectedEof.into())));
            }
            content.stored -= count as u64;
            count
        };
        content.position += count as u64;
        if !in_hole && content.position == end {
            content.piece += 1;
        }
        Ok(count)
    }
}

/// Returns the error for an archive that is wrong as a whole.
fn of_archive(name: &Path, detail: impl Into<String>) -> RepoError {
    RepoError::corrupt(format!("archive {}", name.display()), detail)
}

/// Returns the error for an archive that cannot be read on.
pub(super) fn cut(error: io::Error) -> RepoError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => RepoError::corrupt("archive", "it is cut short"),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            RepoError::corrupt("archive", damage(&error))
        }
        _ => RepoError::io("read", "the archive")(error),
    }
}

fn damage(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => format!("it cannot be decompressed or read: {error}"),
    }
}

/// Returns a function for `map_err` on what the format says of a header.
pub(super) fn header_error(error: FormatError) -> RepoError {
    RepoError::format("the archive")(error)
}
