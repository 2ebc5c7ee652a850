//! An HTTP proxy that lets everything through and remembers it.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A proxy that lets everything through and remembers what for: `CONNECT` for TLS, whole URLs for plain HTTP.
pub struct TestProxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct ProxyState {
    heads: Mutex<Vec<String>>,
    connections: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl fmt::Debug for TestProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestProxy({})", self.address)
    }
}

impl TestProxy {
    /// Starts one.
    #[track_caller]
    pub fn start() -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback interface");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(ProxyState::default());
        let shared = Arc::clone(&state);
        let acceptor = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let state = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A client that goes away is no fault of the proxy.
                    forward(&connection, &state).unwrap_or_default();
                });
            }
        });
        Self {
            address,
            state,
            acceptor: Some(acceptor),
        }
    }

    /// Returns `127.0.0.1:40123`.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the heads of the requests that came, in small letters.
    pub fn heads(&self) -> Vec<String> {
        self.state
            .heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        let connections = self
            .state
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for connection in connections.iter() {
            drop(connection.shutdown(Shutdown::Both));
        }
    }
}

/// Serves one connection of a client: its first request decides where all that follows goes.
fn forward(mut client: &TcpStream, state: &Arc<ProxyState>) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    state
        .heads
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head.to_ascii_lowercase());
    let target = head.split_whitespace().nth(1)?;
    let is_tunnel = head.starts_with("CONNECT ");
    let host = target.strip_prefix("http://").unwrap_or(target);
    let (host, path) = host.split_once('/').unwrap_or((host, ""));
    let server = TcpStream::connect(host).ok()?;
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
    } else {
        let rest = head.split_once("\r\n").map_or("", |(_, rest)| rest);
        // One request a connection, since the next may be for another host.
        write!(&server, "GET /{path} HTTP/1.1\r\nConnection: close\r\n{rest}").ok()?;
    }
    for connection in [client, &server] {
        let copy = connection.try_clone().ok()?;
        state
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(copy);
    }
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    if is_tunnel {
        std::thread::spawn(move || {
            // Either side may go first.
            drop(std::io::copy(&mut from_client, &mut to_server));
            drop(to_server.shutdown(Shutdown::Write));
        });
    }
    drop(std::io::copy(&mut &server, &mut client));
    drop(client.shutdown(Shutdown::Both));
    Some(())
}
