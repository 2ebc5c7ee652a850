//! Reading containers piece by piece.

use std::iter::FusedIterator;
use std::slice::ChunksExact;

use super::{offset_size, offset_size_for};
use crate::{FormatError, Result};

/// Reads the members of a tuple or dictionary entry in order.
///
/// Call the method of each member's kind, then end with [`last`](Self::last) (or
/// [`last_string`](Self::last_string)) where the last member is of variable size and with
/// [`finish`](Self::finish) where it is of fixed size: only these check that nothing is left over.
#[derive(Debug, Clone)]
pub struct TupleReader<'a> {
    what: &'static str,
    data: &'a [u8],
    /// The end of the members read so far.
    pos: usize,
    /// The start of the offsets read so far; members end before it.
    table: usize,
    width: usize,
    alignment: usize,
}

impl<'a> TupleReader<'a> {
    /// Returns a reader of the tuple that is the whole of `data`. `what` names the structure in errors.
    #[inline]
    pub fn new(what: &'static str, data: &'a [u8]) -> Self {
        Self {
            what,
            data,
            pos: 0,
            table: data.len(),
            width: offset_size(data.len()),
            alignment: 1,
        }
    }

    /// Returns the bytes of a member of fixed size.
    ///
    /// # Errors
    /// `Invalid` if the padding is not zero or the tuple ends too early.
    #[inline]
    pub fn fixed(&mut self, alignment: usize, size: usize) -> Result<&'a [u8]> {
        self.align(alignment)?;
        let end = self
            .pos
            .checked_add(size)
            .ok_or_else(|| self.invalid("it ends too early"))?;
        self.take(end)
    }

    /// Returns the bytes of a member of variable size that is not the last member.
    ///
    /// # Errors
    /// `Invalid` if the padding is not zero or the member's framing offset is missing, goes backwards or
    /// past the end.
    #[inline]
    pub fn variable(&mut self, alignment: usize) -> Result<&'a [u8]> {
        self.align(alignment)?;
        let table = self
            .table
            .checked_sub(self.width)
            .filter(|_| self.width > 0)
            .ok_or_else(|| self.invalid("a framing offset is missing"))?;
        let end = self
            .data
            .get(table..self.table)
            .and_then(little_endian)
            .ok_or_else(|| self.invalid("a framing offset points past the end"))?;
        self.table = table;
        self.take(end)
    }

    /// Returns the bytes of the last member, of variable size.
    ///
    /// # Errors
    /// `Invalid` if the padding is not zero or the framing offsets are wider than needed.
    #[inline]
    pub fn last(mut self, alignment: usize) -> Result<&'a [u8]> {
        self.align(alignment)?;
        let member = self.take(self.table)?;
        self.check_width()?;
        Ok(member)
    }

    /// Ends the tuple behind a last member of fixed size, or without any member.
    ///
    /// # Errors
    /// `Invalid` if bytes are left over, the padding at the end is not zero, or the framing offsets are
    /// wider than needed.
    pub fn finish(mut self) -> Result<()> {
        if self.table == self.data.len() {
            // All members are of fixed size; a tuple without any is one zero byte.
            if self.pos == 0 && self.take(1)? != [0] {
                return Err(self.invalid("the empty tuple is not a zero byte"));
            }
            self.align(self.alignment)?;
        }
        if self.pos != self.table {
            return Err(self.invalid("bytes are left over"));
        }
        self.check_width()
    }

    /// Returns a member of type `y`.
    ///
    /// # Errors
    /// As [`fixed`](Self::fixed).
    pub fn byte(&mut self) -> Result<u8> {
        self.array(1).map(u8::from_le_bytes)
    }

    /// Returns a member of type `u` that is stored big endian, as OSTree stores user ids and modes.
    ///
    /// # Errors
    /// As [`fixed`](Self::fixed).
    pub fn u32_be(&mut self) -> Result<u32> {
        self.array(4).map(u32::from_be_bytes)
    }

    /// Returns a member of type `u`.
    ///
    /// # Errors
    /// As [`fixed`](Self::fixed).
    pub fn u32_le(&mut self) -> Result<u32> {
        self.array(4).map(u32::from_le_bytes)
    }

    /// Returns a member of type `t` that is stored big endian, as OSTree stores sizes and times.
    ///
    /// # Errors
    /// As [`fixed`](Self::fixed).
    pub fn u64_be(&mut self) -> Result<u64> {
        self.array(8).map(u64::from_be_bytes)
    }

    /// Returns a member of type `t`.
    ///
    /// # Errors
    /// As [`fixed`](Self::fixed).
    pub fn u64_le(&mut self) -> Result<u64> {
        self.array(8).map(u64::from_le_bytes)
    }

    /// Returns a member of type `s` that is not the last.
    ///
    /// # Errors
    /// As [`variable`](Self::variable), and as [`string`].
    #[inline]
    pub fn string(&mut self) -> Result<&'a str> {
        let bytes = self.variable(1)?;
        string(self.what, bytes)
    }

    /// Returns the last member, of type `s`.
    ///
    /// # Errors
    /// As [`last`](Self::last), and as [`string`].
    #[inline]
    pub fn last_string(self) -> Result<&'a str> {
        let what = self.what;
        string(what, self.last(1)?)
    }

    fn array<const N: usize>(&mut self, alignment: usize) -> Result<[u8; N]> {
        let bytes = self.fixed(alignment, N)?;
        Ok(bytes.try_into().expect("a member of N bytes was taken"))
    }

    #[inline]
    fn align(&mut self, alignment: usize) -> Result<()> {
        self.alignment = self.alignment.max(alignment);
        let start = self.pos.next_multiple_of(alignment);
        if start != self.pos && self.take(start)?.iter().any(|byte| *byte != 0) {
            return Err(self.invalid("the padding is not zero"));
        }
        Ok(())
    }

    #[inline]
    fn take(&mut self, end: usize) -> Result<&'a [u8]> {
        if end > self.table {
            return Err(self.invalid("a member runs past the end"));
        }
        let taken = self
            .data
            .get(self.pos..end)
            .ok_or_else(|| self.invalid("a framing offset goes backwards"))?;
        self.pos = end;
        Ok(taken)
    }

    #[inline]
    fn check_width(&self) -> Result<()> {
        let table_len = self.data.len() - self.table;
        if table_len > 0 && offset_size_for(self.pos, table_len / self.width) != self.width {
            return Err(self.invalid("the framing offsets are wider than needed"));
        }
        Ok(())
    }

    #[cold]
    fn invalid(&self, rule: &str) -> FormatError {
        FormatError::invalid(self.what, rule)
    }
}

