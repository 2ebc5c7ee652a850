//! Names of refs: stock `ostree` and we take the same ones, but for the differences that are listed here.

use crate::stock::StockRepo;
use ostler_format::RefName;

/// Names that stock takes and we refuse, or the other way round, on purpose.
const DIFFERENT: &[&str] = &[
    // A newline at the end is cut off by the command line of stock, not part of the name.
    "newline\n",
    // Vowel signs are alphabetic to Unicode, but marks and not letters to the regular expressions of stock.
    "का",
    "Ⓐ",
];

#[test]
fn the_same_names_of_refs_are_taken() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let tree = repo.sample_tree();
    let commit = repo.commit(&tree, &[]).to_string();
    let checksum = "ab".repeat(32);
    let names = [
        "plain",
        "os/x86_64/stable",
        "é/ñ",
        "中文/x",
        "ß",
        "का",
        "Ⓐ",
        "²",
        "Ⅷ",
        "a..b",
        "A.lock",
        "_u",
        "0/0",
        "v1.0-rc_1",
        "x/",
        "/x",
        "x//y",
        ".x",
        "y/.x",
        "-x",
        "y/-x",
        "x y",
        "x+y",
        "x~y",
        "x@y",
        "x\\y",
        "x*",
        "x?",
        "x^y",
        "x[",
        "..",
        ".",
        "z/..",
        "€",
        "x\u{a0}y",
        "x\u{200b}",
        "\u{301}x",
        "newline\n",
        "tab\t",
        "e\u{1b}",
        "a,b",
        "a=b",
        "a#b",
        "a%b",
        &checksum,
    ];
    for name in names {
        let (taken, message) = repo.try_ostree(&["refs", &format!("--create={name}"), &commit]);
        if taken {
            repo.ostree(&["refs", "--delete", name]);
        }
        let same = taken == RefName::new(name).is_ok();
        assert_eq!(
            same,
            !DIFFERENT.contains(&name),
            "{name:?}: stock took it: {taken} {message}"
        );
    }
}
