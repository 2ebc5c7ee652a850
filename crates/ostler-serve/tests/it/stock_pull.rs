//! Stock ostree as the client.

use crate::client::{make_repository, ostree};
use ostler_serve::serve;

#[test]
fn stock_pulls_with_and_without_summary_and_from_a_delta() {
    for (summary, delta) in [(false, false), (true, false), (true, true)] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("repo");
        let commit = make_repository(&root, &dir.path().join("tree"));
        let repo = format!("--repo={}", root.display());
        if delta {
            ostree(&[&repo, "static-delta", "generate", "--empty", "os/stable"]);
        }
        if summary {
            ostree(&[&repo, "summary", "-u"]);
        }
        let server = serve(&root, "127.0.0.1:0".parse().unwrap()).unwrap();
        let client = format!("--repo={}", dir.path().join("client").display());
        ostree(&[&client, "init", "--mode=bare-user"]);
        ostree(&[
            &client,
            "remote",
            "add",
            "--no-gpg-verify",
            "origin",
            &server.url(),
        ]);

        let how = if delta {
            "--require-static-deltas"
        } else {
            "--disable-static-deltas"
        };
        ostree(&[&client, "pull", how, "origin", "os/stable"]);

        assert_eq!(ostree(&[&client, "rev-parse", "origin:os/stable"]), commit);
        ostree(&[&client, "fsck"]);
        assert!(server.requests() > 5 && server.body_bytes() > 300_000);
    }
}
