//! A directory served over HTTP by nginx on a free port of the loopback interface.

use crate::certificates::Certificates;
use crate::command::command;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A path that no repository has; asked for to learn that all earlier requests are in the log.
const MARK: &str = "/ostler-testkit-mark";

/// A running nginx: one process of ours, ended when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    port: u16,
    scheme: &'static str,
    directory: TempDir,
}

impl Nginx {
    /// Serves the files below `root` as they are.
    #[track_caller]
    pub fn serve(root: &Path) -> Self {
        Self::serve_with(root, "")
    }

    /// Serves the files below `root` with more directives in the `server` block, such as `limit_rate 10k;`.
    #[track_caller]
    pub fn serve_with(root: &Path, directives: &str) -> Self {
        Self::serve_as("http", root, "", directives)
    }

    /// Serves the files below `root` over TLS, and HTTP/2 with clients that know it.
    #[track_caller]
    pub fn serve_tls(root: &Path, certificates: &Certificates, directives: &str) -> Self {
        let directives = format!(
            "ssl_certificate {};\nssl_certificate_key {};\n{directives}",
            certificates.path("server.pem").display(),
            certificates.path("server.key").display()
        );
        Self::serve_as("https", root, " ssl http2", &directives)
    }

    #[track_caller]
    fn serve_as(scheme: &'static str, root: &Path, listen: &str, directives: &str) -> Self {
        let root = std::path::absolute(root).expect("a path that can be made absolute");
        // Between our look for a free port and nginx taking it somebody else may.
        for _ in 0..10 {
            if let Some(server) = Self::start(scheme, &root, listen, directives) {
                return server;
            }
        }
        panic!("nginx does not start for {}", root.display());
    }

    /// Returns the address, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Fetches `path` (which starts with `/`) and returns the status and the body.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, Vec<u8>) {
        match fetch(self.port, path) {
            Some(answer) => answer,
            None => panic!("nginx does not answer for {path}"),
        }
    }

    /// Returns the requests answered so far, in order, as `STATUS METHOD PATH`.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        // One process answers everything (over TLS also this, which is not): once it answers this, the lines of all answers before are written.
        self.get(MARK);
        let log = self.directory.path().join("access.log");
        let log = std::fs::read_to_string(log).expect("nginx writes the access log");
        log.lines()
            .filter(|line| !line.ends_with(MARK))
            .map(str::to_owned)
            .collect()
    }

    /// Forgets the requests answered so far.
    #[track_caller]
    pub fn forget_requests(&self) {
        self.get(MARK);
        // nginx opens the log for appending, so that it goes on at the new end.
        std::fs::write(self.directory.path().join("access.log"), "").expect("our own file");
    }

    fn start(scheme: &'static str, root: &Path, listen: &str, directives: &str) -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port on the loopback interface")
            .port();
        let directory = TempDir::new().expect("a directory for temporary files");
        let own = directory.path();
        std::fs::write(
            own.join("nginx.conf"),
            configuration(own, root, &format!("{port}{listen}"), directives),
        )
        .expect("our own file");
        let mut program = command("nginx");
        program
            .arg("-p")
            .arg(own)
            .args(["-e", "error.log", "-c", "nginx.conf"]);
        let child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => panic!(
                "cannot start nginx: {error}; `cargo xtask test --only-install` installs what the tests need"
            ),
        };
        let answers = wait_until_it_answers(&mut child, port);
        let server = Self {
            child,
            port,
            scheme,
            directory,
        };
        if answers {
            return Some(server);
        }
        let log = std::fs::read_to_string(server.directory.path().join("error.log")).unwrap_or_default();
        assert!(log.contains("in use"), "nginx does not start: {log}");
        None
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // One that is gone already needs no ending.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// Asks until nginx answers or has ended.
fn wait_until_it_answers(child: &mut Child, port: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        if fetch(port, MARK).is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Fetches over a connection of its own; `None` when nobody answers in HTTP.
fn fetch(port: u16, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let status = answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((status, answer.split_off(head + 4)))
}

fn configuration(own: &Path, root: &Path, listen: &str, directives: &str) -> String {
    let own = |name: &str| own.join(name).display().to_string();
    let mut text = format!(
        "daemon off;\nmaster_process off;\npid {};\nerror_log {};\nevents {{}}\nhttp {{\n",
        own("pid"),
        own("error.log")
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{kind}_temp_path {};", own(kind)).expect("a string takes all that is written");
    }
    let log = own("access.log");
    write!(
        text,
        "log_format plain '$status $request_method $request_uri';\naccess_log {log} plain;\n\
         server {{\nlisten 127.0.0.1:{listen};\nroot '{}';\n{directives}\n}}\n}}\n",
        root.display()
    )
    .expect("a string takes all that is written");
    text
}
