//! Writing containers piece by piece, into one buffer.
//!
//! A container is written by a closure that gets its writer; its offsets follow when the closure returns.
//! Whether a part is of fixed size follows from what was written, so that tuples of fixed-size members get
//! no offsets and the padding at their end.

/// The bytes written so far, and the ends of parts of the containers that are still open.
///
/// The outermost container starts at the first byte, and every container starts at a multiple of its own
/// alignment: padding can therefore be counted from the start of the buffer.
#[derive(Debug, Default)]
pub(in super::super) struct Sink {
    pub(in super::super) out: Vec<u8>,
    ends: Vec<usize>,
}

/// Whether all values of a part's type have the same size, and thus need no framing offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Size {
    Fixed,
    Variable,
}

impl Sink {
    fn pad(&mut self, alignment: usize) {
        self.out.resize(self.out.len().next_multiple_of(alignment), 0);
    }

    pub(in super::super) fn tuple(&mut self, fill: impl FnOnce(&mut TupleWriter<'_>)) -> Size {
        let mut writer = TupleWriter {
            start: self.out.len(),
            first_end: self.ends.len(),
            alignment: 1,
            last: Size::Fixed,
            size: Size::Fixed,
            sink: self,
        };
        fill(&mut writer);
        writer.finish()
    }

    pub(in super::super) fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        let mut writer = ArrayWriter {
            start: self.out.len(),
            first_end: self.ends.len(),
            alignment,
            sink: self,
        };
        fill(&mut writer);
        writer.finish();
    }

    /// Appends the ends from index `first` on as offsets, and forgets them.
    fn write_offsets(&mut self, start: usize, first: usize, reverse: bool) {
        let Self { out, ends } = self;
        let open = ends.get_mut(first..).unwrap_or_default();
        if reverse {
            open.reverse();
        }
        let width = super::offset_size_for(out.len() - start, open.len());
        for end in open {
            out.extend(end.to_le_bytes().into_iter().take(width));
        }
        ends.truncate(first);
    }
}

/// Writes the members of a tuple or dictionary entry in order.
#[derive(Debug)]
pub struct TupleWriter<'s> {
    pub(in super::super) sink: &'s mut Sink,
    start: usize,
    first_end: usize,
    alignment: usize,
    /// The last member so far.
    last: Size,
    /// The tuple as a whole.
    size: Size,
}

impl TupleWriter<'_> {
    /// Returns the bytes of the tuple that `fill` writes.
    pub fn encode(fill: impl FnOnce(&mut TupleWriter<'_>)) -> Vec<u8> {
        let mut sink = Sink::default();
        sink.tuple(fill);
        sink.out
    }

    /// Appends a member of fixed size, already encoded.
    pub fn fixed(&mut self, alignment: usize, bytes: &[u8]) {
        self.member(alignment, |sink| {
            sink.out.extend_from_slice(bytes);
            Size::Fixed
        });
    }

    /// Appends a member of variable size, already encoded.
    pub fn variable(&mut self, alignment: usize, bytes: &[u8]) {
        self.member(alignment, |sink| {
            sink.out.extend_from_slice(bytes);
            Size::Variable
        });
    }

    /// Appends a member of type `y`.
    pub fn byte(&mut self, value: u8) {
        self.fixed(1, &[value]);
    }

    /// Appends a member of type `u`, stored big endian as OSTree stores user ids and modes.
    pub fn u32_be(&mut self, value: u32) {
        self.fixed(4, &value.to_be_bytes());
    }

    /// Appends a member of type `u`.
    pub fn u32_le(&mut self, value: u32) {
        self.fixed(4, &value.to_le_bytes());
    }

    /// Appends a member of type `t`, stored big endian as OSTree stores sizes and times.
    pub fn u64_be(&mut self, value: u64) {
        self.fixed(8, &value.to_be_bytes());
    }

    /// Appends a member of type `t`.
    pub fn u64_le(&mut self, value: u64) {
        self.fixed(8, &value.to_le_bytes());
    }

    /// Appends a member of type `s`. The text must not contain NUL: it would read as malformed.
    pub fn string(&mut self, text: &str) {
        self.member(1, |sink| {
            sink.string(text);
            Size::Variable
        });
    }

    /// Appends a member of type `ay`.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.variable(1, bytes);
    }

    /// Appends a tuple. `alignment` is that of its type.
    pub fn tuple(&mut self, alignment: usize, fill: impl FnOnce(&mut TupleWriter<'_>)) {
        self.member(alignment, |sink| sink.tuple(fill));
    }

    /// Appends an array. `alignment` is that of its elements' type.
    pub fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.member(alignment, |sink| {
            sink.array(alignment, fill);
            Size::Variable
        });
    }

    pub(in super::super) fn member(&mut self, alignment: usize, write: impl FnOnce(&mut Sink) -> Size) {
        self.alignment = self.alignment.max(alignment);
        self.sink.pad(alignment);
        self.last = write(self.sink);
        if self.last == Size::Variable {
            self.size = Size::Variable;
            self.sink.ends.push(self.sink.out.len() - self.start);
        }
    }

    fn finish(self) -> Size {
        if self.last == Size::Variable {
            // A last member of variable size ends where the offsets start.
            self.sink.ends.pop();
        }
        if self.size == Size::Variable {
            self.sink.write_offsets(self.start, self.first_end, true);
        } else {
            if self.sink.out.len() == self.start {
                self.sink.out.push(0);
            }
            self.sink.pad(self.alignment);
        }
        self.size
    }
}

/// Writes the elements of an array in order.
#[derive(Debug)]
pub struct ArrayWriter<'s> {
    pub(in super::super) sink: &'s mut Sink,
    start: usize,
    first_end: usize,
    alignment: usize,
}

impl ArrayWriter<'_> {
    /// Returns the bytes of the array that `fill` writes. `alignment` is that of the elements' type.
    pub fn encode(alignment: usize, fill: impl FnOnce(&mut ArrayWriter<'_>)) -> Vec<u8> {
        let mut sink = Sink::default();
        sink.array(alignment, fill);
        sink.out
    }

    /// Appends an element of fixed size, already encoded.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.element(|sink| {
            sink.out.extend_from_slice(bytes);
            Size::Fixed
        });
    }

    /// Appends an element of variable size, already encoded.
    pub fn variable(&mut self, bytes: &[u8]) {
        self.element(|sink| {
            sink.out.extend_from_slice(bytes);
            Size::Variable
        });
    }

    /// Appends an element of type `s`. The text must not contain NUL: it would read as malformed.
    pub fn string(&mut self, text: &str) {
        self.element(|sink| {
            sink.string(text);
            Size::Variable
        });
    }

    /// Appends an element of type `ay`.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.variable(bytes);
    }

    /// Appends a tuple or dictionary entry.
    pub fn tuple(&mut self, fill: impl FnOnce(&mut TupleWriter<'_>)) {
        self.element(|sink| sink.tuple(fill));
    }

    /// Appends an array. Its elements have the alignment of this array's.
    pub fn array(&mut self, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        let alignment = self.alignment;
        self.element(|sink| {
            sink.array(alignment, fill);
            Size::Variable
        });
    }

    pub(in super::super) fn element(&mut self, write: impl FnOnce(&mut Sink) -> Size) {
        self.sink.pad(self.alignment);
        if write(self.sink) == Size::Variable {
            self.sink.ends.push(self.sink.out.len() - self.start);
        }
    }

    fn finish(self) {
        self.sink.write_offsets(self.start, self.first_end, false);
    }
}

impl Sink {
    pub(in super::super) fn string(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(0);
    }
}
