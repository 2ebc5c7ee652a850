//! A client that sends exactly the bytes it is told to, and a repository made by stock ostree.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// A response as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns the value of a header, or "".
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
    }
}

/// Sends one request and reads until the server closes.
pub(crate) fn request(
    server: &ostler_serve::Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let headers: String = headers
        .iter()
        .map(|(name, value)| [name, ": ", value, "\r\n"].concat())
        .collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    }
}

/// Runs stock ostree, which must be there and succeed.
pub(crate) fn ostree(arguments: &[&str]) -> String {
    let output = Command::new("ostree")
        .args(arguments)
        .output()
        .expect("stock ostree is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ostree {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes an archive repository with a small and a large file on the branch `os/stable`; returns its commit.
pub(crate) fn make_repository(root: &Path, tree: &Path) -> String {
    let repo = format!("--repo={}", root.display());
    ostree(&[&repo, "init", "--mode=archive"]);
    std::fs::create_dir(tree).unwrap();
    std::fs::write(tree.join("small"), "hello\n").unwrap();
    // Incompressible, so that the object has several chunks.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    std::fs::write(tree.join("large"), noise.take(300_000).collect::<Vec<_>>()).unwrap();
    let tree = tree.to_str().unwrap();
    ostree(&[&repo, "commit", "-b", "os/stable", tree])
}
