//! What stock and ours exchange: a repository that either made and signed, a server of either, a client of either.

use crate::interop::Who;
use crate::programs::OSTLER;
use crate::signatures::make_key;
use ostler_testkit::command::{attempt, command, describe, run};
use ostler_testkit::gpg::GpgHome;
use ostler_testkit::nginx::Nginx;
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The collection of a source.
pub(super) const OWN: &str = "org.example.Os";

/// The collection of what it mirrors.
pub(super) const FOREIGN: &str = "org.example.Up";

/// Returns a program on a repository, with all allowed that stock does only when told.
pub(super) fn program(who: Who, repo: &Path, arguments: &[&str]) -> Command {
    let mut command = who.on(repo);
    command
        .envs([
            ("OSTREE_DUMMY_SIGN_ENABLED", "1"),
            ("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS", "true"),
        ])
        .args(arguments);
    command
}

/// Runs a program on a repository, which must succeed.
#[track_caller]
pub(super) fn must(who: Who, repo: &Path, arguments: &[&str]) -> String {
    run(&mut program(who, repo, arguments))
}

/// Runs a program on a repository, which must fail by itself; returns what it says.
#[track_caller]
pub(super) fn must_fail(who: Who, repo: &Path, arguments: &[&str]) -> String {
    let mut command = program(who, repo, arguments);
    let output = attempt(&mut command);
    assert_eq!(output.status.code(), Some(1), "{}", describe(&command, &output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// With what commits and summaries are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Gpg,
    Dummy,
    Ed25519,
    Spki,
}

/// The options that sign, and those by which a remote trusts.
#[derive(Debug)]
pub(super) struct Signing {
    pub(super) sign: Vec<String>,
    /// What a remote takes whose commits are signed.
    trust: Vec<String>,
    /// What it takes beside that where the summary is signed.
    trust_summary: Vec<String>,
    /// What a remote takes that trusts somebody else.
    distrust: Option<Vec<String>>,
    /// Where the key is, as long as something is signed.
    home: Option<GpgHome>,
}

impl Signing {
    /// Makes keys below a directory.
    #[track_caller]
    pub(super) fn new(kind: Kind, root: &Path) -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let path = |name: &str| root.join(name).display().to_string();
        let mut signing = Self {
            sign: Vec::new(),
            trust: texts(&["--no-gpg-verify"]),
            trust_summary: Vec::new(),
            distrust: None,
            home: None,
        };
        let mut by_engine = |name: &str, sign: &[&str], good: &str, other: &str| {
            signing.sign = texts(sign);
            signing.trust.push(format!("--sign-verify={name}={good}"));
            signing.trust_summary = vec![format!("--set=sign-verify-summary={name}")];
            signing.distrust = Some(vec![
                "--no-gpg-verify".to_owned(),
                format!("--sign-verify={name}={other}"),
            ]);
        };
        match kind {
            Kind::Nothing => {}
            Kind::Dummy => by_engine(
                "dummy",
                &["--sign-type=dummy", "--sign=a-key"],
                "inline:a-key",
                "inline:another",
            ),
            Kind::Ed25519 => {
                // Vectors of RFC 8032.
                let secret = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
                fs::write(root.join("ed25519"), secret).expect("our own file");
                by_engine(
                    "ed25519",
                    &[&format!("--sign-from-file={}", path("ed25519"))],
                    "inline:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                    "inline:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
                );
            }
            Kind::Spki => {
                let curve = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
                let (secret, public) = make_key(root, "spki", &curve);
                let (_, other) = make_key(root, "other", &curve);
                by_engine(
                    "spki",
                    &[
                        "--sign-type=spki",
                        &format!("--sign-from-file={}", secret.display()),
                    ],
                    &format!("file:{}", public.display()),
                    &format!("file:{}", other.display()),
                );
            }
            Kind::Gpg => {
                let home = GpgHome::new();
                home.make_key("Release <release@example.org>", "never");
                home.export(&root.join("key.asc"), &["--armor"], &[]);
                signing.sign = texts(&[
                    "--gpg-sign=release@example.org",
                    &format!("--gpg-homedir={}", home.path().display()),
                ]);
                signing.trust = vec![format!("--gpg-import={}", path("key.asc"))];
                signing.trust_summary = texts(&["--set=gpg-verify-summary=true"]);
                signing.home = Some(home);
            }
        }
        signing
    }
}

/// A repository with two commits on `os/stable`.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) maker: Who,
    pub(super) repo: PathBuf,
    pub(super) signing: Signing,
    pub(super) collections: bool,
    pub(super) summary: bool,
    pub(super) deltas: bool,
    pub(super) old: String,
    pub(super) new: String,
}

impl Source {
    /// Makes one in `root/served/repo`, without a summary and static deltas.
    #[track_caller]
    pub(super) fn make(maker: Who, root: &Path, kind: Kind, collections: bool) -> Self {
        fs::create_dir(root.join("served")).expect("our own directory");
        let repo = root.join("served/repo");
        let collection = format!("--collection-id={OWN}");
        let init = ["init", "--mode=archive", &collection];
        must(maker, &repo, if collections { &init } else { &init[..2] });
        must(maker, &repo, &["config", "set", "core.fsync", "false"]);
        let mut source = Self {
            maker,
            repo,
            signing: Signing::new(kind, root),
            collections,
            summary: false,
            deltas: false,
            old: String::new(),
            new: String::new(),
        };
        source.old = source.commit("os/stable", root, 1);
        source.new = source.commit("os/stable", root, 2);
        if collections {
            source.mirror_foreign(root);
        }
        source
    }

