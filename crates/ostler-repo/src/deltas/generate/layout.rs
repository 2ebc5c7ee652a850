//! Which objects go into which part, and with which operations.
//!
//! Metadata first, then files that are put together, then those that are whole, then symbolic links. A new part begins
//! where the payload has reached the target: the size that is asked for, or less, so that a delta of some size has several
//! parts, which are made and fetched side by side. The target follows from what there is to pack alone, and so does the
//! division, however many threads are at work.

use super::encode::{Encoded, Shape};
use super::form::From;
use ostler_format::delta::{Operation, PartMode, push_operation};
use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType, Xattrs};
use std::collections::HashMap;
use std::hash::Hash;

/// A delta is divided into about so many parts, …
const PARTS: u64 = 4;
/// … but none is made smaller than this on purpose: less compresses worse.
const SMALLEST_TARGET: u64 = 4 << 20;
const CHECKSUM: u64 = 32;

/// Something that goes into a part.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    /// A dirtree or dirmeta of this size.
    Metadata(ObjectName, u64),
    /// A file or symbolic link.
    File(&'a Encoded),
}

impl Item<'_> {
    pub(super) fn name(&self) -> ObjectName {
        match self {
            Self::Metadata(name, _) => *name,
            Self::File(file) => ObjectName::new(file.checksum, ObjectType::File),
        }
    }

    /// Returns the size of the object, uncompressed.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Metadata(_, size) => *size,
            Self::File(file) => file.size,
        }
    }

    /// Returns how many bytes it has in the payload.
    pub(super) fn payload(&self) -> u64 {
        match self {
            Self::Metadata(_, size) => *size,
            Self::File(file) => match &file.shape {
                Shape::Whole => file.size,
                Shape::Link => file.header.symlink_target.len() as u64,
                Shape::Rows { rows, .. } => {
                    let own = rows.iter().filter(|row| row.from == From::Own);
                    CHECKSUM + own.map(|row| row.length as u64).sum::<u64>()
                }
                Shape::Patch { length, .. } => CHECKSUM + length,
                Shape::Fallback { .. } => 0,
            },
        }
    }
}

