//! The body of a response: a file as a stream of chunks, counted as they leave.
//!
//! A body can be told to break off: then its length is promised as if it were whole, and the connection ends early.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, ReadBuf};

/// The size of a chunk: what is in memory of a file for each response.
pub(crate) const CHUNK: usize = 64 * 1024;

/// What a server has answered.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
}

/// The bytes of a response: those read already, then those still in the file.
pub(crate) struct ResponseBody {
    first: Bytes,
    rest: Option<File>,
    remaining: u64,
    buffer: Vec<u8>,
    break_off: BreakOff,
    traffic: Arc<Traffic>,
}

/// Whether a body ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakOff {
    Never,
    /// With so many bytes still to be sent.
    At(u64),
    /// What was handed out before is on its way.
    Now,
}

impl ResponseBody {
    /// A body of bytes at hand.
    pub(crate) fn of(bytes: impl Into<Bytes>, traffic: Arc<Traffic>) -> Self {
        let first = bytes.into();
        Self {
            remaining: first.len() as u64,
            first,
            rest: None,
            buffer: Vec::new(),
            break_off: BreakOff::Never,
            traffic,
        }
    }

    /// A body of `size` bytes, the first of them at hand and the others at the position of `rest`.
    pub(crate) fn stream(first: Vec<u8>, rest: std::fs::File, size: u64, traffic: Arc<Traffic>) -> Self {
        let mut rest = File::from_std(rest);
        rest.set_max_buf_size(CHUNK);
        Self {
            first: first.into(),
            rest: Some(rest),
            remaining: size,
            buffer: Vec::new(),
            break_off: BreakOff::Never,
            traffic,
        }
    }

    /// Lets the body end with an error after the first half.
    pub(crate) fn break_off_halfway(mut self) -> Self {
        let lacking = self.remaining.div_ceil(2);
        let sent = usize::try_from(self.remaining - lacking).unwrap_or(usize::MAX);
        self.first.truncate(sent);
        self.break_off = BreakOff::At(lacking);
        self
    }

    /// Returns how many bytes the next frame may hold.
    fn allowed(&self) -> u64 {
        match self.break_off {
            BreakOff::Never => self.remaining,
            BreakOff::At(lacking) => self.remaining.saturating_sub(lacking),
            BreakOff::Now => 0,
        }
    }

    fn hand_out(&mut self, bytes: Bytes) -> Frame<Bytes> {
        let count = bytes.len() as u64;
        self.remaining = self.remaining.saturating_sub(count);
        self.traffic.body_bytes.fetch_add(count, Ordering::Relaxed);
        Frame::data(bytes)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            let first = std::mem::take(&mut this.first);
            return Poll::Ready(Some(Ok(this.hand_out(first))));
        }
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        let allowed = this.allowed();
        if allowed == 0 {
            if this.break_off == BreakOff::Now {
                return Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())));
            }
            // Once around, so that what was handed out leaves before the connection does.
            this.break_off = BreakOff::Now;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(file) = this.rest.as_mut() else {
            return Poll::Ready(None);
        };
        let size = usize::try_from(allowed).unwrap_or(CHUNK).min(CHUNK);
        this.buffer.resize(size, 0);
        let mut buffer = ReadBuf::new(&mut this.buffer);
        if let Err(error) = ready!(Pin::new(file).poll_read(context, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let filled = buffer.filled().len();
        if filled == 0 {
            // The length is promised already: ending the connection is the only way to say that bytes lack.
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        this.buffer.truncate(filled);
        let bytes = Bytes::from(std::mem::take(&mut this.buffer));
        Poll::Ready(Some(Ok(this.hand_out(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
