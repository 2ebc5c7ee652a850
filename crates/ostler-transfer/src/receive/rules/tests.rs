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
