//! Programs of the owner's that judge a push, or hear of it.

use super::scene::{Ended, Scene, Updates};
use ostler_format::RefName;
use ostler_testkit::oracle::strays;
use ostler_transfer::push::Fate;
use ostler_transfer::receive::ReceiveRules;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ALLOW: &str = "[[allow]]\nrefs = '**'\nmay = ['create', 'fast-forward', 'delete']\n\
                     [[require]]\nrefs = '**'\nbindings = 'any'\n";

/// A scene whose target has hooks, and a directory for what they write.
struct Hooked {
    scene: Scene,
    place: TempDir,
}

impl Hooked {
    fn new() -> Self {
        Self {
            scene: Scene::new(),
            place: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Makes a program of a shell script that finds the directory in `$1`.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn rules(&self, hooks: &[(&str, &Path)], more: &str) -> ReceiveRules {
        let place = self.place.path().display();
        let hook = |(name, path): &(&str, &Path)| format!("{name} = ['{}', '{place}']\n", path.display());
        let hooks: String = hooks.iter().map(hook).collect();
        let text = format!("{ALLOW}[hooks]\n{hooks}{more}");
        ReceiveRules::parse(text.as_bytes(), "rules").unwrap()
    }

    fn push(&self, rules: &ReceiveRules, updates: &Updates) -> Ended {
        self.scene.push_by(rules, "tester", updates, |options| options)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn assert_unchanged(&self, refs: &[&str]) {
        assert_eq!(self.scene.target.refs(), refs);
        assert_eq!(strays(&self.scene.target()), Vec::<String>::new());
    }
}

fn why<'a>(ended: &'a Ended, name: &str) -> &'a str {
    let pushed = ended.pushed.as_ref().unwrap();
    let found = pushed.refs.iter().find(|pushed| pushed.name.as_str() == name);
    match &found.unwrap().fate {
        Fate::Refused(why) => why,
        Fate::NotTried => "not tried",
        _ => "",
    }
}

#[test]
fn pre_receive_sees_what_was_pushed_before_anybody_else_does() {
    let hooked = Hooked::new();
    let script = "\
        cat > $1/input\n\
        while read old new ref; do\n\
            ostree --repo=$OSTLER_QUARANTINE ls -R $new > $1/listed || exit 1\n\
            ostree --repo=$OSTLER_QUARANTINE checkout -U $new $1/tree-$new || exit 1\n\
        done < $1/input\n\
        ostree --repo=$OSTREE_RECEIVE_REPO refs > $1/refs\n\
        echo $OSTREE_RECEIVE_REPO $OSTREE_RECEIVE_REFS $OSTLER_PUSHER $OSTLER_HOOK > $1/environment";
    let rules = hooked.rules(&[("pre-receive", &hooked.program("hook", script))], "");
    let all = hooked.scene.all();
    let ended = hooked.push(&rules, &all);
    ended.received.unwrap();
    hooked.scene.assert_has(&all);
    let nothing = "0".repeat(64);
    let lines = all
        .iter()
        .map(|(name, commit)| format!("{nothing} {} {name}\n", commit.unwrap()));
    assert_eq!(hooked.read("input"), lines.collect::<String>());
    assert_eq!(hooked.read("refs"), "");
    assert!(!hooked.read("listed").is_empty());
    let names: Vec<_> = all.keys().map(RefName::as_str).collect();
    let target = fs::canonicalize(hooked.scene.target()).unwrap();
    let expected = format!("{} {} tester pre-receive\n", target.display(), names.join(" "));
    assert_eq!(hooked.read("environment"), expected);
}

#[test]
fn pre_receive_that_refuses_leaves_everything_as_it_was() {
    let hooked = Hooked::new();
    let rules = hooked.rules(
        &[(
            "pre-receive",
            &hooked.program("hook", "echo not today >&2; exit 1"),
        )],
        "",
    );
    let ended = hooked.push(&rules, &hooked.scene.all());
    for name in hooked.scene.all().keys() {
        let why = why(&ended, name.as_str());
        assert!(why.contains("exit status: 1: not today"), "{why}");
    }
    hooked.assert_unchanged(&[]);
    assert_eq!(hooked.scene.quarantined(), Vec::<String>::new());
}

#[test]
fn update_that_refuses_one_ref_keeps_all_from_moving() {
    let hooked = Hooked::new();
    hooked.scene.source.stock.run(&["refs", "--create=os/z", "os/a"]);
    let script = "echo $* >> $1/calls; case $2 in os/a) exit 0;; *) exit 2;; esac";
    let rules = hooked.rules(&[("update", &hooked.program("hook", script))], "");
    let all = hooked.scene.all();
    let ended = hooked.push(&rules, &all);
    assert!(why(&ended, "os/z").contains("the update hook ended with exit status: 2"));
    assert_eq!(why(&ended, "os/a"), "not tried");
    hooked.assert_unchanged(&[]);
    let calls = hooked.read("calls");
    assert_eq!(calls.lines().count(), all.len());
    let commit = hooked.scene.source.stock.rev_parse("os/a");
    let line = format!(
        "{} os/a {} {commit}\n",
        hooked.place.path().display(),
        "0".repeat(64)
    );
    assert!(calls.contains(&line), "{calls}");
}

#[test]
fn without_a_hook_that_is_asked_for_nothing_is_taken() {
    let hooked = Hooked::new();
    let plain = hooked.program("plain", "exit 0");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let garbage = hooked.path("garbage");
    fs::write(&garbage, [0x7f, b'E', b'L', b'F', 0, 0]).unwrap();
    fs::set_permissions(&garbage, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["pre-receive", "update", "post-receive"] {
        for (path, why) in [
            (hooked.path("missing"), "No such file"),
            (plain.clone(), "is no program"),
        ] {
            let rules = hooked.rules(&[(name, &path)], "");
            let ended = hooked.push(&rules, &hooked.scene.all());
            let error = ended.received.unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(why), "{error}");
            ended.pushed.unwrap_err();
            hooked.assert_unchanged(&[]);
        }
    }
    let ended = hooked.push(
        &hooked.rules(&[("pre-receive", &garbage)], ""),
        &hooked.scene.all(),
    );
    let error = ended.received.unwrap_err().to_string();
    assert!(error.contains("cannot be run"), "{error}");
    hooked.assert_unchanged(&[]);
    // What has come is not sent again when the hook is put right.
    let ended = hooked.push(&hooked.rules(&[], ""), &hooked.scene.all());
    let objects = ended.pushed.unwrap().objects;
    assert!(objects <= 2 * hooked.scene.all().len() as u64, "{objects}");
    hooked.scene.assert_has(&hooked.scene.all());
}

#[test]
fn ref_that_moves_while_a_hook_thinks_is_not_overwritten() {
    let hooked = Hooked::new();
    hooked.scene.push_all();
    hooked.scene.source.advance("new");
    let before = hooked.scene.target.rev_parse("os/a");
    let script = "ostree --repo=$OSTREE_RECEIVE_REPO commit -b os/a --tree=ref=os/a -s theirs > $1/theirs";
    let rules = hooked.rules(&[("pre-receive", &hooked.program("hook", script))], "");
    let ended = hooked.push(&rules, &hooked.scene.all());
    assert!(why(&ended, "os/a").contains("was moved meanwhile"));
    let theirs = hooked.read("theirs");
    assert_ne!(theirs.trim(), before);
    assert_eq!(hooked.scene.target.rev_parse("os/a"), theirs.trim());
}

#[test]
fn post_receive_runs_when_refs_have_moved_and_changes_nothing_about_it() {
    let hooked = Hooked::new();
    let script = "cat > $1/input; ostree --repo=$OSTREE_RECEIVE_REPO rev-parse os/a > $1/there; \
                  echo $OSTLER_GENERATION > $1/generation; exit 1";
    let rules = hooked.rules(&[("post-receive", &hooked.program("hook", script))], "");
    let all = hooked.scene.all();
    let ended = hooked.push(&rules, &all);
    assert_eq!(ended.received.unwrap().generation, Some(1));
    assert_eq!(ended.pushed.unwrap().generation, Some(1));
    hooked.scene.assert_has(&all);
    assert_eq!(
        hooked.read("there").trim(),
        hooked.scene.source.stock.rev_parse("os/a")
    );
    assert_eq!(hooked.read("generation"), "1\n");
    assert_eq!(hooked.read("input").lines().count(), all.len());
}

#[test]
fn hook_that_takes_too_long_ends_the_push() {
    let hooked = Hooked::new();
    let hook = hooked.program("hook", "sleep 600");
    let rules = hooked.rules(&[("pre-receive", &hook)], "timeout = '1s'\n");
    let ended = hooked.push(&rules, &hooked.scene.all());
    let error = ended.received.unwrap_err().to_string();
    assert!(error.contains("took more than 1 s"), "{error}");
    hooked.assert_unchanged(&[]);
}