/// Iterates over the elements of an array whose elements are of variable size.
///
/// Ends after the first error.
#[derive(Debug, Clone)]
pub struct ArrayReader<'a> {
    what: &'static str,
    /// The elements with their padding.
    body: &'a [u8],
    /// The offsets of the elements that are still to come.
    table: &'a [u8],
    pos: usize,
    width: usize,
    alignment: usize,
}

impl<'a> ArrayReader<'a> {
    /// Returns a reader of the array that is the whole of `data`, with elements of the given alignment.
    /// Zero bytes are the empty array. `what` names the structure in errors.
    ///
    /// # Errors
    /// `Invalid` if `data` does not end in a table of offsets of the right width.
    #[inline]
    pub fn new(what: &'static str, data: &'a [u8], alignment: usize) -> Result<Self> {
        let width = offset_size(data.len());
        let (body, table) = if data.is_empty() {
            (data, data)
        } else {
            // The last offset is the end of the last element, and so the start of the table.
            data.len()
                .checked_sub(width)
                .and_then(|last| data.get(last..))
                .and_then(little_endian)
                .and_then(|start| data.split_at_checked(start))
                .filter(|(_, table)| !table.is_empty() && table.len().is_multiple_of(width))
                .ok_or_else(|| FormatError::invalid(what, "the table of framing offsets is malformed"))?
        };
        if !table.is_empty() && offset_size_for(body.len(), table.len() / width) != width {
            return Err(FormatError::invalid(
                what,
                "the framing offsets are wider than needed",
            ));
        }
        Ok(Self {
            what,
            body,
            table,
            pos: 0,
            width,
            alignment,
        })
    }

