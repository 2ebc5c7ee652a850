//! Methods, lengths, validators and counters.

use crate::client::{make_repository, request};
use ostler_serve::{Server, serve};
use std::path::{Path, PathBuf};

fn served(dir: &Path) -> (Server, PathBuf) {
    let root = dir.join("repo");
    make_repository(&root, &dir.join("tree"));
    let server = serve(&root, "127.0.0.1:0".parse().unwrap()).unwrap();
    (server, root)
}

/// Returns the path below the root of the largest object.
fn largest_object(root: &Path) -> String {
    let mut objects = Vec::new();
    for directory in std::fs::read_dir(root.join("objects")).unwrap() {
        for file in std::fs::read_dir(directory.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            objects.push((path.metadata().unwrap().len(), path));
        }
    }
    let (_, path) = objects.into_iter().max().unwrap();
    format!("/{}", path.strip_prefix(root).unwrap().display())
}

#[test]
fn large_files_arrive_whole_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (server, root) = served(dir.path());
    let path = largest_object(&root);
    let bytes = std::fs::read(root.join(&path[1..])).unwrap();
    assert!(bytes.len() > 200_000, "several chunks");

    let answer = request(&server, "GET", &path, &[]);

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), bytes.len().to_string());
    assert!(answer.header("cache-control").contains("immutable"));
    assert!(answer.body == bytes, "same bytes");
    assert_eq!((server.requests(), server.body_bytes()), (1, bytes.len() as u64));
}

#[test]
fn head_sends_the_length_and_no_body() {
    let dir = tempfile::tempdir().unwrap();
    let (server, root) = served(dir.path());
    let answer = request(&server, "HEAD", "/config", &[]);
    let size = root.join("config").metadata().unwrap().len();
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, size.to_string().as_str())
    );
    assert!(answer.body.is_empty());
    assert_eq!(server.body_bytes(), 0);
}

#[test]
fn other_methods_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = served(dir.path());
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = request(&server, method, "/config", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    }
}

#[test]
fn validators_match_only_the_very_file_they_came_with() {
    let dir = tempfile::tempdir().unwrap();
    let (server, root) = served(dir.path());
    let first = request(&server, "GET", "/refs/heads/os/stable", &[]);
    let tag = first.header("etag").to_owned();
    let time = first.header("last-modified").to_owned();
    let stock_time = time.replace("GMT", "UTC");
    let get = |headers: &[(&str, &str)]| request(&server, "GET", "/refs/heads/os/stable", headers).status;

    assert_eq!(first.header("cache-control"), "no-cache");
    assert_eq!(get(&[("If-None-Match", &tag)]), 304);
    assert_eq!(get(&[("If-None-Match", &format!("\"x\", W/{tag}"))]), 304);
    assert_eq!(get(&[("If-Modified-Since", &time)]), 304);
    assert_eq!(get(&[("If-Modified-Since", &stock_time)]), 304);
    assert_eq!(
        get(&[("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT")]),
        200
    );
    assert_eq!(
        get(&[("If-None-Match", "\"x\""), ("If-Modified-Since", &time)]),
        200
    );

    // Same size, same time, other content by a rename: a new state.
    let (old, new) = (root.join("refs/heads/os/stable"), root.join("new"));
    std::fs::write(&new, "0".repeat(64) + "\n").unwrap();
    let modified = old.metadata().unwrap().modified().unwrap();
    std::fs::File::options()
        .write(true)
        .open(&new)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    std::process::Command::new("mv")
        .args([&new, &old])
        .status()
        .unwrap();
    assert_eq!(get(&[("If-None-Match", &tag), ("If-Modified-Since", &time)]), 200);
}

#[test]
fn a_stopped_server_gives_its_port_back() {
    let dir = tempfile::tempdir().unwrap();
    let (server, root) = served(dir.path());
    let address = server.addr();
    server.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
    let again = serve(&root, address).unwrap();
    assert_eq!(request(&again, "GET", "/config", &[]).status, 200);
}
