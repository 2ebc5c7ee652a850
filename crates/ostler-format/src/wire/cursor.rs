//! Reading the fields of payloads, and writing those that several messages have.

use super::{MAX_TEXT, travels};
use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::limits::check_size;
use crate::names::RefName;
use crate::object::{ObjectName, ObjectType};

/// What is left of a payload.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn number16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn number32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn number64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A byte that is zero or one.
    pub(super) fn flag(&mut self) -> Result<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(FormatError::invalid(
                "message",
                format!("{other} where 0 or 1 is expected"),
            )),
        }
    }

    pub(super) fn checksum(&mut self) -> Result<Checksum> {
        self.array().map(Checksum::from_bytes)
    }

    /// A flag, and a checksum if it is one.
    pub(super) fn optional_checksum(&mut self) -> Result<Option<Checksum>> {
        self.flag()?.then(|| self.checksum()).transpose()
    }

    pub(super) fn object(&mut self) -> Result<ObjectName> {
        let kind = ObjectType::from_number(self.byte()?)?;
        if !travels(kind) {
            return Err(FormatError::invalid(
                "message",
                format!("a {kind} does not travel"),
            ));
        }
        Ok(ObjectName::new(self.checksum()?, kind))
    }

    pub(super) fn name(&mut self) -> Result<RefName> {
        RefName::new(&self.text(MAX_TEXT)?)
    }

    /// The length of a text, and the text.
    pub(super) fn text(&mut self, limit: usize) -> Result<String> {
        let length = usize::from(self.number16()?);
        check_size("text", length as u64, limit as u64)?;
        as_text(self.take(length)?)
    }

    pub(super) fn rest_as_text(&mut self) -> Result<String> {
        let rest = std::mem::take(&mut self.rest);
        check_size("text", rest.len() as u64, MAX_TEXT as u64)?;
        as_text(rest)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Entries up to the end of the payload.
    pub(super) fn all<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut entries = Vec::new();
        while !self.is_empty() {
            entries.push(entry(self)?);
        }
        Ok(entries)
    }

    pub(super) fn finish(&self) -> Result<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(FormatError::invalid(
                "message",
                format!("{} bytes behind its end", self.rest.len()),
            ))
        }
    }
}

fn short() -> FormatError {
    FormatError::invalid("message", "it ends within a field")
}

fn as_text(bytes: &[u8]) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(fault) => Err(FormatError::invalid("text", fault.to_string())),
    }
}

/// Writes a text with its length before it; what is longer than `limit` is cut off.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str, limit: usize) {
    let mut end = text.len().min(limit).min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &RefName) {
    put_text(out, name.as_str(), MAX_TEXT);
}

pub(super) fn put_object(out: &mut Vec<u8>, name: &ObjectName) {
    out.push(name.kind as u8);
    out.extend_from_slice(name.checksum.as_bytes());
}

pub(super) fn put_optional(out: &mut Vec<u8>, checksum: Option<&Checksum>) {
    out.push(u8::from(checksum.is_some()));
    if let Some(checksum) = checksum {
        out.extend_from_slice(checksum.as_bytes());
    }
}