    #[inline]
    fn element(&mut self, offset: &[u8]) -> Result<&'a [u8]> {
        let start = self.pos.next_multiple_of(self.alignment);
        let padding = self.body.get(self.pos..start);
        if !padding.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0)) {
            return Err(FormatError::invalid(self.what, "the padding is not zero"));
        }
        let end = little_endian(offset).unwrap_or(usize::MAX);
        let element = self.body.get(start..end).ok_or_else(|| {
            FormatError::invalid(self.what, "a framing offset goes backwards or past the end")
        })?;
        self.pos = end;
        Ok(element)
    }
}

impl<'a> Iterator for ArrayReader<'a> {
    type Item = Result<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.table.is_empty() {
            return None;
        }
        let (offset, rest) = self.table.split_at_checked(self.width)?;
        self.table = rest;
        let element = self.element(offset);
        if element.is_err() {
            self.table = &[];
        }
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.table.len().checked_div(self.width).unwrap_or(0);
        (left, Some(left))
    }
}

impl ExactSizeIterator for ArrayReader<'_> {}
impl FusedIterator for ArrayReader<'_> {}

/// Returns the elements of an array whose elements all have `size` bytes (more than zero).
///
/// # Errors
/// `Invalid` if the length is no multiple of the size.
pub fn fixed_elements<'a>(what: &'static str, data: &'a [u8], size: usize) -> Result<ChunksExact<'a, u8>> {
    let elements = data.chunks_exact(size);
    if elements.remainder().is_empty() {
        Ok(elements)
    } else {
        Err(FormatError::invalid(
            what,
            format!("{} bytes are no multiple of {size}", data.len()),
        ))
    }
}

/// Returns the text of an `s`: UTF-8 that ends in the one NUL it contains.
///
/// # Errors
/// `Invalid` for anything else.
#[inline]
pub fn string<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a str> {
    let Some((0, text)) = bytes.split_last() else {
        return Err(FormatError::invalid(what, "a string does not end in NUL"));
    };
    if text.contains(&0) {
        return Err(FormatError::invalid(what, "a string contains NUL"));
    }
    std::str::from_utf8(text)
        .map_err(|error| FormatError::invalid(what, format!("a string is not UTF-8: {error}")))
}

