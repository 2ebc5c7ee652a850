//! A server for names of hosts (RFC 1035, over UDP) that knows one name, on an address of the loopback interface of its own.
//!
//! Resolvers ask port 53, so that it is the address that is free.

use std::fmt;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The port of all name servers.
const PORT: u16 = 53;

/// Where the question begins.
const HEADER: usize = 12;

/// The type of a record that holds an IPv4 address.
const ADDRESS: [u8; 2] = [0, 1];

/// A running server, ended when this is dropped.
pub struct NameServer {
    address: Ipv4Addr,
    ended: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameServer({})", self.address)
    }
}

impl NameServer {
    /// Starts one that says of `name` that it has the address 127.0.0.1, and of others that there are none. Takes root.
    #[track_caller]
    pub fn start(name: &'static str) -> Self {
        let (address, socket) = (2..=254)
            .map(|last| Ipv4Addr::new(127, 53, 0, last))
            .find_map(|address| Some((address, UdpSocket::bind((address, PORT)).ok()?)))
            .expect("root may listen on port 53 of some address");
        let look = Some(Duration::from_millis(20));
        socket.set_read_timeout(look).expect("a time");
        let (ended, asked) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (end, notes) = (Arc::clone(&ended), Arc::clone(&asked));
        let thread = std::thread::spawn(move || answer_all(&socket, name, &end, &notes));
        Self {
            address,
            ended,
            asked,
            thread: Some(thread),
        }
    }

    /// Returns its address, as `/etc/resolv.conf` names it.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Returns the names that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer_all(socket: &UdpSocket, name: &str, ended: &AtomicBool, asked: &Mutex<Vec<String>>) {
    let mut buffer = [0; 512];
    while !ended.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Some((wanted, answer)) = buffer.get(..length).and_then(|query| answer(query, name)) else {
            continue;
        };
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(wanted);
        // Whoever has gone meanwhile asks no more.
        drop(socket.send_to(&answer, peer));
    }
}

/// Returns the name that a query asks for, and the answer to it.
fn answer(query: &[u8], known: &str) -> Option<(String, Vec<u8>)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
    let end = at + 4;
    let question = query.get(HEADER..end)?;
    let name = labels.join(".");
    let is_known = name.eq_ignore_ascii_case(known);
    let has_address = is_known && query.get(at..at + 2)? == ADDRESS;
    // An answer, by who is in charge; 3: there is no such name.
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x85, if is_known { 0 } else { 3 }]);
    answer.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend_from_slice(question);
    if has_address {
        // The name is that of the question; type, class, a time to live, and the address.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some((name, answer))
}
