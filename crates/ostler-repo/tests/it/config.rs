//! Key files beside GLib, as stock ostree uses it.

use crate::fixture::Fixture;
use ostler_repo::{KeyFile, RepoError};
use std::fs;

/// Values with everything that is written in a special way.
const VALUES: &[&str] = &[
    "plain",
    "",
    " two leading",
    "\ttab",
    "inner\ttab and trailing  ",
    "back\\slash",
    "line\nbreak\r",
    "semi;colon",
    "eq=ual",
    "# not a comment",
    "[not a group]",
    "é",
];

fn read(fixture: &Fixture) -> KeyFile {
    KeyFile::parse(&fs::read(fixture.path().join("config")).unwrap()).unwrap()
}

#[test]
fn values_written_by_one_side_are_read_by_the_other() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    for value in VALUES {
        fixture.stock.run(&["config", "set", "core.theirs", value]);
        assert_eq!(
            read(&fixture).get("core", "theirs").unwrap().as_deref(),
            Some(*value)
        );
        repo.edit_config(|file| {
            file.set("core", "ours", value)
                .map_err(RepoError::format("config"))
        })
        .unwrap();
        let printed = fixture.stock.run(&["config", "get", "core.ours"]);
        assert_eq!(printed.strip_suffix('\n'), Some(*value));
        let file = read(&fixture);
        assert_eq!(file.raw("core", "ours"), file.raw("core", "theirs"), "{value:?}");
    }
}

#[test]
fn changes_give_the_bytes_that_stock_gives() {
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    let repo = ours.open();
    for (group, key, value) in [
        ("core", "fsync", "false"),
        ("core", "mode", "bare-user"),
        ("remote \"up\"", "url", "http://x"),
        ("remote \"up\"", "branches", "a;b;"),
        ("archive", "zlib-level", "9"),
        ("core", "locking", "true"),
        ("remote \"up\"", "url", "http://y"),
    ] {
        let group_option = format!("--group={group}");
        theirs.stock.run(&["config", "set", &group_option, key, value]);
        repo.edit_config(|file| file.set(group, key, value).map_err(RepoError::format("config")))
            .unwrap();
    }
    theirs.stock.run(&["config", "unset", "core.fsync"]);
    repo.edit_config(|file| Ok(file.unset("core", "fsync"))).unwrap();

    let text = |fixture: &Fixture| fs::read_to_string(fixture.path().join("config")).unwrap();
    assert_eq!(text(&ours), text(&theirs));
}

#[test]
fn what_one_side_cannot_parse_the_other_cannot_either() {
    let fixture = Fixture::new();
    let path = fixture.path().join("config");
    let base = fs::read_to_string(&path).unwrap();
    for (added, fits) in [
        ("k=v\n", true),
        ("  k  =  v\r\n", true),
        ("k[de]=v\n", true),
        ("   # comment\n", true),
        ("[other] \t\n", true),
        ("word\n", false),
        ("=v\n", false),
        ("[open\n", false),
        ("[]\n", false),
        ("[a]b\n", false),
        ("[a[b]\n", false),
        ("k]=v\n", false),
        ("a[b=v\n", false),
    ] {
        let text = format!("{base}{added}");
        fs::write(&path, &text).unwrap();
        assert_eq!(KeyFile::parse(text.as_bytes()).is_ok(), fits, "{added:?}");
        let theirs = fixture.stock.attempt(&["refs"]);
        assert_eq!(theirs.status.success(), fits, "{added:?}");
    }
}
