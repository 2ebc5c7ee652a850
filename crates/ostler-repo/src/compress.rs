//! Raw deflate (RFC 1951, no zlib or gzip frame), the payload of archive content objects.
//!
//! Two engines: libdeflate where a payload fits into memory (at most [`WHOLE_LIMIT`] bytes), which is both
//! faster and smaller, and zlib-rs for streams. The compressed bytes differ between engines and levels; the
//! id of an object does not, since it covers the content.
//!
//! Inflating trusts nothing: never more than the declared size is produced, so that a bomb stops there, and
//! less than the declared size is an error. [`InflateReader`] also refuses bytes after the end of the deflate
//! stream; [`inflate_whole`] cannot see them (libdeflate does not tell what it consumed), so whoever decides
//! whether an object is sound uses the former.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};
use std::cell::RefCell;
use std::io::{self, Read};

/// Payloads up to this many bytes are handled in one piece in memory; larger ones are streamed.
pub(crate) const WHOLE_LIMIT: u64 = 2 << 20;

/// The size of the buffers through which larger payloads stream.
pub(crate) const STREAM_BUFFER: usize = 128 << 10;

/// Up to this many bytes libdeflate does not try to compress; zlib saves some of them, and its sizes are those that
/// stock writes into commits.
const TINY: usize = 55;

/// The engines of a thread: their tables are large, so they are made once.
struct Engines {
    compressor: Option<(u32, Compressor)>,
    tiny: Option<(u32, Compress)>,
    decompressor: Decompressor,
    inflater: Option<Inflater>,
}

/// A streaming engine with its buffer of compressed bytes.
struct Inflater {
    state: Box<Decompress>,
    buffer: Box<[u8]>,
}

thread_local! {
    static ENGINES: RefCell<Engines> = RefCell::new(Engines {
        compressor: None,
        tiny: None,
        decompressor: Decompressor::new(),
        inflater: None,
    });
}

/// Appends `payload`, deflated at zlib's `level` (1 to 9), to `out`.
///
/// libdeflate gets one level less: on the files of an operating system its level 5 makes 1 % less than zlib's
/// level 6, in four fifths of the time of its own level 6, which saves another 0.3 %.
pub(crate) fn deflate_whole(level: u32, payload: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    if payload.is_empty() {
        // As zlib has it; libdeflate would take five bytes.
        out.extend_from_slice(&[3, 0]);
        return Ok(());
    }
    if payload.len() <= TINY {
        return ENGINES.with_borrow_mut(|engines| deflate_tiny(&mut engines.tiny, level, payload, out));
    }
    ENGINES.with_borrow_mut(|engines| {
        let compressor = match &mut engines.compressor {
            Some((made_for, compressor)) if *made_for == level => compressor,
            slot => {
                let wanted = i32::try_from(level.saturating_sub(1).max(1))
                    .ok()
                    .and_then(|level| CompressionLvl::new(level).ok())
                    .unwrap_or_default();
                &mut slot.insert((level, Compressor::new(wanted))).1
            }
        };
        let start = out.len();
        out.resize(start + compressor.deflate_compress_bound(payload.len()), 0);
        let written = compressor
            .deflate_compress(payload, out.get_mut(start..).unwrap_or_default())
            .map_err(io::Error::other)?;
        out.truncate(start + written);
        Ok(())
    })
}

/// Appends a few bytes, deflated by zlib.
fn deflate_tiny(
    engine: &mut Option<(u32, Compress)>,
    level: u32,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let compress = match engine {
        Some((made_for, compress)) if *made_for == level => {
            compress.reset();
            compress
        }
        slot => {
            &mut slot
                .insert((level, Compress::new(Compression::new(level), false)))
                .1
        }
    };
    // Room for whatever comes out, so that one call is enough.
    out.reserve(2 * TINY);
    match compress.compress_vec(payload, out, FlushCompress::Finish)? {
        Status::StreamEnd => Ok(()),
        _ => Err(io::Error::other("a few bytes take more than twice their room")),
    }
}

/// Fills `out` with the inflated bytes of `deflated`, which must be exactly as many.
pub(crate) fn inflate_whole(deflated: &[u8], out: &mut [u8]) -> io::Result<()> {
    let size = out.len();
    let produced = ENGINES
        .with_borrow_mut(|engines| engines.decompressor.deflate_decompress(deflated, out))
        .map_err(|error| match error {
            DecompressionError::BadData => damaged("the deflate stream is damaged or cut short"),
            DecompressionError::InsufficientSpace => longer(size as u64),
        })?;
    if produced == size {
        Ok(())
    } else {
        Err(shorter(size as u64, produced as u64))
    }
}

