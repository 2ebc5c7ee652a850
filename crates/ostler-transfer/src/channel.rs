//! Messages over two streams of bytes, for both ends of a push.
//!
//! What is sent waits in a buffer until there is enough of it, or until [`Output::flush`]: whoever is about to wait for an
//! answer flushes first, and then neither end waits for what lies in a buffer of the other.

use crate::error::{Result, TransferError};
use ostler_format::FormatError;
use ostler_format::wire::{Header, Hello, Message};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// From so many bytes on they are handed to the stream.
const ENOUGH: usize = 64 << 10;

/// How many bytes of what is no greeting are shown.
const SHOWN: usize = 200;

/// How long an end is at work before it says so.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Messages that come.
#[derive(Debug)]
pub(crate) struct Input<R> {
    reader: BufReader<R>,
}

/// Messages that go.
#[derive(Debug)]
pub(crate) struct Output<W> {
    writer: W,
    buffer: Vec<u8>,
    last: Instant,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(ENOUGH, reader),
        }
    }

    /// Returns whether the next message, or a part of it, has yet to come.
    pub(crate) fn is_drained(&self) -> bool {
        self.reader.buffer().is_empty()
    }

    /// Returns the greeting of the other end.
    pub(crate) fn greeting(&mut self) -> Result<Hello> {
        let mut header = [0; Header::LENGTH];
        self.reader.read_exact(&mut header).map_err(TransferError::Cut)?;
        let parsed = Header::parse(header).ok().filter(|header| header.kind == 1);
        let Some(parsed) = parsed else {
            return Err(self.no_greeting(&header));
        };
        match self.payload(parsed)? {
            Message::Hello(hello) => Ok(hello),
            other => Err(unexpected(&other)),
        }
    }

    /// Says what came in place of a greeting: most often what a shell prints when somebody logs in.
    fn no_greeting(&self, header: &[u8]) -> TransferError {
        let mut shown = header.to_vec();
        shown.extend(self.reader.buffer().iter().take(SHOWN));
        let shown = String::from_utf8_lossy(&shown);
        TransferError::Protocol(format!("it begins with '{}'", shown.trim_end().escape_debug()))
    }

    /// Returns the next message; those that only say that the other end is at work, or that are unknown and may be left out,
    /// are not among them.
    pub(crate) fn next(&mut self) -> Result<Message> {
        match self.next_or_end()? {
            Some(message) => Ok(message),
            None => Err(TransferError::Cut(ErrorKind::UnexpectedEof.into())),
        }
    }

    /// As [`next`](Self::next); `None` where the stream ends between two messages.
    pub(crate) fn next_or_end(&mut self) -> Result<Option<Message>> {
        loop {
            if self.is_at_end()? {
                return Ok(None);
            }
            let mut header = [0; Header::LENGTH];
            self.reader.read_exact(&mut header).map_err(TransferError::Cut)?;
            match self.payload(Header::parse(header).map_err(malformed)?)? {
                Message::Alive | Message::Unknown(_) => {}
                Message::Error(text) => return Err(TransferError::Peer(text)),
                message => return Ok(Some(message)),
            }
        }
    }

    fn is_at_end(&mut self) -> Result<bool> {
        loop {
            match self.reader.fill_buf() {
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                Err(fault) => return Err(TransferError::Cut(fault)),
                Ok(bytes) => return Ok(bytes.is_empty()),
            }
        }
    }

    fn payload(&mut self, header: Header) -> Result<Message> {
        let mut payload = vec![0; header.length];
        self.reader.read_exact(&mut payload).map_err(TransferError::Cut)?;
        Message::parse(header.kind, payload).map_err(malformed)
    }
}

impl<W: Write> Output<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self {
            writer,
            buffer: Vec::with_capacity(2 * ENOUGH),
            last: Instant::now(),
        }
    }

    /// Sends a message, now or with those that follow.
    pub(crate) fn send(&mut self, message: &Message) -> Result<()> {
        message.write(&mut self.buffer).map_err(TransferError::Compose)?;
        if self.buffer.len() >= ENOUGH {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Brings everything on its way.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.hand_over()?;
        self.writer.flush().map_err(TransferError::Cut)
    }

    /// Says that we are at work, if nothing else has said so for a time.
    pub(crate) fn show_life(&mut self) -> Result<()> {
        if self.last.elapsed() < SIGN_OF_LIFE {
            return Ok(());
        }
        self.send(&Message::Alive)?;
        self.flush()
    }

    fn hand_over(&mut self) -> Result<()> {
        self.last = Instant::now();
        let written = self.writer.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|fault: io::Error| TransferError::Cut(fault))
    }
}

/// Returns the error for bytes that are no message.
#[expect(clippy::needless_pass_by_value, reason = "so that map_err takes it")]
pub(crate) fn malformed(fault: FormatError) -> TransferError {
    TransferError::Protocol(fault.to_string())
}

/// Returns the error for a message that may not come where it came.
pub(crate) fn unexpected(message: &Message) -> TransferError {
    let text = match message {
        Message::Hello(_) => "a greeting",
        Message::Refs { .. } => "refs",
        Message::Offer(_) | Message::Offered | Message::Chain { .. } | Message::Beside(_) => "an offer",
        Message::Want(_) => "a request",
        Message::Batch(_) | Message::Content { .. } | Message::Begin(_) | Message::Data(_) | Message::End => {
            "an object"
        }
        Message::Verdicts { .. } | Message::Finished(_) | Message::Joined(_) => "a result",
        Message::Note(_) | Message::Alive | Message::Error(_) | Message::Unknown(_) => "a word",
    };
    TransferError::Protocol(format!("{text} comes where it may not"))
}
