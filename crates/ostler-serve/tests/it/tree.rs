//! A directory that need not be a repository.

use crate::client::request;
use ostler_serve::{Chance, Demands, Faults, Log, Server, TreeOptions, serve_tree};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn served(root: &Path, options: TreeOptions) -> Server {
    serve_tree(root, "127.0.0.1:0".parse().unwrap(), options).unwrap()
}

/// Makes `root` with a few files, and `outside` beside it.
fn scene(dir: &Path) -> Server {
    let root = dir.join("root");
    std::fs::create_dir_all(root.join("sub/with index")).unwrap();
    std::fs::create_dir(dir.join("outside")).unwrap();
    for (path, text) in [
        ("root/a", "0123456789"),
        ("root/sub/b <&>", "b"),
        ("root/sub/with index/index.html", "INDEX"),
        ("root/secret", "secret"),
        ("outside/file", "outside"),
        ("neighbour", "neighbour"),
    ] {
        std::fs::write(dir.join(path), text).unwrap();
    }
    std::fs::set_permissions(root.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
    symlink("a", root.join("inner")).unwrap();
    symlink("../a", root.join("sub/up")).unwrap();
    symlink(dir.join("outside"), root.join("other")).unwrap();
    symlink(dir.join("neighbour"), root.join("leak")).unwrap();
    symlink(dir.join("neighbour"), root.join("sub/leak")).unwrap();
    symlink(dir.join("outside"), root.join("sub/other")).unwrap();
    symlink("../neighbour", dir.join("outside/leak")).unwrap();
    served(&root, TreeOptions::default())
}

#[test]
fn nothing_outside_the_root_is_served_but_directories_linked_from_its_top() {
    let dir = tempfile::tempdir().unwrap();
    let server = scene(dir.path());
    for (path, status, body) in [
        ("/a", 200, "0123456789"),
        ("/inner", 200, "0123456789"),
        ("/sub/up", 200, "0123456789"),
        ("/other/file", 200, "outside"),
        ("/sub/../a", 200, "0123456789"),
        ("/../../../a", 200, "0123456789"),
        ("/leak", 403, ""),
        ("/sub/leak", 403, ""),
        ("/sub/other/file", 403, ""),
        ("/other/leak", 403, ""),
        ("/other/../neighbour", 404, ""),
        ("/%2e%2e/neighbour", 404, ""),
        ("/..%2fneighbour", 404, ""),
        ("/secret", 403, ""),
        ("/absent", 404, ""),
        ("/a/b", 404, ""),
    ] {
        let answer = request(&server, "GET", path, &[]);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(String::from_utf8_lossy(&answer.body), body, "{path}");
    }
}

#[test]
fn directories_are_listed_or_have_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let server = scene(dir.path());
    let moved = request(&server, "GET", "//sub", &[]);
    assert_eq!((moved.status, moved.header("location")), (301, "/sub/"));
    let listing = request(&server, "GET", "/sub/", &[]);
    let page = String::from_utf8(listing.body.clone()).unwrap();
    assert!(listing.header("content-type").starts_with("text/html"));
    assert!(
        page.contains("<a href=\"./b%20%3C%26%3E\">b &lt;&amp;&gt;</a>"),
        "{page}"
    );
    let index = request(&server, "GET", "/sub/with%20index/", &[]);
    assert_eq!(index.body, b"INDEX");
    let head = request(&server, "HEAD", "/sub/", &[]);
    assert_eq!(head.header("content-length"), page.len().to_string());
    assert!(head.body.is_empty());
}

#[test]
fn ranges_are_served_of_the_state_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = scene(dir.path());
    let whole = request(&server, "GET", "/a", &[]);
    let tag = whole.header("etag").to_owned();
    let get = |headers: &[(&str, &str)]| {
        let answer = request(&server, "GET", "/a", headers);
        let range = answer.header("content-range").to_owned();
        (answer.status, range, String::from_utf8(answer.body).unwrap())
    };
    let part = |range: &str, body: &str| (206, range.to_owned(), body.to_owned());
    let all = (200, String::new(), "0123456789".to_owned());

    assert_eq!(get(&[("Range", "bytes=2-5")]), part("bytes 2-5/10", "2345"));
    assert_eq!(get(&[("Range", "bytes=7-")]), part("bytes 7-9/10", "789"));
    assert_eq!(get(&[("Range", "bytes=-3")]), part("bytes 7-9/10", "789"));
    assert_eq!(
        get(&[("Range", "bytes=7-"), ("If-Range", &tag)]),
        part("bytes 7-9/10", "789")
    );
    assert_eq!(get(&[("Range", "bytes=7-"), ("If-Range", "\"other\"")]), all);
    assert_eq!(get(&[("Range", "bytes=0-1,3-4")]), all);
    assert_eq!(
        get(&[("Range", "bytes=20-30")]),
        (416, "bytes */10".to_owned(), String::new())
    );
    assert_eq!(get(&[("If-None-Match", &tag)]).0, 304);
}

