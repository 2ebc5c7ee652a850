//! Sending objects: metadata many in a message and deflated, content as an archive stores it.

use super::cargo::Cargo;
use crate::channel::Output;
use crate::error::{Damage, Result};
use libdeflater::{CompressionLvl, Compressor};
use ostler_format::wire::{Batch, Encoding, MAX_BATCH, Message, PIECE};
use ostler_format::{ObjectName, ObjectType};
use ostler_repo::RepoError;
use std::fmt;
use std::io::{Read, Write};

/// Names and checksums: the first levels save nearly all that can be saved.
const LEVEL: i32 = 3;

/// Where objects go.
pub(super) struct Feed<'a, W: Write> {
    cargo: &'a Cargo<'a>,
    output: Output<W>,
    /// Entries that wait for more.
    batch: Vec<u8>,
    compressor: Option<Compressor>,
    objects: u64,
    bytes: u64,
}

impl<W: Write> fmt::Debug for Feed<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("objects", &self.objects)
            .finish_non_exhaustive()
    }
}

impl<'a, W: Write> Feed<'a, W> {
    /// Sends to an end that can inflate batches or not.
    pub(super) fn new(cargo: &'a Cargo<'a>, output: Output<W>, inflates: bool) -> Self {
        let compressor = inflates.then(|| Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default()));
        Self {
            cargo,
            output,
            batch: Vec::new(),
            compressor,
            objects: 0,
            bytes: 0,
        }
    }

    /// Returns how many objects were sent, and their bytes.
    pub(super) const fn counted(&self) -> (u64, u64) {
        (self.objects, self.bytes)
    }

    /// Sends an object; returns the bytes that it took.
    pub(super) fn send(&mut self, name: &ObjectName) -> Result<u64> {
        let before = self.bytes;
        if name.kind == ObjectType::File {
            // What tells the far end what else it lacks does not wait behind it.
            self.send_batch()?;
            let mut stream = self.cargo.open(name)?;
            self.send_stream(name, &mut *stream)?;
        } else {
            self.send_metadata(name)?;
        }
        self.objects += 1;
        Ok(self.bytes - before)
    }

    /// Brings everything on its way.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.send_batch()?;
        self.output.flush()
    }

    fn send_metadata(&mut self, name: &ObjectName) -> Result<()> {
        let bytes = self.cargo.metadata(name)?;
        let length = Batch::entry_length(bytes.len());
        if length > MAX_BATCH / 2 {
            return self.send_stream(name, &mut &bytes[..]);
        }
        if self.batch.len() + length > PIECE.max(length) {
            self.send_batch()?;
        }
        Batch::push(&mut self.batch, name, &bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn send_batch(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let plain = std::mem::take(&mut self.batch);
        let length = plain.len();
        let deflated = self.compressor.as_mut().and_then(|compressor| {
            let mut body = vec![0; compressor.deflate_compress_bound(length)];
            let written = compressor.deflate_compress(&plain, &mut body).ok()?;
            body.truncate(written);
            (written < length).then_some(body)
        });
        let (encoding, body) = match deflated {
            Some(body) => (Encoding::Deflate, body),
            None => (Encoding::Plain, plain),
        };
        self.output.send(&Message::Batch(Batch {
            encoding,
            length,
            body,
        }))
    }

    /// Sends the bytes of one object: in one message if they are few.
    fn send_stream(&mut self, name: &ObjectName, stream: &mut dyn Read) -> Result<()> {
        let mut begun = false;
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = stream.take(PIECE as u64).read_to_end(&mut piece);
            // The stream of an object that is not what its name says ends so.
            read.map_err(|fault| Damage::wrap(*name, damage(name, fault)))?;
            self.bytes += piece.len() as u64;
            let is_last = piece.len() < PIECE;
            if !begun && is_last && name.kind == ObjectType::File {
                return self.output.send(&Message::Content {
                    checksum: name.checksum,
                    bytes: piece,
                });
            }
            if !begun {
                self.output.send(&Message::Begin(*name))?;
                begun = true;
            }
            if !piece.is_empty() {
                self.output.send(&Message::Data(piece))?;
            }
            if is_last {
                return self.output.send(&Message::End);
            }
        }
    }
}

fn damage(name: &ObjectName, fault: std::io::Error) -> RepoError {
    match fault.downcast::<RepoError>() {
        Ok(error) => error,
        Err(fault) => RepoError::io("read", name.to_string())(fault),
    }
}
