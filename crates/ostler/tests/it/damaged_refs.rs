//! Files of refs that name no commit, as a power cut leaves them behind stock tools: whoever needs other refs is not kept out,
//! whoever writes the ref anew may, and whoever has to know of all refs refuses and says the way out.

use crate::programs::ostler;
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What may be left of a ref.
const REMAINS: [&[u8]; 4] = [
    b"",
    b"abc\n",
    &[0; 65],
    b"no commit at all, and longer than the checksum of one would be\n",
];

/// A repository `source` with the refs `os/stable` and `fresh`, and `other`, which is damaged.
struct Scene {
    directory: TempDir,
    stock: StockRepo,
    tip: String,
}

fn scene(remains: &[u8]) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let stock = StockRepo::init(&directory.path().join("source"), "archive");
    let tree = directory.path().join("tree");
    for version in ["one", "two"] {
        Tree::at(&tree).file("file", version, 0o644);
        stock.commit("os/stable", &tree);
    }
    stock.run(&["refs", "--create=fresh", "os/stable"]);
    let scene = Scene {
        tip: stock.rev_parse("os/stable"),
        directory,
        stock,
    };
    scene.harm("source", "other", remains);
    scene
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn harm(&self, repo: &str, name: &str, remains: &[u8]) {
        fs::write(self.path(repo).join("refs/heads").join(name), remains).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = ostler(self.directory.path());
        command.args(arguments);
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    /// Runs what must be refused; returns what is said.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let output = attempt(&mut command);
        let said = describe(&command, &output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }

    /// Runs what must be done; returns what is said on standard error.
    #[track_caller]
    fn noted(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let output = attempt(&mut command);
        assert!(output.status.success(), "{}", describe(&command, &output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn ref_at(&self, repo: &str, name: &str) -> Option<String> {
        let path = self.path(repo).join("refs/heads").join(name);
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim_end().to_owned())
    }

    fn is_damaged(&self, repo: &Path) -> bool {
        fs::read(self.path("source").join("refs/heads/other")).unwrap()
            == fs::read(repo.join("refs/heads/other")).unwrap()
    }
}

#[test]
fn a_damaged_ref_is_listed_by_name_and_deleted_as_any_other() {
    for remains in REMAINS {
        let scene = scene(remains);
        assert_eq!(scene.run(&["--repo=source", "refs"]), "fresh\nos/stable\nother\n");
        let said = scene.noted(&["--repo=source", "refs"]);
        assert!(said.contains("ref other is damaged"), "{said}");
        let revisions = scene.run(&["--repo=source", "refs", "--revision", "other"]);
        assert_eq!(revisions, "other\tdamaged\n");
        let json = scene.run(&["--repo=source", "--json", "refs"]);
        assert!(json.contains(r#""ref":"other","damaged":""#), "{json}");

        scene.run(&["--repo=source", "refs", "--delete", "fresh"]);
        assert_eq!(scene.ref_at("source", "fresh"), None);
        scene.run(&["--repo=source", "refs", "--delete", "other"]);
        assert_eq!(scene.run(&["--repo=source", "refs"]), "os/stable\n");
        assert_eq!(scene.stock.rev_parse("os/stable"), scene.tip);
    }
}

#[test]
fn a_damaged_ref_is_written_anew_by_whoever_does_not_build_on_it() {
    let before = |scene: &Scene| scene.stock.rev_parse("os/stable^");
    for remains in REMAINS {
        for arguments in [
            &["--repo=source", "refs", "--create=other", "os/stable", "--force"][..],
            &["--repo=source", "reset", "other", "os/stable"],
        ] {
            let scene = scene(remains);
            scene.run(arguments);
            assert_eq!(
                scene.ref_at("source", "other"),
                Some(scene.tip.clone()),
                "{arguments:?}"
            );
        }
        for how in ["--orphan", "--parent=os/stable^"] {
            let scene = scene(remains);
            let made = scene.run(&["--repo=source", "commit", "-b", "other", how, "tree"]);
            assert_eq!(
                scene.ref_at("source", "other").as_deref(),
                Some(made.trim_end()),
                "{how}"
            );
            assert!(how == "--orphan" || scene.stock.rev_parse("other^") == before(&scene));
        }
    }
}

#[test]
fn nothing_is_built_on_a_damaged_ref_and_the_way_out_is_told() {
    for remains in REMAINS {
        let scene = scene(remains);
        for arguments in [
            &["--repo=source", "commit", "-b", "other", "tree"][..],
            &["--repo=source", "refs", "--create=other", "os/stable"],
            &["--repo=source", "refs", "--create=new", "other"],
            &["--repo=source", "rev-parse", "other"],
            &["--repo=source", "publish", "target", "other"],
            &["--repo=source", "publish", "target"],
            &["--repo=source", "summary", "-u"],
            &["--repo=source", "snapshot", "copy"],
            &["--repo=source", "prune", "--refs-only"],
        ] {
            let said = scene.refused(arguments);
            assert!(said.contains("ref other is corrupt"), "{said}");
            assert!(said.contains("'refs --delete other' removes the ref"), "{said}");
        }
        assert!(!scene.path("source/summary").exists());
        assert_eq!(fs::read(scene.path("source/refs/heads/other")).unwrap(), remains);
    }
}

#[test]
fn refs_that_are_named_get_past_a_damaged_one() {
    for remains in REMAINS {
        let scene = scene(remains);
        scene.run(&["--repo=source", "publish", "target", "os/stable"]);
        scene.run(&[
            "--repo=source",
            "publish",
            "target",
            "os/*",
            "--delete-refs",
            "--verify",
        ]);
        assert_eq!(scene.ref_at("target", "os/stable"), Some(scene.tip.clone()));
        scene.run(&["--repo=source", "snapshot", "copy", "os/stable"]);
        assert_eq!(scene.ref_at("copy", "os/stable"), Some(scene.tip.clone()));
        scene.run(&["--repo=source", "export", "os/stable", "--output=out.tar"]);

        let into = StockRepo::init(&scene.path("into"), "archive");
        scene.harm("into", "other", remains);
        scene.run(&["--repo=into", "pull-local", "source", "os/stable"]);
        assert_eq!(into.rev_parse("os/stable"), scene.tip);
        assert!(scene.is_damaged(&scene.path("into")));
        scene.harm("into", "os/stable", remains);
        scene.run(&["--repo=into", "pull-local", "source", "os/stable"]);
        assert_eq!(into.rev_parse("os/stable"), scene.tip);
    }
}

#[test]
fn a_damaged_ref_of_the_target_is_replaced_by_the_publish_that_has_it_and_left_by_others() {
    for remains in REMAINS {
        let scene = scene(remains);
        scene.run(&["--repo=source", "refs", "--delete", "other"]);
        scene.run(&["--repo=source", "publish", "target"]);
        scene.harm("target", "fresh", remains);
        scene.harm("target", "os/stable", remains);
        let planned = scene.run(&["--repo=source", "publish", "target", "os/stable", "--dry-run"]);
        let moves = format!("ref os/stable: damaged -> {}", scene.tip);
        assert!(planned.contains(&moves), "{planned}");

        let said = scene.noted(&["--repo=source", "publish", "target", "os/stable", "--verify"]);
        assert!(said.contains("ref 'fresh' of target is damaged"), "{said}");
        assert!(!said.contains("ref 'os/stable'"), "{said}");
        assert_eq!(scene.ref_at("target", "os/stable"), Some(scene.tip.clone()));
        assert_eq!(fs::read(scene.path("target/refs/heads/fresh")).unwrap(), remains);
        let said = scene.refused(&["sweep", "target"]);
        assert!(said.contains("ref 'fresh' of target is damaged"), "{said}");
        assert!(said.contains("'--repo=target refs --delete fresh'"), "{said}");

        scene.run(&["--repo=source", "publish", "target"]);
        assert_eq!(scene.ref_at("target", "fresh"), Some(scene.tip.clone()));
        scene.run(&["sweep", "target"]);
    }
}

#[test]
fn a_check_names_a_damaged_ref_and_looks_at_the_others() {
    let scene = scene(b"");
    scene.harm("source", "lost", "0".repeat(64).as_bytes());
    let said = scene.refused(&["--repo=source", "fsck", "--all"]);
    assert!(said.contains("ref other"), "{said}");
    assert!(said.contains("ref lost"), "{said}");
    assert!(!said.contains("ref ref"), "{said}");
    assert!(said.contains("'refs --delete other' removes"), "{said}");
    assert!(!said.contains("'refs --delete lost'"), "{said}");
}
