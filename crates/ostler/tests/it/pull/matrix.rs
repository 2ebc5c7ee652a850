//! Everything that one tool made the other pulls: every mode of client, with and without summary, static deltas and collections, each
//! kind of signature, mirrors, from each server, and on top of what the other tool pulled before.

use super::exchange::{Kind, Server, Source, listed, must, must_fail, program};
use crate::interop::Who;
use ostler_testkit::command::run;
use ostler_testkit::faulty_server::FaultyServer;
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The modes that clients can have.
const MODES: [&str; 5] = ["archive", "bare", "bare-user", "bare-user-only", SPLIT];

/// The mode that stock 2022.7 reads, and does not write.
const SPLIT: &str = "bare-split-xattrs";

/// Clients of a source, by one tool.
struct Pulls<'a> {
    source: &'a Source,
    puller: Who,
    root: &'a Path,
    servers: &'a [Server],
    number: usize,
}

impl Pulls<'_> {
    /// Returns a place for the next client, and the next server.
    fn next(&mut self) -> (PathBuf, String) {
        let server = &self.servers[self.number % self.servers.len()];
        self.number += 1;
        let path = self.root.join(format!("client-{}", self.number));
        (path, format!("{}/repo", server.url()))
    }

    /// Pulls into each mode what the source has.
    #[track_caller]
    fn all(&mut self) {
        let puller = self.puller;
        let writable = MODES
            .into_iter()
            .filter(|mode| *mode != SPLIT || puller == Who::Ours);
        // Whether refs are of a collection is the same to all modes.
        for mode in writable.step_by(if self.source.collections { 2 } else { 1 }) {
            self.pull_into(mode);
        }
        if self.source.summary {
            self.mirror();
        }
        self.as_stranger();
    }

    #[track_caller]
    fn pull_into(&mut self, mode: &str) {
        let (path, url) = self.next();
        let source = self.source;
        let client = source.client(self.puller, &path, mode, &url);
        let mut pull = vec!["pull", "--disable-fsync"];
        // A delta from nothing, or the old commit by who made it and a delta from there.
        let writable = mode != SPLIT || source.maker == Who::Ours;
        let goes_on = source.deltas && !self.number.is_multiple_of(2) && writable;
        if goes_on {
            let old = format!("os/stable@{}", source.old);
            let arguments = ["pull", "--disable-static-deltas", "origin", &old];
            must(source.maker, &path, &arguments);
        }
        // Without a summary stock looks for a delta, and does not take it for one that was required.
        let found = source.summary || self.puller == Who::Ours;
        if source.deltas && found && mode != "archive" {
            pull.push("--require-static-deltas");
        }
        must(
            self.puller,
            &path,
            &[&pull[..], &["origin", "os/stable"]].concat(),
        );

        let about = format!("{mode} from {url}, goes on: {goes_on}, {source:?}");
        assert_eq!(client.rev_parse("origin:os/stable"), source.new, "{about}");
        assert_eq!(client.refs(), ["origin:os/stable"], "{about}");
        assert_eq!(
            listed(&client, &source.new),
            listed(&source.stock(), &source.new),
            "{about}"
        );
        client.fsck();
        if self.puller == Who::Ours && !goes_on {
            assert_eq!(strays(&path), Vec::<String>::new(), "{about}");
        }
        fs::remove_dir_all(path).expect("our own client");
    }

    /// Mirrors all refs; ours carries the deltas as well, and the other tool pulls them from the mirror.
    #[track_caller]
    fn mirror(&mut self) {
        let (path, url) = self.next();
        let source = self.source;
        let mirror = source.client(self.puller, &path, "archive", &url);
        let mut pull = program(self.puller, &path, &["pull", "--disable-fsync", "--mirror"]);
        // Stock holds what a remote mirrors to be of the remote's own collection.
        if source.collections && self.puller == Who::Stock {
            pull.arg("--disable-verify-bindings");
        }
        let carries = source.deltas && self.puller == Who::Ours;
        if carries {
            pull.arg("--deltas");
        }
        run(pull.arg("origin"));

        let refs = |repo: &StockRepo| {
            let mut refs: Vec<String> = repo
                .run(&["refs", "--collections"])
                .lines()
                .map(str::to_owned)
                .collect();
            refs.sort();
            (repo.refs(), refs)
        };
        let (own, collected) = refs(&mirror);
        let (expected, expected_collected) = refs(&source.stock());
        assert_eq!(collected, expected_collected, "{source:?}");
        if !source.collections {
            assert_eq!(own, expected, "{source:?}");
        }
        for name in ["summary", "summary.sig"] {
            let read = |repo: &Path| fs::read(repo.join(name)).ok();
            assert_eq!(read(&path), read(&source.repo), "{name} {source:?}");
        }
        assert_eq!(listed(&mirror, &source.new), listed(&source.stock(), &source.new));
        mirror.fsck();
        if carries {
            for list in ["list", "indexes"] {
                let deltas = mirror.run(&["static-delta", list]);
                assert_eq!(deltas, source.stock().run(&["static-delta", list]), "{source:?}");
            }
            self.pull_from_mirror(&path);
        }
        fs::remove_dir_all(path).expect("our own mirror");
    }

    #[track_caller]
    fn pull_from_mirror(&mut self, mirror: &Path) {
        let server = FaultyServer::serve(mirror);
        let signer = self
            .source
            .signing
            .sign
            .iter()
            .any(|option| option.contains("from-file"));
        let pullers = if signer {
            &[Who::Ours][..]
        } else {
            &[Who::Ours, Who::Stock]
        };
        for puller in pullers {
            let (path, _) = self.next();
            let client = self.source.client(*puller, &path, "bare-user", &server.url());
            must(
                *puller,
                &path,
                &["pull", "--require-static-deltas", "origin", "os/stable"],
            );
            assert_eq!(client.rev_parse("origin:os/stable"), self.source.new);
            client.fsck();
        }
    }

    /// Who trusts another key gets nothing.
    #[track_caller]
    fn as_stranger(&mut self) {
        let (path, url) = self.next();
        if let Some(client) = self.source.stranger(self.puller, &path, &url) {
            must_fail(self.puller, &path, &["pull", "origin", "os/stable"]);
            assert_eq!(client.refs(), Vec::<String>::new());
            client.fsck();
        }
    }
}

