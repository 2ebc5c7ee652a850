//! Options of one letter, with values and in clusters, in all forms that people try: stock and we end alike, and with the same
//! effect.

use crate::programs::{OSTLER, link};
use ostler_testkit::command::{attempt, command, describe};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a commit or a checkout left: refs with their commits, and the names of what was checked out.
#[derive(Debug, PartialEq, Eq)]
struct Effect {
    refs: Vec<(String, String)>,
    files: Vec<PathBuf>,
}

fn effect(directory: &Path) -> Effect {
    let repo = StockRepo::open(&directory.join("repo"));
    let refs = repo.refs().into_iter();
    let files = fs::read_dir(directory).expect("our own directory");
    let mut files: Vec<PathBuf> = files
        .map(|file| file.expect("our own directory").path())
        .collect();
    files.sort();
    Effect {
        refs: refs.map(|name| (repo.rev_parse(&name), name)).collect(),
        files: files
            .into_iter()
            .map(|file| PathBuf::from(file.file_name().expect("a name")))
            .collect(),
    }
}

/// Runs each line with stock, with ours and with ours under stock's name, each in a directory of its own; `""` stands for an
/// argument without a letter.
#[track_caller]
fn assert_alike(lines: &[&str]) {
    let directory = TempDir::new().expect("a directory");
    let programs = [PathBuf::from("ostree"), OSTLER.into(), link(directory.path())];
    let places = ["stock", "ours", "linked"].map(|name| directory.path().join(name));
    for place in &places {
        fs::create_dir(place).expect("our own directory");
        Tree::at(&place.join("tree")).file("file", "hi\n", 0o644);
        StockRepo::init(&place.join("repo"), "archive").run(&["config", "set", "core.fsync", "false"]);
    }
    for line in lines {
        let [stock, ours, linked] = [0, 1, 2].map(|number| {
            let mut command = command(&programs[number]);
            command.current_dir(&places[number]).arg("--repo=repo");
            command.args(line.split(' ').map(|word| if word == "\"\"" { "" } else { word }));
            let output = attempt(&mut command);
            let code = output.status.code().expect("no signal");
            (code, describe(&command, &output), effect(&places[number]))
        });
        assert_eq!(
            (linked.0, &linked.2),
            (stock.0, &stock.2),
            "{}\n{}",
            stock.1,
            linked.1
        );
        let code = if ours.0 == 2 { 1 } else { ours.0 };
        assert_eq!((code, &ours.2), (stock.0, &stock.2), "{}\n{}", stock.1, ours.1);
    }
}

#[test]
fn values_of_options_of_one_letter_are_taken_and_refused_as_by_stock() {
    assert_alike(&[
        "commit --timestamp=@0 -bNAME tree",
        "commit --timestamp=@0 -b=NAME tree",
        "commit --timestamp=@0 --branch=name1 tree",
        "commit --timestamp=@0 --branch name2 tree",
        "commit --timestamp=@0 -b name3 tree",
        "commit --timestamp=@0 --branchNAME tree",
        "commit --timestamp=@0 -branch=NAME tree",
        "commit --timestamp=@0 -b name4 -sSUBJECT tree",
        "commit --timestamp=@0 -b name4 -s=SUBJECT tree",
        "commit --timestamp=@0 -b name4 -s SUBJECT tree",
        "commit --timestamp=@0 -b name4 --subject=SUBJECT tree",
        "commit --timestamp=@0 -b name5 -s -x tree",
        "commit --timestamp=@0 -b name5 -s -- tree",
        "commit --timestamp=@0 -b name5 -m \"\" -- tree",
        "commit --timestamp=@0 -b name6 -m=foo tree",
        "commit --timestamp=@0 tree -b",
        "commit --timestamp=@0 -b \"\" tree",
        "commit --timestamp=@0 -b -v tree",
        "commit --timestamp=@0 tree -s text -b name7",
        "-b commit --timestamp=@0 name8 tree",
    ]);
}

#[test]
fn clusters_of_letters_are_taken_and_refused_as_by_stock() {
    assert_alike(&[
        "commit --timestamp=@0 -vb name tree",
        "commit --timestamp=@0 -bv name tree",
        "commit --timestamp=@0 -bvv name2 tree",
        "-vb commit --timestamp=@0 name3 tree",
        "commit --timestamp=@0 -bs name tree subject",
        "commit --timestamp=@0 -bFm name tree",
        "commit --timestamp=@0 -vbs",
        "commit --timestamp=@0 -bX name tree",
        "commit --timestamp=@0 -b- name tree",
        "commit --timestamp=@0 -bh name tree",
        "commit --timestamp=@0 -b? name tree",
        "commit -h-",
        "commit -é tree",
        "ls -RCX name",
        "ls -RCXZ name",
        "ls -RR name",
        "checkout -UC name out1",
        "checkout -UCQ name out2",
        "checkout -vCU name out3",
        "checkout -U=yes name out4",
        "fsck -qa",
        "fsck -aq=",
        "refs -Av",
        "summary -uv",
    ]);
}
