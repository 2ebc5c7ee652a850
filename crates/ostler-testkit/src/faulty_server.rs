//! A web server over a directory that goes wrong as it is told: for tests of clients.
//!
//! It serves files as nginx does (keep-alive, ranges, conditions, an entity tag made of the bytes). A rule looks at each request and
//! says what happens to its answer. Whatever was asked is kept. One thread a connection; all end when the server is dropped.

use crate::acceptor::{Acceptor, Live};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How many requests came before, to the whole server.
    pub number: usize,
    /// How many requests for this path came before.
    pub before: usize,
    /// The method.
    pub method: String,
    /// The path, with its leading `/`, as it was sent.
    pub path: String,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// Returns a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What happens to the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing: the file as it is.
    Serve,
    /// This status with these headers, and a short body.
    Status(u16, Vec<(String, String)>),
    /// The right header, then the connection is cut after so many bytes of the body.
    CutAt(usize),
    /// A `Content-Length` that is wrong by so many bytes.
    WrongLength(i64),
    /// Other bytes than those of the file, with an entity tag of their own.
    Bytes(Vec<u8>),
    /// So many bytes of the body at a time, and a pause after each.
    Slow(usize, Duration),
    /// These bytes and nothing else, not even a header.
    Raw(Vec<u8>),
    /// A body without end, in chunks.
    Endless,
    /// The connection is closed without a word.
    Close,
    /// Nothing is said, and the connection stays.
    Hang,
    /// The file without entity tag, ranges and date.
    Bare,
}

impl Reaction {
    /// Returns this status and no more headers.
    pub const fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    /// Returns a redirect.
    pub fn redirect(location: &str) -> Self {
        Self::Status(302, vec![("Location".to_owned(), location.to_owned())])
    }
}

type Rule = Box<dyn FnMut(&Asked) -> Reaction + Send>;

struct State {
    root: PathBuf,
    rule: Mutex<Rule>,
    asked: Mutex<Vec<Asked>>,
}

/// The server.
pub struct FaultyServer {
    acceptor: Acceptor,
    state: Arc<State>,
}

impl fmt::Debug for FaultyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyServer({})", self.address())
    }
}

impl FaultyServer {
    /// Serves the files below `root` without a fault.
    #[track_caller]
    pub fn serve(root: &Path) -> Self {
        Self::with(root, |_asked| Reaction::Serve)
    }

    /// Serves the files below `root` by a rule.
    #[track_caller]
    pub fn with(root: &Path, rule: impl FnMut(&Asked) -> Reaction + Send + 'static) -> Self {
        let state = Arc::new(State {
            root: root.to_owned(),
            rule: Mutex::new(Box::new(rule)),
            asked: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let acceptor = Acceptor::start(move |connection, live| serve_all(connection, live, &shared));
        Self { acceptor, state }
    }

    /// Goes on by another rule.
    pub fn set_rule(&self, rule: impl FnMut(&Asked) -> Reaction + Send + 'static) {
        *self.state.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }

    /// Returns the address, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Returns `127.0.0.1:40123`.
    pub const fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Returns what was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        let asked = self.state.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// Returns the paths that were asked for so far, in order.
    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }

    /// Forgets what was asked, also for [`Asked::before`].
    pub fn forget(&self) {
        let mut asked = self.state.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clear();
    }
}

/// Answers the requests of one connection.
fn serve_all(connection: &TcpStream, live: &Live, state: &State) {
    let Ok(copy) = connection.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(copy);
    // A client that goes away is no fault of the server.
    while let Some(asked) = read_request(&mut reader, state) {
        let mut writer = connection;
        if !matches!(answer(state, live, &asked, &mut writer), Ok(true)) {
            break;
        }
    }
}

/// Reads the head of a request; requests have no bodies.
fn read_request(reader: &mut BufReader<TcpStream>, state: &State) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut asked = state.asked.lock().unwrap_or_else(PoisonError::into_inner);
    let before = asked.iter().filter(|earlier| earlier.path == path).count();
    let request = Asked {
        number: asked.len(),
        before,
        method,
        path,
        headers,
    };
    asked.push(request.clone());
    Some(request)
}