fn damaged(detail: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

fn longer(size: u64) -> io::Error {
    damaged(&format!("inflates to more than the declared {size} bytes"))
}

fn shorter(size: u64, produced: u64) -> io::Error {
    damaged(&format!("inflates to {produced} bytes where {size} are declared"))
}

/// Inflates a stream that must hold one deflate stream of exactly the declared size, and nothing after it.
///
/// The end is checked when the reader is read to its end (`Ok(0)`).
pub(crate) struct InflateReader<R> {
    input: R,
    /// Goes back to the thread when the reader is dropped.
    engine: Option<Inflater>,
    start: usize,
    end: usize,
    size: u64,
    produced: u64,
    finished: bool,
}

impl<R: Read> InflateReader<R> {
    /// Inflates `input` to `size` bytes.
    pub(crate) fn new(input: R, size: u64) -> Self {
        let mut engine = ENGINES.with_borrow_mut(|engines| engines.inflater.take());
        if let Some(engine) = &mut engine {
            engine.state.reset(false);
        }
        let engine = engine.unwrap_or_else(|| Inflater {
            state: Box::new(Decompress::new(false)),
            buffer: vec![0; STREAM_BUFFER / 2].into(),
        });
        Self {
            input,
            engine: Some(engine),
            start: 0,
            end: 0,
            size,
            produced: 0,
            finished: false,
        }
    }

    fn engine(&mut self) -> &mut Inflater {
        self.engine.as_mut().expect("the engine is there until the drop")
    }

    /// Refills the empty buffer; returns whether the input has ended.
    fn refill(&mut self) -> io::Result<bool> {
        self.start = 0;
        self.end = 0;
        let engine = self.engine.as_mut().expect("the engine is there until the drop");
        self.end = read_some(&mut self.input, &mut engine.buffer)?;
        Ok(self.end == 0)
    }

    /// Runs the engine once over what is buffered; returns how many bytes it produced into `out`.
    fn step(&mut self, out: &mut [u8], ended: bool) -> io::Result<usize> {
        let (start, end) = (self.start, self.end);
        let Inflater { state, buffer } = self.engine();
        let (in_before, out_before) = (state.total_in(), state.total_out());
        let pending = buffer.get(start..end).unwrap_or_default();
        let status = state
            .decompress(pending, out, FlushDecompress::None)
            .map_err(|error| damaged(&format!("the deflate stream is damaged: {error}")))?;
        let consumed = state.total_in() - in_before;
        let produced = state.total_out() - out_before;
        self.start += usize::try_from(consumed).unwrap_or(usize::MAX);
        if status == Status::StreamEnd {
            self.finished = true;
        } else if consumed == 0 && produced == 0 && ended {
            return Err(damaged("the deflate stream is cut short"));
        }
        Ok(usize::try_from(produced).unwrap_or(usize::MAX))
    }

    /// Checks, once the stream has ended, that it was neither short nor followed by anything.
    fn check_end(&mut self) -> io::Result<()> {
        if self.produced != self.size {
            return Err(shorter(self.size, self.produced));
        }
        if self.start < self.end || !self.refill()? {
            return Err(damaged("there are bytes after the end of the deflate stream"));
        }
        Ok(())
    }
}

impl<R: Read> Read for InflateReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let mut probe = [0_u8; 1];
        while !self.finished {
            let ended = self.start == self.end && self.refill()?;
            let left = usize::try_from(self.size - self.produced).unwrap_or(usize::MAX);
            // With nothing left to produce, one byte of room tells an end of stream from an overlong one.
            let produced = if left == 0 {
                match self.step(&mut probe, ended)? {
                    0 => 0,
                    _ => return Err(longer(self.size)),
                }
            } else {
                let room = left.min(out.len());
                self.step(out.get_mut(..room).unwrap_or_default(), ended)?
            };
            self.produced += produced as u64;
            if produced > 0 {
                return Ok(produced);
            }
        }
        self.check_end()?;
        Ok(0)
    }
}

impl<R> Drop for InflateReader<R> {
    fn drop(&mut self) {
        // At the end of a thread its engines may be gone already.
        ENGINES
            .try_with(|engines| {
                if let Ok(mut engines) = engines.try_borrow_mut() {
                    engines.inflater = self.engine.take();
                }
            })
            .unwrap_or_default();
    }
}

impl<R> std::fmt::Debug for InflateReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InflateReader")
            .field("size", &self.size)
            .field("produced", &self.produced)
            .finish_non_exhaustive()
    }
}

/// Reads once, again after an interruption.
pub(crate) fn read_some(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn deflated(level: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        deflate_whole(level, payload, &mut out).unwrap();
        out
    }

    fn inflated(bytes: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        InflateReader::new(bytes, size).read_to_end(&mut out)?;
        Ok(out)
    }

    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 28) as u8
            })
            .collect()
    }

    #[test]
    fn both_engines_read_what_either_wrote() {
        for payload in [Vec::new(), vec![7], sample(100_000), sample(700_000)] {
            let mut streamed = flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(6));
            streamed.write_all(&payload).unwrap();
            for bytes in [
                deflated(6, &payload),
                deflated(1, &payload),
                streamed.finish().unwrap(),
            ] {
                let mut out = vec![0; payload.len()];
                inflate_whole(&bytes, &mut out).unwrap();
                assert_eq!(out, payload);
                assert_eq!(inflated(&bytes, payload.len() as u64).unwrap(), payload);
            }
        }
    }

    #[test]
    fn an_empty_payload_is_the_two_bytes_that_libostree_writes() {
        assert_eq!(deflated(6, b""), [3, 0]);
    }

    #[test]
    fn output_beyond_or_short_of_the_declared_size_is_refused() {
        let bytes = deflated(6, &vec![0; 1 << 20]);
        for size in [0_usize, 1, (1 << 20) - 1, (1 << 20) + 1] {
            assert!(inflate_whole(&bytes, &mut vec![0; size]).is_err(), "{size}");
            assert!(inflated(&bytes, size as u64).is_err(), "{size}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let payload = sample(3000);
        let bytes = deflated(6, &payload);
        for length in 0..bytes.len() {
            assert!(
                inflate_whole(&bytes[..length], &mut vec![0; payload.len()]).is_err(),
                "{length}"
            );
            assert!(
                inflated(&bytes[..length], payload.len() as u64).is_err(),
                "{length}"
            );
        }
    }

    #[test]
    fn bytes_after_the_stream_are_refused() {
        let payload = sample(3000);
        for extra in [1, 100_000] {
            let mut bytes = deflated(6, &payload);
            bytes.resize(bytes.len() + extra, 0);
            assert!(inflated(&bytes, payload.len() as u64).is_err(), "{extra}");
        }
    }
}
