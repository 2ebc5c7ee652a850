//! A proxy that speaks SOCKS 5 (RFC 1928), lets everything through to servers on this machine, and remembers it.

use crate::acceptor::{Acceptor, Live};
use crate::proxy::tunnel;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// The method in which a client says nothing of itself.
const NOBODY: u8 = 0;

/// The method in which a client says a name and a password (RFC 1929).
const PASSWORD: u8 = 2;

/// A proxy that lets everything through and remembers where to, and who asked.
pub struct SocksProxy {
    acceptor: Acceptor,
    asked: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocksProxy({})", self.address())
    }
}

impl SocksProxy {
    /// Starts one.
    #[track_caller]
    pub fn start() -> Self {
        let asked = Arc::default();
        let shared = Arc::clone(&asked);
        let acceptor = Acceptor::start(move |client, live| {
            // A client that goes away is no fault of the proxy.
            forward(client, live, &shared).unwrap_or_default();
        });
        Self { acceptor, asked }
    }

    /// Returns `127.0.0.1:40123`.
    pub const fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Returns where connections were asked to, as `NAME:PASSWORD@HOST:PORT`, or without the first part: the host as the client gave it.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn forward(mut client: &TcpStream, live: &Live, asked: &Mutex<Vec<String>>) -> Option<()> {
    let [_version, methods] = take(client)?;
    let methods = take_some(client, methods)?;
    let mut who = String::new();
    if methods.contains(&PASSWORD) {
        client.write_all(&[5, PASSWORD]).ok()?;
        let [_version, length] = take(client)?;
        let name = take_some(client, length)?;
        let [length] = take(client)?;
        let password = take_some(client, length)?;
        who = format!(
            "{}:{}@",
            String::from_utf8_lossy(&name),
            String::from_utf8_lossy(&password)
        );
        client.write_all(&[1, 0]).ok()?;
    } else {
        client.write_all(&[5, NOBODY]).ok()?;
    }
    let [_version, _command, _reserved, kind] = take(client)?;
    let host = match kind {
        1 => Ipv4Addr::from(take::<4>(client)?).to_string(),
        4 => format!("[{}]", Ipv6Addr::from(take::<16>(client)?)),
        _ => {
            let [length] = take(client)?;
            String::from_utf8(take_some(client, length)?).ok()?
        }
    };
    let port = u16::from_be_bytes(take(client)?);
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(format!("{who}{host}:{port}"));
    // Whatever this machine is called: the servers of tests listen there.
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    live.keep(&server);
    // Done; from which address the connection comes nobody wants to know.
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    tunnel(client, &server)
}

fn take<const N: usize>(mut client: &TcpStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn take_some(mut client: &TcpStream, length: u8) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::from(length)];
    client.read_exact(&mut bytes).ok()?;
    Some(bytes)
}
