//! Streams whose other end may stop: reading and writing wait so long for it, and then fail.
//!
//! A thread of its own does the reading or writing, a few pieces ahead of us. One that waits for ever, because the other end does,
//! ends with the process, or when the child goes whose pipe it waits for.

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

/// How many bytes are read at once.
const PIECE: usize = 64 << 10;

/// How many pieces wait between the two threads.
const AHEAD: usize = 8;

/// A stream to read from.
#[derive(Debug)]
pub(crate) struct PatientRead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
    limit: Duration,
}

/// A stream to write to.
#[derive(Debug)]
pub(crate) struct PatientWrite {
    orders: Sender<Order>,
    flushed: Receiver<io::Result<()>>,
    limit: Duration,
}

#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    Flush,
}

impl PatientRead {
    /// Reads from `stream`, and waits so long for each piece.
    pub(crate) fn new(mut stream: impl Read + Send + 'static, limit: Duration) -> Self {
        let (sender, pieces) = bounded(AHEAD);
        thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE];
                let read = stream.read(&mut piece).map(|count| {
                    piece.truncate(count);
                    piece
                });
                let is_last = match &read {
                    Ok(piece) => piece.is_empty(),
                    Err(fault) => fault.kind() != ErrorKind::Interrupted,
                };
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        });
        Self {
            pieces,
            current: Cursor::default(),
            limit,
        }
    }
}

impl Read for PatientRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.pieces.recv_timeout(self.limit) {
                Ok(piece) => self.current = Cursor::new(piece?),
                Err(RecvTimeoutError::Timeout) => return Err(silence(self.limit)),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
            if self.current.get_ref().is_empty() {
                return Ok(0);
            }
        }
    }
}

impl PatientWrite {
    /// Writes to `stream`, and waits so long for each piece to be taken.
    pub(crate) fn new(mut stream: impl Write + Send + 'static, limit: Duration) -> Self {
        let (orders, receiver) = bounded::<Order>(AHEAD);
        let (done, flushed) = bounded(1);
        thread::spawn(move || {
            let mut written = Ok(());
            for order in receiver {
                match order {
                    Order::Write(bytes) if written.is_ok() => written = stream.write_all(&bytes),
                    Order::Write(_) => {}
                    Order::Flush => {
                        let answer = std::mem::replace(&mut written, Ok(())).and_then(|()| stream.flush());
                        let failed = answer.is_err();
                        if done.send(answer).is_err() || failed {
                            return;
                        }
                    }
                }
                if let Err(fault) = &written
                    && fault.kind() == ErrorKind::BrokenPipe
                {
                    // Whoever writes next is told.
                    drop(done.try_send(written));
                    return;
                }
            }
        });
        Self {
            orders,
            flushed,
            limit,
        }
    }

    fn order(&self, order: Order) -> io::Result<()> {
        match self.orders.send_timeout(order, self.limit) {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Timeout(_)) => Err(silence(self.limit)),
            Err(SendTimeoutError::Disconnected(_)) => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for PatientWrite {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.order(Order::Write(bytes.to_vec()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.order(Order::Flush)?;
        match self.flushed.recv_timeout(self.limit) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(silence(self.limit)),
            Err(RecvTimeoutError::Disconnected) => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

fn silence(limit: Duration) -> io::Error {
    let text = format!("nothing has moved for {} s", limit.as_secs());
    io::Error::new(ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_written_at_one_end_is_read_at_the_other() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut writer = PatientWrite::new(near, Duration::from_secs(60));
        let mut reader = PatientRead::new(far, Duration::from_secs(60));
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(3 * PIECE + 7).collect();
        writer.write_all(&bytes).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn end_that_stops_is_given_up() {
        let (near, _far) = UnixStream::pair().unwrap();
        let limit = Duration::from_millis(20);
        let mut reader = PatientRead::new(near.try_clone().unwrap(), limit);
        let fault = reader.read(&mut [0; 9]).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::TimedOut);
        let mut writer = PatientWrite::new(near, limit);
        let piece = vec![1; 1 << 20];
        let mut written = Ok(());
        for _ in 0..2 * AHEAD {
            written = written.and_then(|()| writer.write_all(&piece));
        }
        let fault = written.and_then(|()| writer.flush()).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn end_that_goes_is_told() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let mut writer = PatientWrite::new(near, Duration::from_secs(60));
        let fault = writer.write_all(b"x").and_then(|()| writer.flush()).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::BrokenPipe);
    }
}
