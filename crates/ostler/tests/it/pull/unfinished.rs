//! Pulls that do not get to their end: what they begin with, what is visible wherever they end, and how they are finished.

use super::exchange::{Kind, Source, listed, must};
use crate::interop::Who;
use ostler_format::Summary;
use ostler_testkit::command::{command, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is pulled, and into what.
pub(super) struct Case {
    mode: &'static str,
    /// The pull of the old commit that goes before, if one does.
    before: Option<&'static [&'static str]>,
    /// The pull that is cut short, and finished.
    pub(super) pull: &'static [&'static str],
    /// The ref that is there then.
    reference: &'static str,
    deltas: bool,
}

/// All objects of a commit, one by one.
pub(super) const OBJECTS: Case = Case {
    mode: "bare-user",
    before: None,
    pull: &["pull", "origin", "os/stable"],
    reference: "origin:os/stable",
    deltas: false,
};

/// A delta from the commit that is here.
pub(super) const DELTA: Case = Case {
    mode: "bare-user",
    before: Some(&["pull", "--disable-static-deltas", "origin", "os/stable"]),
    pull: &["pull", "--require-static-deltas", "origin", "os/stable"],
    reference: "origin:os/stable",
    deltas: true,
};

/// All refs with the summary, over those of before.
pub(super) const MIRROR: Case = Case {
    mode: "archive",
    before: Some(&["pull", "--mirror", "origin"]),
    pull: &["pull", "--mirror", "origin"],
    reference: "os/stable",
    deltas: false,
};

/// A source with a server, and a client that is about to pull.
pub(super) struct Scene<'a> {
    case: &'a Case,
    pub(super) server: FaultyServer,
    source: Source,
    directory: TempDir,
}

impl<'a> Scene<'a> {
    /// Makes it.
    #[track_caller]
    pub(super) fn of(case: &'a Case) -> Self {
        let directory = TempDir::new().expect("a directory");
        let root = directory.path();
        let mut source = Source::make(Who::Stock, root, Kind::Nothing, false);
        if case.deltas {
            source.generate_deltas();
        }
        let server = FaultyServer::serve(&source.repo);
        let template = root.join("template");
        source.client(Who::Stock, &template, case.mode, &server.url());
        must(Who::Stock, &template, &["config", "set", "core.fsync", "false"]);
        if let Some(before) = case.before {
            source.stock().run(&["reset", "os/stable", &source.old]);
            source.summarize();
            must(Who::Stock, &template, before);
            source.stock().run(&["reset", "os/stable", &source.new]);
        }
        source.summarize();
        Self {
            case,
            server,
            source,
            directory,
        }
    }

    /// Returns where the client is.
    pub(super) fn client(&self) -> PathBuf {
        self.directory.path().join("client")
    }

    /// Makes the client anew.
    #[track_caller]
    pub(super) fn renew_client(&self) -> StockRepo {
        let path = self.client();
        if path.exists() {
            fs::remove_dir_all(&path).expect("our own client");
        }
        let template = self.directory.path().join("template");
        run(command("cp").arg("-a").arg(template).arg(&path));
        StockRepo::open(&path)
    }

    /// Asserts that what refs, and in a mirror the summary, lead to is whole.
    #[track_caller]
    pub(super) fn assert_nothing_half_visible(&self, who: Who) {
        let client = StockRepo::open(&self.client());
        // The commit on its way may be partial, and is marked so then.
        client.run(&["fsck", "-q"]);
        let mut commits: BTreeSet<String> = client.refs().iter().map(|name| client.rev_parse(name)).collect();
        // Stock replaces the summary of a mirror before the objects are there.
        if let (Who::Ours, Ok(bytes)) = (who, fs::read(client.path().join("summary"))) {
            let summary = Summary::parse(&bytes).expect("a summary");
            commits.extend(summary.refs.iter().map(|found| found.checksum.to_string()));
        }
        for commit in commits {
            listed(&client, &commit);
        }
    }

    /// Has a tool finish the pull, from a sound server. `belongs` says which files may lie about then.
    #[track_caller]
    pub(super) fn finish(&self, who: Who, belongs: impl Fn(&str) -> bool, about: &str) {
        let path = self.client();
        let client = StockRepo::open(&path);
        self.server.set_rule(|_| Reaction::Serve);
        must(who, &path, self.case.pull);
        let new = &self.source.new;
        assert_eq!(client.rev_parse(self.case.reference), *new, "{about}");
        client.fsck();
        if who == Who::Ours {
            let mut strays = strays(&path);
            strays.retain(|stray| !belongs(stray));
            assert_eq!(strays, Vec::<String>::new(), "{about}");
        }
        if self.case.pull.contains(&"--mirror") {
            let summary = |repo: &Path| fs::read(repo.join("summary")).expect("the summary");
            assert_eq!(summary(&path), summary(&self.source.repo), "{about}");
        }
    }
}