/// Answers; returns whether the connection can be used again.
fn answer(state: &State, live: &Live, asked: &Asked, out: &mut impl std::io::Write) -> std::io::Result<bool> {
    let reaction = {
        let mut rule = state.rule.lock().unwrap_or_else(PoisonError::into_inner);
        rule(asked)
    };
    match reaction {
        Reaction::Status(status, headers) => {
            let body = format!("{status}\n");
            let mut head = format!("HTTP/1.1 {status} Told\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                head = format!("{head}{name}: {value}\r\n");
            }
            write!(out, "{head}\r\n{body}")?;
            Ok(true)
        }
        Reaction::Raw(bytes) => out.write_all(&bytes).map(|()| false),
        Reaction::Close => Ok(false),
        Reaction::Hang => {
            live.wait_for_end();
            Ok(false)
        }
        Reaction::Endless => {
            write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
            while !live.has_ended() {
                out.write_all(chunk.as_bytes())?;
            }
            Ok(false)
        }
        Reaction::Bytes(bytes) => serve(asked, &File::of(bytes, 1), &Reaction::Serve, out),
        other => match File::read(&state.root, &asked.path) {
            Some(file) => serve(asked, &file, &other, out),
            None => write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n404\n").map(|()| true),
        },
    }
}

struct File {
    bytes: Vec<u8>,
    modified: u64,
    etag: String,
}

impl File {
    fn of(bytes: Vec<u8>, modified: u64) -> Self {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            bytes,
            modified,
            etag: format!("\"{hash:016x}\""),
        }
    }

    fn read(root: &Path, path: &str) -> Option<Self> {
        let path = path.split(['?', '#']).next()?.trim_start_matches('/');
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let path = root.join(path);
        let bytes = std::fs::read(&path).ok()?;
        let modified = path.metadata().ok()?.modified().ok()?;
        let modified = modified.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Self::of(bytes, modified))
    }

    /// Returns the place of the first byte that a request wants.
    fn first(&self, asked: &Asked) -> Option<usize> {
        let range = asked.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?;
        let fits = asked.header("if-range").is_none_or(|etag| etag == self.etag);
        let first = range.parse().ok()?;
        (fits && first <= self.bytes.len()).then_some(first)
    }

    fn is_known(&self, asked: &Asked) -> bool {
        match (asked.header("if-none-match"), asked.header("if-modified-since")) {
            (Some(etag), _) => etag == self.etag,
            (None, Some(date)) => date == http_date(self.modified),
            (None, None) => false,
        }
    }
}

fn serve(
    asked: &Asked,
    file: &File,
    reaction: &Reaction,
    out: &mut impl std::io::Write,
) -> std::io::Result<bool> {
    if file.is_known(asked) {
        write!(out, "HTTP/1.1 304 Not Modified\r\nETag: {}\r\n\r\n", file.etag)?;
        return Ok(true);
    }
    let total = file.bytes.len();
    let first = file.first(asked).filter(|_| *reaction != Reaction::Bare);
    let body = file.bytes.get(first.unwrap_or(0)..).unwrap_or_default();
    let mut length = i64::try_from(body.len()).expect("files of tests are small");
    if let Reaction::WrongLength(wrong) = reaction {
        length += wrong;
    }
    let mut headers = BTreeMap::from([("Content-Length", length.to_string())]);
    if *reaction != Reaction::Bare {
        headers.insert("ETag", file.etag.clone());
        headers.insert("Accept-Ranges", "bytes".to_owned());
        headers.insert("Last-Modified", http_date(file.modified));
    }
    let mut status = "200 OK";
    if let Some(first) = first {
        status = "206 Partial Content";
        headers.insert(
            "Content-Range",
            format!("bytes {first}-{}/{total}", total.saturating_sub(1)),
        );
    }
    write!(out, "HTTP/1.1 {status}\r\n")?;
    for (name, value) in headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    write!(out, "\r\n")?;
    match reaction {
        Reaction::CutAt(at) => out.write_all(body.get(..*at).unwrap_or(body)).map(|()| false),
        Reaction::Slow(bytes, pause) => {
            for part in body.chunks((*bytes).max(1)) {
                out.write_all(part)?;
                out.flush()?;
                std::thread::sleep(*pause);
            }
            Ok(true)
        }
        Reaction::WrongLength(_) => out.write_all(body).map(|()| false),
        _ => out.write_all(body).map(|()| true),
    }
}

/// Writes a time as HTTP does.
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, in cycles of 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    let year = era * 400 + year + u64::from(month < 2);
    let weekday = DAYS[usize::try_from(days % 7).expect("below 7")];
    let month = MONTHS[usize::try_from(month).expect("below 12")];
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{weekday}, {date:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
        assert_eq!(http_date(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 GMT");
    }
}