#[test]
fn requests_without_what_is_demanded_are_refused_and_all_are_logged() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "a").unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let server = served(
        dir.path(),
        TreeOptions {
            demands: Demands {
                authorization: Some("Basic Zm9v".into()),
                headers: vec![("X-A".into(), "b".into())],
                ..Demands::default()
            },
            log: Some(Log::new(move |line| kept.lock().unwrap().push(line.to_owned()))),
            ..TreeOptions::default()
        },
    );
    let get = |headers: &[(&str, &str)]| request(&server, "GET", "/a", headers);
    let stranger = get(&[]);
    assert_eq!(stranger.status, 401);
    assert!(stranger.header("www-authenticate").starts_with("Basic "));
    assert_eq!(get(&[("Authorization", "Basic Zm9v")]).status, 403);
    let known = [("Authorization", "Basic Zm9v"), ("x-a", "b")];
    assert_eq!(get(&known).status, 200);
    assert_eq!(request(&server, "POST", "/a", &known).status, 501);
    assert_eq!(
        *lines.lock().unwrap(),
        [
            "serving /a",
            "  status: Unauthorized (401)",
            "serving /a",
            "Expected header not found X-A",
            "  status: Forbidden (403)",
            "serving /a",
            "  status: OK (200)",
            "serving /a",
            "  status: Not Implemented (501)",
        ]
    );
}

#[test]
fn faults_are_made_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("objects")).unwrap();
    let bytes: Vec<u8> = (0..200_001_u32).map(|n| n.to_le_bytes()[0]).collect();
    for name in ["objects/large", "large"] {
        std::fs::write(dir.path().join(name), &bytes).unwrap();
    }
    std::fs::write(dir.path().join("objects/tiny"), "0123456789").unwrap();
    let halves = served(
        dir.path(),
        TreeOptions {
            faults: Faults {
                half_objects: true,
                ..Faults::default()
            },
            ..TreeOptions::default()
        },
    );
    let half = request(&halves, "GET", "/objects/large", &[]);
    assert_eq!((half.status, half.header("content-length")), (200, "200001"));
    assert!(half.body == bytes[..100_000], "{} bytes", half.body.len());
    assert_eq!(request(&halves, "GET", "/objects/tiny", &[]).body, b"01234");
    let rest = request(&halves, "GET", "/objects/large", &[("Range", "bytes=100000-")]);
    assert!(rest.status == 206 && rest.body == bytes[100_000..]);
    assert!(request(&halves, "GET", "/large", &[]).body == bytes);

    let failing = served(
        dir.path(),
        TreeOptions {
            faults: Faults {
                errors: Some(Chance {
                    percent: 99,
                    at_most: 2,
                }),
                seed: 7,
                ..Faults::default()
            },
            ..TreeOptions::default()
        },
    );
    let statuses = [(); 8].map(|()| request(&failing, "GET", "/large", &[]).status);
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 2);
}

#[test]
fn finishing_lets_a_request_end_and_takes_no_other() {
    let dir = tempfile::tempdir().unwrap();
    // More than the buffers of the connection hold, so that the answer is under way until it is read.
    std::fs::write(dir.path().join("a"), vec![7; 20_000_000]).unwrap();
    let server = served(dir.path(), TreeOptions::default());
    let address = server.addr();
    let mut reader = TcpStream::connect(address).unwrap();
    write!(reader, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 1];
    reader.read_exact(&mut first).unwrap();
    let mut idle = TcpStream::connect(address).unwrap();
    write!(idle, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    idle.read_exact(&mut first).unwrap();

    let finishing = std::thread::spawn(move || server.finish(Duration::from_secs(60)));
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    idle.read_to_end(&mut Vec::new()).unwrap();
    finishing.join().unwrap();

    assert!(rest.len() > 20_000_000, "the whole answer arrived");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn endless_heads_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = served(dir.path(), TreeOptions::default());
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nX: ").unwrap();
    let line = vec![b'x'; 200_000];
    // The server may close while we still send.
    let _sent = stream.write_all(&line);
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    assert_eq!(request(&server, "GET", "/none", &[]).status, 404);
}
