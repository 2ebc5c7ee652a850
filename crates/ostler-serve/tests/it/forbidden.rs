//! What must not be readable.

use crate::client::{make_repository, request};
use ostler_serve::serve;
use std::os::unix::fs::symlink;

#[test]
fn what_is_not_public_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("repo");
    make_repository(&root, &dir.path().join("tree"));
    for (path, text) in [
        ("tmp/staging", "x"),
        ("extensions/notes", "x"),
        ("state/a.commitpartial", "x"),
        ("origin.trustedkeys.gpg", "x"),
        ("objects/stray", "x"),
        ("refs/heads/.hidden", "x"),
        ("../outside", "x"),
    ] {
        std::fs::write(root.join(path), text).unwrap();
    }
    let server = serve(&root, "127.0.0.1:0".parse().unwrap()).unwrap();

    assert_eq!(request(&server, "GET", "/config", &[]).status, 200);
    for path in [
        "/",
        "/.lock",
        "/tmp/staging",
        "/extensions/notes",
        "/state/a.commitpartial",
        "/origin.trustedkeys.gpg",
        "/objects/",
        "/objects/stray",
        "/refs/heads/os",
        "/refs/heads/.hidden",
        "/refs/heads/../../config",
        "/../outside",
        "/refs/heads/%2e%2e/%2e%2e/config",
        "/refs/heads/absent",
        "/summary",
    ] {
        assert_eq!(request(&server, "GET", path, &[]).status, 404, "{path}");
    }
}

#[test]
fn links_are_followed_from_alias_to_ref_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("repo");
    let commit = make_repository(&root, &dir.path().join("tree"));
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    let heads = root.join("refs/heads");
    symlink("os/stable", heads.join("alias")).unwrap();
    symlink("../alias", heads.join("os/second")).unwrap();
    symlink("../../../secret", heads.join("escape")).unwrap();
    symlink(dir.path().join("secret"), heads.join("absolute")).unwrap();
    symlink("../../config", heads.join("config")).unwrap();
    symlink("loop", heads.join("loop")).unwrap();
    symlink(dir.path(), heads.join("directory")).unwrap();
    symlink(dir.path().join("secret"), root.join("summary")).unwrap();
    let server = serve(&root, "127.0.0.1:0".parse().unwrap()).unwrap();

    for alias in ["/refs/heads/alias", "/refs/heads/os/second"] {
        let answer = request(&server, "GET", alias, &[]);
        assert_eq!(
            (answer.status, answer.body),
            (200, format!("{commit}\n").into_bytes()),
            "{alias}"
        );
    }
    for path in [
        "/refs/heads/escape",
        "/refs/heads/absolute",
        "/refs/heads/config",
        "/refs/heads/loop",
        "/refs/heads/directory/secret",
        "/summary",
    ] {
        assert_eq!(request(&server, "GET", path, &[]).status, 404, "{path}");
    }
}

#[test]
fn a_directory_without_objects_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let refused = serve(dir.path(), "127.0.0.1:0".parse().unwrap());
    assert!(matches!(
        refused,
        Err(ostler_serve::ServeError::NotRepository { .. })
    ));
}
