//! Tests of reading rules, and of what they allow.

use super::*;
use crate::error::TransferError;

fn parse(text: &str) -> ReceiveRules {
    ReceiveRules::parse(text.as_bytes(), "receive.toml").unwrap()
}

#[test]
fn nothing_is_allowed_that_no_rule_names() {
    assert_eq!(parse("").rights("ci", "os/a"), Rights::default());
    let rules = parse(
        "root = '/srv'\n[[allow]]\nwho = 'ci'\nrefs = 'os/*/stable'\nmay = ['create', 'fast-forward']\n\
         [[allow]]\nrefs = ['test/**']\nmay = 'delete'\n",
    );
    assert_eq!(rules.root(), Some(Path::new("/srv")));
    let nothing = Rights::default();
    for (who, name, rights) in [
        (
            "ci",
            "os/x/stable",
            nothing.with("create").unwrap().with("fast-forward").unwrap(),
        ),
        ("ci", "os/x/y/stable", nothing),
        ("other", "os/x/stable", nothing),
        ("", "os/x/stable", nothing),
        ("other", "test/a/b", nothing.with("delete").unwrap()),
    ] {
        assert_eq!(rules.rights(who, name), rights, "{who}, {name}");
    }
}

#[test]
fn what_several_rules_allow_adds_up() {
    let rules = parse("[[allow]]\nrefs = 'a'\nmay = 'create'\n[[allow]]\nrefs = '**'\nmay = 'force'\n");
    let both = Rights::default().with("create").unwrap().with("force").unwrap();
    assert_eq!(rules.rights("x", "a"), both);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, line) in [
        ("root = 'relative'\n", 1),
        ("\nrott = '/srv'\n", 2),
        ("summary = 'perhaps'\n", 1),
        ("[[allow]]\nmay = 'create'\n", 1),
        ("[[allow]]\nrefs = []\nmay = 'create'\n", 2),
        ("[[allow]]\nrefs = 'a['\nmay = 'create'\n", 2),
        ("[[allow]]\nrefs = 'a'\nmay = ['create', 'everything']\n", 3),
        ("[[allow]]\nrefs = 'a'\nmay = 'create'\nkey = 'ci'\n", 4),
    ] {
        match ReceiveRules::parse(text.as_bytes(), "receive.toml") {
            Err(TransferError::Policy { line: told, .. }) => assert_eq!(told, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn the_file_in_the_documentation_is_one() {
    let text = include_str!("../../../../../docs/receive.md");
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let (file, _) = rest.split_once("```").unwrap();
    let rules = parse(file);
    assert_eq!(rules.audit(), Some(Path::new("/var/log/ostler/push.jsonl")));
    assert_eq!(rules.sweep(), Some(7 * 24 * 3600));
    assert_eq!(rules.hooks().all().count(), 3);
    assert_eq!(rules.hooks().limit.as_secs(), 600);
    let [sign] = rules.sign() else { panic!() };
    assert!(sign.summary && sign.refs.as_ref().unwrap().matches("os/x"));
}

#[test]
fn hooks_and_keys_that_cannot_be_are_told_with_their_line() {
    for (text, line) in [
        ("audit = 'relative'\n", 1),
        ("\nsweep = 'soon'\n", 2),
        ("[hooks]\npre-receive = 'relative'\n", 2),
        ("[hooks]\nupdate = []\n", 2),
        ("[hooks]\ntimeout = '0'\n", 2),
        ("[hooks]\npre-recieve = '/x'\n", 2),
        ("\n[[sign]]\nrefs = 'a'\n", 2),
        ("\n[[sign]]\ngpg = 'K'\n", 2),
        ("[[sign]]\nsummary = true\ned25519 = 'relative'\n", 3),
        ("[[sign]]\nsummary = true\ncommand = { md5 = '/x' }\n", 3),
        ("[[sign]]\nsummary = true\ncommand = { gpg = 'x' }\n", 3),
        ("[[sign]]\nsummary = true\ngpg = 'K'\nsettle = '1h'\n", 4),
    ] {
        match ReceiveRules::parse(text.as_bytes(), "receive.toml") {
            Err(TransferError::Policy { line: told, .. }) => assert_eq!(told, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_is_required_adds_up_and_the_strictest_counts() {
    let rules = parse(
        "[[require]]\nrefs = '**'\nmax-push = '1G'\nmax-depth = 9\nforbid = ['xattrs', 'setuid']\n\
         [[require]]\nwho = 'ci'\nrefs = ['os/**', 'x']\nmax-push = 1024\nmax-object = '2M'\nforbid = 'setuid'\nnewer = true\n\
         signatures = {gpg = '/k.gpg', ed25519 = ['iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=', '/k'], all = true}\n",
    );
    assert_eq!(
        rules.requirements("ci", "os/a"),
        "bindings match; signed by gpg (/k.gpg) and ed25519 (iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=, /k); newer than before; \
         without setuid, xattrs; max-object 2M, max-push 1K, max-depth 9"
    );
    assert_eq!(
        rules.requirements("other", "os/a"),
        "bindings match; without setuid, xattrs; max-push 1G, max-depth 9"
    );
    let any =
        parse("[[require]]\nrefs = 'a'\nbindings = 'any'\n[[require]]\nrefs = '*'\nbindings = 'required'\n");
    assert_eq!(any.requirements("x", "a"), "bindings required");
}

#[test]
fn what_is_wrong_with_requirements_is_told_with_its_line() {
    for (text, line) in [
        ("[[require]]\nnewer = true\n", 1),
        ("[[require]]\nrefs = 'a['\n", 2),
        ("[[require]]\nrefs = 'a'\nbindings = 'some'\n", 3),
        ("[[require]]\nrefs = 'a'\nforbid = ['setuid', 'devices']\n", 3),
        ("[[require]]\nrefs = 'a'\nmax-object = '1X'\n", 3),
        ("[[require]]\nrefs = 'a'\nmax-objects = 1\n", 3),
        ("[[require]]\nrefs = 'a'\nnewer = true\nsignatures = {}\n", 4),
        ("[[require]]\nrefs = 'a'\nsignatures = {gpg = []}\n", 3),
        (
            "[[require]]\nrefs = 'a'\nsignatures = {gpg = 'relative.gpg'}\n",
            3,
        ),
        (
            "[[require]]\nrefs = 'a'\nsignatures = {\n  spki = '/k',\n  ed25519 = 'short',\n}\n",
            5,
        ),
        ("\n[quarantine]\nmax = -1\n", 3),
        ("[quarantine]\nmaximum = 1\n", 2),
    ] {
        match ReceiveRules::parse(text.as_bytes(), "receive.toml") {
            Err(TransferError::Policy { line: told, .. }) => assert_eq!(told, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}
