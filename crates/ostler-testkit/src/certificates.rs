//! Certificates for tests of TLS, made by `openssl`: an authority of our own, a server on the loopback interface, a client.

use crate::command::{command, run};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// PEM files, which go when this is dropped.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes them: an authority, and signed by it a server for `127.0.0.1` and `localhost` and a client.
    #[track_caller]
    pub fn make() -> Self {
        let directory = TempDir::new().expect("a directory for temporary files");
        let own = directory.path();
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        run(openssl(own)
            .args(["req", "-x509", "-days", "30", "-subj", "/CN=authority"])
            .args(key)
            .args(["-addext", "basicConstraints=critical,CA:TRUE"])
            .args(["-keyout", "ca.key", "-out", "ca.pem"]));
        for (name, extensions) in [
            (
                "server",
                "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n",
            ),
            ("client", "extendedKeyUsage=clientAuth\n"),
        ] {
            let file = |end: &str| format!("{name}.{end}");
            std::fs::write(own.join(file("ext")), extensions).expect("our own file");
            run(openssl(own)
                .args(["req", "-subj", &format!("/CN={name}")])
                .args(key)
                .args(["-keyout", &file("key"), "-out", &file("csr")]));
            run(openssl(own)
                .args([
                    "x509",
                    "-req",
                    "-days",
                    "30",
                    "-CA",
                    "ca.pem",
                    "-CAkey",
                    "ca.key",
                    "-CAcreateserial",
                ])
                .args([
                    "-in",
                    &file("csr"),
                    "-extfile",
                    &file("ext"),
                    "-out",
                    &file("pem"),
                ]));
        }
        Self { directory }
    }

    /// Returns the path of `ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn openssl(directory: &Path) -> std::process::Command {
    let mut openssl = command("openssl");
    openssl.current_dir(directory);
    openssl
}
