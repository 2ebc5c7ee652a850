//! A file that is put together by several operations, as a stream.
//!
//! Reading carries out the operations up to the one that closes the file. Where the object is there already nothing is
//! read, and the operations are passed over.

use super::part::Part;
use super::patch::Patched;
use super::scratch::Section;
use super::sources::Sources;
use crate::error::{RepoError, Result};
use ostler_format::delta::{Operation, Operations};
use std::io::{self, Read};

/// The content of an open file.
pub(super) struct Assembly<'a, 'o, 's, 't> {
    part: &'a Part,
    operations: &'o mut Operations<'a>,
    sources: &'s mut Sources<'t>,
    piece: Piece,
    closed: bool,
}

/// What is being appended.
enum Piece {
    Nothing,
    Bytes(Section),
    Patched(Box<Patched>),
}

impl<'a, 'o, 's, 't> Assembly<'a, 'o, 's, 't> {
    pub(super) fn new(
        part: &'a Part,
        operations: &'o mut Operations<'a>,
        sources: &'s mut Sources<'t>,
    ) -> Self {
        Self {
            part,
            operations,
            sources,
            piece: Piece::Nothing,
            closed: false,
        }
    }

    /// Passes over what was not read, up to the end of the file.
    pub(super) fn finish(mut self) -> Result<()> {
        while !self.closed {
            let operation = self.next_operation()?;
            self.move_on(operation);
        }
        Ok(())
    }

    fn next_operation(&mut self) -> Result<Operation> {
        match self.operations.next() {
            Some(operation) => operation.map_err(RepoError::format(self.part.name())),
            None => Err(self.part.invalid("it ends within a file")),
        }
    }

    /// Carries out what says where bytes come from, and when they end.
    fn move_on(&mut self, operation: Operation) {
        match operation {
            Operation::SetSource { offset } => self.sources.set(offset),
            Operation::UnsetSource => self.sources.unset(),
            Operation::Close => {
                self.sources.unset();
                self.closed = true;
            }
            _ => {}
        }
    }

    /// Goes on to the next piece, or to the end of the file.
    fn advance(&mut self) -> Result<()> {
        let operation = self.next_operation()?;
        self.piece = match operation {
            Operation::Write { offset, length } if self.sources.is_set() => {
                let source = self.sources.open(self.part)?;
                let section = Section::new(&source, offset, length);
                Piece::Bytes(
                    section.ok_or_else(|| self.part.invalid("bytes beyond the file that it reads from"))?,
                )
            }
            Operation::Write { offset, length } => Piece::Bytes(self.part.section(offset, length)?),
            Operation::Patch { offset, length } => {
                let patch = self.part.section(offset, length)?;
                Piece::Patched(Box::new(Patched::new(patch, self.sources.open(self.part)?)))
            }
            other => {
                self.move_on(other);
                Piece::Nothing
            }
        };
        Ok(())
    }
}

impl Read for Assembly<'_, '_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.closed {
            let count = match &mut self.piece {
                Piece::Nothing => 0,
                Piece::Bytes(section) => section.read(buffer)?,
                Piece::Patched(patched) => patched.read(buffer)?,
            };
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.advance().map_err(io::Error::other)?;
        }
        Ok(0)
    }
}
