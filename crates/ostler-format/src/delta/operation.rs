//! The operations of a part: what makes its objects.
//!
//! Shape: one byte, then its arguments as [varints](crate::read_varint).
//!
//! | byte | operation | arguments |
//! |---|---|---|
//! | `S` | make the next object from the payload | of metadata: length, offset; of a file: mode, attributes, length, offset |
//! | `o` | begin the next file | mode, attributes, size of its content |
//! | `w` | append | length, offset: in the source if there is one, else in the payload |
//! | `r` | read from another file from now on | offset of its checksum in the payload |
//! | `R` | read from the payload again | |
//! | `B` | append what a patch makes of the source | offset, length of the patch in the payload |
//! | `c` | the file is complete; read from the payload again | |
//!
//! Mode and attributes are numbers of entries of the part's lists. Which arguments `S` has depends on the object it makes,
//! the n-th `S` or `o` making the n-th object of the part's header. What is outside of lists and payload is refused by who
//! carries the operations out; more objects than the header has, fewer, or unknown bytes are refused here.

use crate::error::{FormatError, Result};
use crate::object::ObjectName;
use crate::varint::{read_varint, write_varint};

const WHAT: &str = "operations of a static delta";

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Make the next object, of metadata, from the payload.
    Metadata {
        /// Where it begins in the payload.
        offset: u64,
        /// Its size in bytes.
        length: u64,
    },
    /// Make the next object, of content, from the payload; of a symbolic link the payload is its target.
    File {
        /// The number of its owner and mode.
        mode: u64,
        /// The number of its extended attributes.
        xattrs: u64,
        /// Where its content begins in the payload.
        offset: u64,
        /// The size of its content in bytes.
        length: u64,
    },
    /// Begin the next object, a regular file.
    Open {
        /// The number of its owner and mode.
        mode: u64,
        /// The number of its extended attributes.
        xattrs: u64,
        /// The size of its content in bytes.
        size: u64,
    },
    /// Append to the open file.
    Write {
        /// Where the bytes begin, in the source or the payload.
        offset: u64,
        /// How many they are.
        length: u64,
    },
    /// Read from a file from now on.
    SetSource {
        /// Where its checksum begins in the payload.
        offset: u64,
    },
    /// Read from the payload again.
    UnsetSource,
    /// Append what a patch makes of the source.
    Patch {
        /// Where the patch begins in the payload.
        offset: u64,
        /// Its size in bytes.
        length: u64,
    },
    /// The open file is complete.
    Close,
}

/// Reads the operations of a part.
///
/// Ends after the first error. What comes from this is in an order that makes sense: files are opened and closed in
/// turns, and writes and patches stand between.
#[derive(Debug, Clone)]
pub struct Operations<'a> {
    rest: &'a [u8],
    objects: std::slice::Iter<'a, ObjectName>,
    open: bool,
    failed: bool,
}

impl<'a> Operations<'a> {
    /// Returns a reader of operations that make `objects`.
    pub fn new(bytes: &'a [u8], objects: &'a [ObjectName]) -> Self {
        Self {
            rest: bytes,
            objects: objects.iter(),
            open: false,
            failed: false,
        }
    }