#[inline]
fn little_endian(bytes: &[u8]) -> Option<usize> {
    let mut wide = [0; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvariant::framing::{ArrayWriter, TupleWriter};

    const WHAT: &str = "test";

    fn pair(data: &[u8]) -> Result<(&[u8], &[u8])> {
        let mut reader = TupleReader::new(WHAT, data);
        Ok((reader.variable(1)?, reader.last(1)?))
    }

    fn elements(data: &[u8], alignment: usize) -> Result<Vec<&[u8]>> {
        ArrayReader::new(WHAT, data, alignment)?.collect()
    }

    #[test]
    fn dirtree_with_one_file_reads_and_writes_as_stock_wrote_it() {
        let mut stock = b"run\0".to_vec();
        stock.extend([7; 32]);
        stock.extend([0x04, 0x25, 0x26]);

        let (files, dirs) = pair(&stock).unwrap();
        let written = TupleWriter::encode(|tree| {
            tree.array(1, |files| {
                files.tuple(|file| {
                    file.string("run");
                    file.bytes(&[7; 32]);
                });
            });
            tree.array(1, |_| {});
        });

        assert_eq!(written, stock);
        assert!(dirs.is_empty());
        let file = elements(files, 1).unwrap();
        let [file] = *file else {
            panic!("{} files", file.len())
        };
        let mut file = TupleReader::new(WHAT, file);
        assert_eq!(file.string().unwrap(), "run");
        assert_eq!(file.last(1).unwrap(), [7; 32]);
    }

    #[test]
    fn offsets_widen_exactly_when_the_container_outgrows_them() {
        for (first, width) in [(0xfe, 1), (0xff, 2), (0xfffd, 2), (0xfffe, 4)] {
            let member = vec![1; first];
            let bytes = TupleWriter::encode(|tuple| {
                tuple.bytes(&member);
                tuple.bytes(&[]);
            });
            assert_eq!(bytes.len(), first + width);
            assert_eq!(pair(&bytes).unwrap(), (&*member, &[][..]));
        }
    }

    #[test]
    fn wider_offsets_than_needed_are_refused() {
        // 254 bytes and one offset fit into 255; here the offset has two bytes all the same.
        let mut bytes = vec![1; 254];
        bytes.extend([254, 0]);
        assert!(pair(&bytes).is_err());
        assert!(elements(&bytes, 1).is_err());
    }

    #[test]
    fn malformed_tuples_are_refused() {
        let table: [(&[u8], &str); 4] = [
            (&[], "no offset"),
            (&[1], "offset past the table"),
            (&[9, 9, 3], "offset beyond the end"),
            (&[9, 9, 0xff], "offset far beyond the end"),
        ];
        for (bytes, why) in table {
            assert!(pair(bytes).is_err(), "{why}");
        }
        // (ysy): the offset goes backwards, then bytes are left over.
        for bytes in [&[7, b'a', 0, 9, 0][..], &[7, b'a', 0, 9, 9, 3][..]] {
            let mut reader = TupleReader::new(WHAT, bytes);
            assert_eq!(reader.byte().unwrap(), 7);
            let rest = reader.string().and_then(|_| reader.byte());
            assert!(rest.and_then(|_| reader.finish()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn padding_must_be_zero_and_present() {
        let read = |bytes: &[u8]| -> Result<u32> {
            let mut reader = TupleReader::new(WHAT, bytes);
            reader.byte()?;
            let number = reader.u32_le()?;
            reader.byte()?;
            reader.finish()?;
            Ok(number)
        };
        let good = [1, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(read(&good).unwrap(), 5);
        for index in [1, 3, 9, 11] {
            let mut bad = good;
            *bad.get_mut(index).unwrap() = 1;
            assert!(read(&bad).is_err(), "{index}");
        }
        assert!(read(&good[..11]).is_err());
        assert!(read(&[&good[..], &[0]].concat()).is_err());
    }

    #[test]
    fn the_empty_tuple_is_one_zero_byte() {
        assert_eq!(TupleWriter::encode(|_| {}), [0]);
        for (bytes, fine) in [(&[0][..], true), (&[], false), (&[1], false), (&[0, 0], false)] {
            assert_eq!(TupleReader::new(WHAT, bytes).finish().is_ok(), fine, "{bytes:?}");
        }
    }

    #[test]
    fn empty_elements_are_aligned_and_have_offsets() {
        let bytes = ArrayWriter::encode(8, |array| {
            array.variable(b"a");
            array.variable(b"");
        });
        assert_eq!(bytes, [b'a', 0, 0, 0, 0, 0, 0, 0, 1, 8]);
        assert_eq!(elements(&bytes, 8).unwrap(), [&b"a"[..], b""]);
        assert!(elements(b"a\x01\x01", 8).is_err());
        assert!(elements(&[], 8).unwrap().is_empty());
    }

    #[test]
    fn malformed_arrays_are_refused() {
        for bytes in [
            &[0, 0, 2, 1][..],
            &[1],
            &[5],
            &[0xff; 4],
            &[b'a', 2, 1],
            &[b'a', b'b', 2, 1, 2],
        ] {
            assert!(elements(bytes, 1).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn array_ends_after_its_first_error() {
        let mut array = ArrayReader::new(WHAT, &[b'a', b'b', 2, 1, 2], 1).unwrap();
        assert_eq!(array.len(), 3);
        assert!(array.next().unwrap().is_ok());
        assert!(array.next().unwrap().is_err());
        assert!(array.next().is_none());
    }

    #[test]
    fn strings_end_in_the_one_nul_they_contain() {
        assert_eq!(string(WHAT, b"\0").unwrap(), "");
        assert_eq!(string(WHAT, "h\u{e9}\0".as_bytes()).unwrap(), "h\u{e9}");
        for bytes in [&b""[..], b"a", b"a\0b\0", b"\xff\0", b"\xed\xa0\x80\0"] {
            assert!(string(WHAT, bytes).is_err(), "{bytes:?}");
        }
    }
}