/// Has the puller pull all that the maker makes.
#[track_caller]
fn pulled_in_every_way(maker: Who, puller: Who, kind: Kind) {
    for collections in [false, true] {
        let directory = TempDir::new().expect("a directory");
        let root = directory.path();
        let mut source = Source::make(maker, root, kind, collections);
        let servers = Server::all(&root.join("served"));
        let mut number = 0;
        for step in 0..4 {
            match step {
                0 => {}
                1 => source.generate_deltas(),
                2 => source.summarize(),
                _ => {
                    source.delete_deltas();
                    source.summarize();
                }
            }
            let mut pulls = Pulls {
                source: &source,
                puller,
                root,
                servers: &servers,
                number,
            };
            pulls.all();
            number = pulls.number;
        }
    }
}

#[test]
fn what_stock_made_we_pull() {
    pulled_in_every_way(Who::Stock, Who::Ours, Kind::Nothing);
}

#[test]
fn what_we_made_stock_pulls() {
    pulled_in_every_way(Who::Ours, Who::Stock, Kind::Nothing);
}

#[test]
fn what_stock_signed_by_gpg_we_pull() {
    pulled_in_every_way(Who::Stock, Who::Ours, Kind::Gpg);
}

#[test]
fn what_we_signed_by_gpg_stock_pulls() {
    pulled_in_every_way(Who::Ours, Who::Stock, Kind::Gpg);
}

#[test]
fn what_stock_signed_by_the_sign_interface_we_pull() {
    pulled_in_every_way(Who::Stock, Who::Ours, Kind::Dummy);
}

#[test]
fn what_we_signed_by_the_sign_interface_stock_pulls() {
    pulled_in_every_way(Who::Ours, Who::Stock, Kind::Dummy);
}

#[test]
fn what_we_signed_by_ed25519_we_pull() {
    pulled_in_every_way(Who::Ours, Who::Ours, Kind::Ed25519);
}

#[test]
fn what_we_signed_by_spki_we_pull() {
    pulled_in_every_way(Who::Ours, Who::Ours, Kind::Spki);
}