    /// Returns the objects that are still to be made.
    pub fn objects_left(&self) -> &'a [ObjectName] {
        self.objects.as_slice()
    }

    fn read(&mut self) -> Result<Option<Operation>> {
        let Some((code, rest)) = self.rest.split_first() else {
            if self.open || !self.objects.as_slice().is_empty() {
                return Err(invalid("they end before all objects are made"));
            }
            return Ok(None);
        };
        self.rest = rest;
        Ok(Some(match code {
            b'S' => self.splice()?,
            b'o' => {
                self.require_open(false)?;
                if self.next_object()?.kind.is_metadata() {
                    return Err(invalid("metadata is opened as a file"));
                }
                self.open = true;
                let [mode, xattrs, size] = self.arguments()?;
                Operation::Open { mode, xattrs, size }
            }
            b'w' => {
                self.require_open(true)?;
                let [length, offset] = self.arguments()?;
                Operation::Write { offset, length }
            }
            b'r' => {
                let [offset] = self.arguments()?;
                Operation::SetSource { offset }
            }
            b'R' => Operation::UnsetSource,
            b'B' => {
                self.require_open(true)?;
                let [offset, length] = self.arguments()?;
                Operation::Patch { offset, length }
            }
            b'c' => {
                self.require_open(true)?;
                self.open = false;
                Operation::Close
            }
            other => return Err(invalid(format!("unknown operation {other}"))),
        }))
    }

    fn splice(&mut self) -> Result<Operation> {
        self.require_open(false)?;
        if self.next_object()?.kind.is_metadata() {
            let [length, offset] = self.arguments()?;
            return Ok(Operation::Metadata { offset, length });
        }
        let [mode, xattrs, length, offset] = self.arguments()?;
        Ok(Operation::File {
            mode,
            xattrs,
            offset,
            length,
        })
    }

    fn next_object(&mut self) -> Result<&'a ObjectName> {
        self.objects
            .next()
            .ok_or_else(|| invalid("they make more objects than the superblock names"))
    }

    fn require_open(&self, open: bool) -> Result<()> {
        match (self.open, open) {
            (true, false) => Err(invalid("an object begins within another")),
            (false, true) => Err(invalid("bytes for a file that is not open")),
            _ => Ok(()),
        }
    }

    fn arguments<const N: usize>(&mut self) -> Result<[u64; N]> {
        let mut arguments = [0; N];
        for argument in &mut arguments {
            (*argument, self.rest) = read_varint(self.rest)?;
        }
        Ok(arguments)
    }
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose();
        self.failed = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Appends an operation.
pub fn push_operation(out: &mut Vec<u8>, operation: &Operation) {
    let mut push = |code: u8, arguments: &[u64]| {
        out.push(code);
        for argument in arguments {
            write_varint(out, *argument);
        }
    };
    match *operation {
        Operation::Metadata { offset, length } => push(b'S', &[length, offset]),
        Operation::File {
            mode,
            xattrs,
            offset,
            length,
        } => push(b'S', &[mode, xattrs, length, offset]),
        Operation::Open { mode, xattrs, size } => push(b'o', &[mode, xattrs, size]),
        Operation::Write { offset, length } => push(b'w', &[length, offset]),
        Operation::SetSource { offset } => push(b'r', &[offset]),
        Operation::UnsetSource => push(b'R', &[]),
        Operation::Patch { offset, length } => push(b'B', &[offset, length]),
        Operation::Close => push(b'c', &[]),
    }
}

fn invalid(rule: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Checksum;
    use crate::object::ObjectType;

    fn object(kind: ObjectType) -> ObjectName {
        ObjectName::new(Checksum::of(b"object"), kind)
    }

    fn read(bytes: &[u8], objects: &[ObjectName]) -> Result<Vec<Operation>> {
        Operations::new(bytes, objects).collect()
    }

    #[test]
    fn operations_read_back_with_the_argument_orders_of_stock() {
        let objects = [ObjectType::DirTree, ObjectType::File, ObjectType::File].map(object);
        let all = [
            Operation::Metadata { offset: 1, length: 2 },
            Operation::File {
                mode: 3,
                xattrs: 4,
                offset: 5,
                length: 300,
            },
            Operation::Open {
                mode: 0,
                xattrs: 1,
                size: u64::MAX,
            },
            Operation::SetSource { offset: 7 },
            Operation::Write { offset: 8, length: 9 },
            Operation::UnsetSource,
            Operation::Patch {
                offset: 10,
                length: 11,
            },
            Operation::Close,
        ];
        let mut bytes = Vec::new();
        for operation in &all {
            push_operation(&mut bytes, operation);
        }
        assert!(bytes.starts_with(&[b'S', 2, 1, b'S', 3, 4, 0xac, 2, 5, b'o', 0, 1]));
        assert!(bytes.ends_with(b"\x01r\x07w\x09\x08RB\x0a\x0bc"));
        assert_eq!(read(&bytes, &objects), Ok(all.to_vec()));
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], &objects).is_err(), "{length}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let file = [object(ObjectType::File)];
        let tree = [object(ObjectType::DirTree)];
        for (bytes, objects) in [
            (&b"x"[..], &file[..]),
            (b"S\0\0", &[]),
            (b"o\0\0\0", &tree),
            (b"o\0\0\0o\0\0\0", &file),
            (b"w\0\0", &file),
            (b"B\0\0", &file),
            (b"c", &file),
            (b"o\0\0\0", &file),
            (b"", &file),
            (b"S\0\0\0", &file),
        ] {
            assert!(read(bytes, objects).is_err(), "{bytes:?}");
        }
        assert_eq!(read(b"", &[]), Ok(vec![]));
    }
}
