//! A listener on the loopback interface that serves each connection in a thread of its own, until it is dropped.
//!
//! Dropping ends it in this order: no more connections are taken; those that there are get shut down, so that who reads from one finds
//! its end; who waits for the end is woken.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The listener.
#[derive(Debug)]
pub(crate) struct Acceptor {
    address: SocketAddr,
    live: Live,
    thread: Option<JoinHandle<()>>,
}

/// What the threads of its connections see of a listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<TcpStream>,
    ended: bool,
}

impl Acceptor {
    /// Listens at a free port, and serves each connection.
    #[track_caller]
    pub(crate) fn start(serve: impl Fn(&TcpStream, &Live) + Send + Sync + 'static) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback interface");
        let address = listener.local_addr().expect("a listener has an address");
        let live = Live::default();
        let (seen, serve) = (live.clone(), Arc::new(serve));
        let accept = move || {
            for connection in listener.incoming() {
                if seen.has_ended() {
                    return;
                }
                // One that went away before it was taken is no fault of ours.
                let Ok(connection) = connection else { continue };
                let (live, serve) = (seen.clone(), Arc::clone(&serve));
                live.keep(&connection);
                std::thread::spawn(move || {
                    serve(&connection, &live);
                    // The other copies of it do not keep it open.
                    drop(connection.shutdown(Shutdown::Both));
                });
            }
        };
        Self {
            address,
            live,
            thread: Some(std::thread::spawn(accept)),
        }
    }

    /// Returns `127.0.0.1:40123`.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.live.state().ended = true;
        // Wakes the thread; it may be gone.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        for connection in &self.live.state().connections {
            // Clients close theirs as they like.
            drop(connection.shutdown(Shutdown::Both));
        }
        self.live.shared.over.notify_all();
    }
}

impl Live {
    /// Returns whether the listener is dropped.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Has a connection shut down at the end.
    pub(crate) fn keep(&self, connection: &TcpStream) {
        // Without a copy it ends when the client closes it.
        if let Ok(copy) = connection.try_clone() {
            self.state().connections.push(copy);
        }
    }

    /// Waits until the listener is dropped.
    pub(crate) fn wait_for_end(&self) {
        let state = self.state();
        let waited = self.shared.over.wait_while(state, |state| !state.ended);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