    /// Commits a version of the tree, each a second later than the one before.
    #[track_caller]
    fn commit(&self, branch: &str, root: &Path, version: u32) -> String {
        let mut command = program(
            self.maker,
            &self.repo,
            &["commit", "--owner-uid=0", "--owner-gid=0"],
        );
        command
            .arg(format!("--branch={branch}"))
            .arg(format!("--timestamp=@170000000{version}"))
            .args(&self.signing.sign);
        run(command.arg(tree(root, version))).trim().to_owned()
    }

    /// Adds a commit of another collection, as if it had been mirrored.
    #[track_caller]
    fn mirror_foreign(&self, root: &Path) {
        must(
            self.maker,
            &self.repo,
            &["config", "set", "core.collection-id", FOREIGN],
        );
        self.commit("up", root, 3);
        must(
            self.maker,
            &self.repo,
            &["config", "set", "core.collection-id", OWN],
        );
        let mirrors = self.repo.join("refs/mirrors").join(FOREIGN);
        fs::create_dir_all(&mirrors).expect("our own repository");
        let reference = self.repo.join("refs/heads/up");
        fs::copy(&reference, mirrors.join("up")).expect("the ref");
        fs::remove_file(reference).expect("the ref");
    }

    /// Makes the deltas to the newest commit, from nothing and from the one before.
    #[track_caller]
    pub(super) fn generate_deltas(&mut self) {
        for from in [&["--empty", "os/stable"][..], &["os/stable"]] {
            must(
                self.maker,
                &self.repo,
                &[&["static-delta", "generate"], from].concat(),
            );
        }
        self.deltas = true;
    }

    /// Takes the deltas away.
    #[track_caller]
    pub(super) fn delete_deltas(&mut self) {
        for name in [&self.new, &format!("{}-{}", self.old, self.new)] {
            must(self.maker, &self.repo, &["static-delta", "delete", name]);
        }
        self.deltas = false;
    }

    /// Makes the summary, and signs it.
    #[track_caller]
    pub(super) fn summarize(&mut self) {
        let mut command = program(self.maker, &self.repo, &["summary", "-u"]);
        if self.maker == Who::Ours {
            command.arg("--settle=0");
        }
        run(command.args(&self.signing.sign));
        self.summary = true;
    }

    /// Makes a client that has it at a URL for the remote `origin`, and trusts it as far as it signs.
    #[track_caller]
    pub(super) fn client(&self, who: Who, repo: &Path, mode: &str, url: &str) -> StockRepo {
        let summary = self.signing.trust_summary.iter().filter(|_| self.summary);
        let trust: Vec<&String> = self.signing.trust.iter().chain(summary).collect();
        self.client_with(who, repo, mode, url, &trust)
    }

    /// Makes a client that trusts somebody else; `None` where nobody is trusted.
    #[track_caller]
    pub(super) fn stranger(&self, who: Who, repo: &Path, url: &str) -> Option<StockRepo> {
        let trust: Vec<&String> = self.signing.distrust.as_ref()?.iter().collect();
        Some(self.client_with(who, repo, "archive", url, &trust))
    }

    #[track_caller]
    fn client_with(&self, who: Who, repo: &Path, mode: &str, url: &str, trust: &[&String]) -> StockRepo {
        must(who, repo, &["init", &format!("--mode={mode}")]);
        let mut command = program(who, repo, &["remote", "add"]);
        if self.collections {
            command.arg(format!("--collection-id={OWN}"));
        }
        run(command.args(trust).args(["origin", url]));
        StockRepo::open(repo)
    }

    /// Returns the repository, for stock to look at.
    pub(super) fn stock(&self) -> StockRepo {
        StockRepo::open(&self.repo)
    }
}

/// Lists a commit with the checksums of all that is in it.
#[track_caller]
pub(super) fn listed(repo: &StockRepo, commit: &str) -> String {
    repo.run(&["ls", "-R", "-C", "-X", commit])
}

/// Makes a version of a tree that any mode of repository can hold.
fn tree(root: &Path, version: u32) -> PathBuf {
    let tree = Tree::at(&root.join(format!("tree-{version}")));
    let mut program = Random::new(1).bytes(60_000);
    program.splice(100..100, version.to_string().bytes());
    tree.file("usr/bin/program", &program, 0o755)
        .file("usr/bin/same", Random::new(2).bytes(9000), 0o755)
        .file(
            &format!("usr/share/only-{version}"),
            Random::new(3).text(5000),
            0o644,
        )
        .file("usr/share/empty", "", 0o644)
        .file("etc/version", format!("{version}\n"), 0o644)
        .symlink("usr/link", "bin/program")
        .dir("var/empty", 0o755);
    tree.path().to_owned()
}

/// A server of a directory.
#[derive(Debug)]
pub(super) enum Server {
    Nginx(Nginx),
    /// `trivial-httpd` of a program; it ends when the directory is gone.
    Httpd(String),
}

impl Server {
    /// Starts nginx, our server and stock's on a directory. In this nothing may go: stock's would end.
    #[track_caller]
    pub(super) fn all(root: &Path) -> [Self; 3] {
        let httpd = |program: &mut Command| {
            let options = ["--daemonize", "--autoexit", "--port-file=-"];
            let port = run(program.args(options).arg(root));
            Self::Httpd(format!("http://127.0.0.1:{}", port.trim()))
        };
        [
            Self::Nginx(Nginx::serve(root)),
            httpd(command(OSTLER).args(["trivial-httpd", "--address=127.0.0.1"])),
            httpd(&mut command("/usr/libexec/libostree/ostree-trivial-httpd")),
        ]
    }

    /// Returns where it is.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Nginx(nginx) => nginx.url(),
            Self::Httpd(url) => url.clone(),
        }
    }
}
