//! A connection that gives up on a peer who takes hardly anything of what is sent: otherwise whoever asks for a file and never reads
//! it, or a byte now and then, would hold a connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How many bytes a peer who keeps us waiting has to take in the time that there is.
const LEAST: usize = 1024;

/// The connection.
pub(crate) struct Unstalled {
    stream: TcpStream,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
    /// How much was taken since we first had to wait; `None` while we need not.
    taken: Option<usize>,
}

impl Unstalled {
    /// Gives up when for `limit` not even [`LEAST`] bytes could be written.
    pub(crate) fn new(stream: TcpStream, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            deadline: Box::pin(sleep(limit)),
            taken: None,
        }
    }

    /// Passes on the outcome of an attempt to write, or says that it was the last. `taken` says how many bytes went.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        attempt: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = &attempt {
            let more = done.as_ref().map_or(LEAST, taken);
            self.taken = self
                .taken
                .map(|before| before.saturating_add(more))
                .filter(|sum| *sum < LEAST);
            return attempt;
        }
        if self.taken.is_none() {
            self.taken = Some(0);
            self.deadline.as_mut().reset(Instant::now() + self.limit);
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Unstalled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Unstalled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, attempt, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, attempt, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.stream).poll_flush(context);
        // All that there was to send is on its way: nobody waits.
        self.watch(context, attempt, |()| LEAST)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, attempt, |()| LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    /// Takes so many bytes again and again, each time after all the time that there is. Returns whether the connection is given up.
    async fn given_up_at(bytes: usize) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut peer = Unstalled::new(stream, Duration::from_millis(20));
        let mut waits = 0;
        let end = poll_fn(|context| {
            let taken = peer.watch(context, Poll::Ready(Ok(bytes)), |bytes| *bytes);
            assert!(taken.is_ready());
            waits += 1;
            if waits == 5 {
                return Poll::Ready(Ok(0));
            }
            peer.watch(context, Poll::Pending, |bytes: &usize| *bytes)
        });
        match timeout(Duration::from_secs(20), end).await {
            Ok(end) => end.is_err(),
            Err(late) => panic!("nobody gave up: {late}"),
        }
    }

    #[test]
    fn a_byte_now_and_then_is_not_enough() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        assert!(runtime.block_on(given_up_at(1)));
        assert!(!runtime.block_on(given_up_at(LEAST)));
    }
}