/// Divides items into parts: at least one.
pub(super) fn divide<'a>(items: &[Item<'a>], max_part: u64) -> Vec<Vec<Item<'a>>> {
    let total = items.iter().map(Item::payload).fold(0, u64::saturating_add);
    let target = (total.div_ceil(PARTS)).max(SMALLEST_TARGET).min(max_part);
    let mut parts: Vec<(u64, Vec<Item<'a>>)> = vec![(0, Vec::new())];
    for item in items {
        let payload = item.payload();
        match parts.last_mut() {
            Some((filled, part))
                if *filled == 0 || (*filled < target && filled.saturating_add(payload) <= max_part) =>
            {
                *filled = filled.saturating_add(payload);
                part.push(*item);
            }
            _ => parts.push((payload, vec![*item])),
        }
    }
    // A little that is left over is not worth a file.
    if let [.., (before, _), (last, _)] = parts.as_slice()
        && *last < target / 4
        && before.saturating_add(*last) <= max_part
        && let Some((_, rest)) = parts.pop()
        && let Some((_, part)) = parts.last_mut()
    {
        part.extend(rest);
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

/// The lists and operations of a part.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) modes: Vec<PartMode>,
    pub(super) xattrs: Vec<Xattrs>,
    pub(super) operations: Vec<u8>,
    pub(super) payload: u64,
}

/// Returns the lists and operations for the items of a part, whose bytes stand in the payload one behind the other.
pub(super) fn frame_of(items: &[Item<'_>]) -> Frame {
    let mut writer = Writer::default();
    for item in items {
        match item {
            Item::Metadata(_, size) => {
                let offset = writer.reserve(*size);
                writer.push(Operation::Metadata {
                    offset,
                    length: *size,
                });
            }
            Item::File(file) => writer.file(file, item.payload()),
        }
    }
    writer.frame
}

#[derive(Default)]
struct Writer {
    frame: Frame,
    modes: HashMap<PartMode, u64>,
    xattrs: HashMap<Xattrs, u64>,
}

impl Writer {
    fn push(&mut self, operation: Operation) {
        push_operation(&mut self.frame.operations, &operation);
    }

    /// Returns where the next bytes of the payload stand. Sizes are what headers claim: their sum may be beyond all numbers.
    fn reserve(&mut self, length: u64) -> u64 {
        let offset = self.frame.payload;
        self.frame.payload = offset.saturating_add(length);
        offset
    }

    fn file(&mut self, file: &Encoded, payload: u64) {
        let (mode, xattrs) = self.numbers(&file.header);
        let open = Operation::Open {
            mode,
            xattrs,
            size: file.size,
        };
        match &file.shape {
            Shape::Fallback { .. } => {}
            Shape::Whole | Shape::Link => {
                let offset = self.reserve(payload);
                self.push(Operation::File {
                    mode,
                    xattrs,
                    offset,
                    length: payload,
                });
            }
            Shape::Patch { length, .. } => {
                let offset = self.reserve(CHECKSUM);
                self.push(Operation::SetSource { offset });
                self.push(open);
                let offset = self.reserve(*length);
                self.push(Operation::Patch {
                    offset,
                    length: *length,
                });
                self.push(Operation::Close);
                self.push(Operation::UnsetSource);
            }
            Shape::Rows { rows, .. } => {
                let source = self.reserve(CHECKSUM);
                self.push(open);
                let mut reading = From::Own;
                for row in rows {
                    let length = row.length as u64;
                    if row.from != reading {
                        self.push(match row.from {
                            From::Old => Operation::SetSource { offset: source },
                            From::Own => Operation::UnsetSource,
                        });
                        reading = row.from;
                    }
                    let offset = match row.from {
                        From::Old => row.offset as u64,
                        From::Own => self.reserve(length),
                    };
                    self.push(Operation::Write { offset, length });
                }
                self.push(Operation::Close);
            }
        }
    }

    /// Returns the numbers of a header's owner and mode, and of its attributes.
    fn numbers(&mut self, header: &FileHeader) -> (u64, u64) {
        let mode = PartMode {
            uid: header.uid,
            gid: header.gid,
            mode: header.mode,
        };
        let mode = number_of(&mut self.modes, &mut self.frame.modes, &mode);
        let xattrs = number_of(&mut self.xattrs, &mut self.frame.xattrs, &header.xattrs);
        (mode, xattrs)
    }
}

fn number_of<T: Clone + Eq + Hash>(known: &mut HashMap<T, u64>, list: &mut Vec<T>, value: &T) -> u64 {
    if let Some(number) = known.get(value) {
        return *number;
    }
    let number = list.len() as u64;
    list.push(value.clone());
    known.insert(value.clone(), number);
    number
}

/// Returns the checksum that a file's bytes in the payload begin with, if it is made from another.
pub(super) const fn source_of(file: &Encoded) -> Option<&Checksum> {
    match &file.shape {
        Shape::Rows { source, .. } | Shape::Patch { source, .. } => Some(source),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(sizes: &[u64]) -> Vec<Item<'static>> {
        let name = ObjectName::new(Checksum::of(b"object"), ObjectType::DirTree);
        sizes.iter().map(|size| Item::Metadata(name, *size)).collect()
    }

    fn divided(sizes: &[u64], max_part: u64) -> Vec<Vec<u64>> {
        let items = items(sizes);
        let parts = divide(&items, max_part).into_iter();
        parts
            .map(|part| part.iter().map(Item::payload).collect())
            .collect()
    }

    #[test]
    fn parts_stay_within_the_limit_and_little_things_get_none_of_their_own() {
        const M: u64 = 1 << 20;
        let none: [Vec<u64>; 1] = [vec![]];
        assert_eq!(divided(&[], 32 * M), none);
        assert_eq!(divided(&[M, M, M], 32 * M), [vec![M, M, M]]);
        assert_eq!(divided(&[M, 5 * M, 1], 32 * M), [vec![M, 5 * M, 1]]);
        assert_eq!(divided(&[M, 5 * M, 3 * M], 32 * M), [vec![M, 5 * M], vec![3 * M]]);
        assert_eq!(divided(&[M; 5], 2 * M), [vec![M, M], vec![M, M], vec![M]]);
        assert_eq!(divided(&[50 * M, 1], 32 * M), [vec![50 * M], vec![1]]);
        let many = divided(&[M; 100], 32 * M);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 25, 25]);
    }

    #[test]
    fn sizes_that_nothing_has_are_divided_and_laid_out() {
        let sizes = [u64::MAX, 1, u64::MAX, 1];
        assert_eq!(divided(&sizes, u64::MAX), [vec![u64::MAX], vec![1, u64::MAX, 1]]);
        assert_eq!(
            divided(&sizes, 32 << 20),
            [vec![u64::MAX], vec![1], vec![u64::MAX], vec![1]]
        );
        assert_eq!(frame_of(&items(&sizes)).payload, u64::MAX);
    }
}
