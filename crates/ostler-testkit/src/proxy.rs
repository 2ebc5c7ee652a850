//! An HTTP proxy that lets everything through and remembers it.

use crate::acceptor::{Acceptor, Live};
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A proxy that lets everything through and remembers what for: `CONNECT` for TLS, whole URLs for plain HTTP.
pub struct TestProxy {
    acceptor: Acceptor,
    heads: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for TestProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestProxy({})", self.address())
    }
}

impl TestProxy {
    /// Starts one.
    #[track_caller]
    pub fn start() -> Self {
        let heads = Arc::default();
        let shared = Arc::clone(&heads);
        let acceptor = Acceptor::start(move |client, live| {
            // A client that goes away is no fault of the proxy.
            forward(client, live, &shared).unwrap_or_default();
        });
        Self { acceptor, heads }
    }

    /// Returns `127.0.0.1:40123`.
    pub const fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Returns the heads of the requests that came, in small letters.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves one connection of a client: its first request decides where all that follows goes.
fn forward(mut client: &TcpStream, live: &Live, heads: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head.to_ascii_lowercase());
    let target = head.split_whitespace().nth(1)?;
    let is_tunnel = head.starts_with("CONNECT ");
    let host = target.strip_prefix("http://").unwrap_or(target);
    let (host, path) = host.split_once('/').unwrap_or((host, ""));
    let mut server = TcpStream::connect(host).ok()?;
    live.keep(&server);
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
        return tunnel(client, &server);
    }
    let rest = head.split_once("\r\n").map_or("", |(_, rest)| rest);
    // One request a connection, since the next may be for another host.
    write!(server, "GET /{path} HTTP/1.1\r\nConnection: close\r\n{rest}").ok()?;
    drop(std::io::copy(&mut server, &mut client));
    Some(())
}

/// Lets everything through in both directions until the server is at its end.
pub(crate) fn tunnel(mut client: &TcpStream, mut server: &TcpStream) -> Option<()> {
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || {
        // Either side may go first.
        drop(std::io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Write));
    });
    drop(std::io::copy(&mut server, &mut client));
    Some(())
}
