//! What a patch of bsdiff makes of a source, as a stream.

use super::scratch::{Scratch, Section};
use ostler_format::delta::{PATCH_CONTROL, PatchControl};
use std::io::{self, Read};
use std::rc::Rc;

/// Reads the new file.
#[derive(Debug)]
pub(super) struct Patched {
    patch: Section,
    source: Rc<Scratch>,
    /// Where in the source.
    at: i64,
    control: PatchControl,
    /// Old bytes, before they are added.
    old: Vec<u8>,
}

impl Patched {
    pub(super) fn new(patch: Section, source: Rc<Scratch>) -> Self {
        let control = PatchControl {
            add: 0,
            take: 0,
            seek: 0,
        };
        Self {
            patch,
            source,
            at: 0,
            control,
            old: Vec::new(),
        }
    }

    /// Goes on to the next control; returns whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        self.at = self
            .at
            .checked_add(self.control.seek)
            .ok_or_else(|| malformed("moves beyond all bounds"))?;
        if self.patch.left() == 0 {
            self.control.seek = 0;
            return Ok(false);
        }
        let mut bytes = [0; PATCH_CONTROL];
        self.patch.read_exact(&mut bytes)?;
        self.control = PatchControl::parse(&bytes).map_err(|error| malformed(&error.to_string()))?;
        Ok(true)
    }

    /// Reads bytes of the patch and adds those of the source.
    fn add(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let at =
            u64::try_from(self.at).map_err(|_error| malformed("reads before the start of its source"))?;
        self.patch.read_exact(buffer)?;
        self.old.resize(buffer.len(), 0);
        self.source.read_exact_at(at, &mut self.old)?;
        for (new, old) in buffer.iter_mut().zip(&self.old) {
            *new = new.wrapping_add(*old);
        }
        self.at += i64::try_from(buffer.len()).unwrap_or(i64::MAX);
        Ok(())
    }
}

impl Read for Patched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let left = if self.control.add > 0 {
                self.control.add
            } else {
                self.control.take
            };
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..count).unwrap_or_default();
            if self.control.add > 0 {
                self.add(piece)?;
                self.control.add -= count as u64;
                return Ok(count);
            }
            if self.control.take > 0 {
                self.patch.read_exact(piece)?;
                self.control.take -= count as u64;
                return Ok(count);
            }
            if !self.advance()? {
                return Ok(0);
            }
        }
    }
}

fn malformed(detail: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a patch {detail}"))
}
