//! `repair`: what is missing or damaged comes back from repositories that have it.

use crate::programs::{OSTLER, ostler};
use crate::prune::files;
use ostler_testkit::command::{attempt, command, describe, run};
use ostler_testkit::damage::{delete, flip, truncate};
use ostler_testkit::faulty_server::FaultyServer;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Kind, changing_calls, run_with_fault};
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A repository `repo` with two commits on `main`, and a copy `backup` of it.
struct Scene {
    directory: TempDir,
    repo: StockRepo,
}

fn scene(mode: &str) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let repo = StockRepo::init(&directory.path().join("repo"), mode);
    for version in ["one", "two"] {
        let path = directory.path().join(version);
        Tree::at(&path)
            .file("file", format!("content of {version}"), 0o644)
            .file("same/file", "the same in both", 0o644)
            .file(
                &format!("{version}/below/file"),
                format!("below {version}"),
                0o644,
            )
            .symlink("link", "file");
        repo.commit_with("main", &path, &["--add-detached-metadata-string=k=v"]);
    }
    // Histories end where a parent is missing, which is no damage: what is to come back has a ref.
    repo.run(&["refs", "--create=old", "main^"]);
    let scene = Scene { directory, repo };
    scene.copy("repo", "backup");
    scene
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn copy(&self, from: &str, to: &str) {
        let _printed = run(command("cp").arg("-a").arg(self.path(from)).arg(self.path(to)));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut repair = ostler(self.directory.path());
        repair.args(["--repo=repo", "repair"]).args(arguments);
        repair
    }

    #[track_caller]
    fn repaired(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    fn attempted(&self, arguments: &[&str]) -> Output {
        attempt(&mut self.command(arguments))
    }

    fn objects(&self, repo: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let objects = self.path(repo).join("objects");
        let all = files(&objects).into_iter();
        all.map(|path| {
            let full = objects.join(&path);
            let bytes = fs::read(&full).unwrap_or_else(|_| {
                let target = fs::read_link(&full).unwrap();
                target.into_os_string().into_encoded_bytes()
            });
            (path, bytes)
        })
        .collect()
    }

    /// Returns the object of `file` in the newest commit of an archive.
    fn content_of_file(&self) -> PathBuf {
        let listed = self.repo.run(&["ls", "-C", "main", "/file"]);
        let content = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
        let (first, rest) = content.split_at(2);
        self.repo.path().join(format!("objects/{first}/{rest}.filez"))
    }

    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(self.objects("repo"), self.objects("backup"));
        self.repo.fsck();
        let marks = fs::read_dir(self.path("repo/state")).unwrap().count();
        assert_eq!(marks, 0);
    }
}

/// What is done to the file of an object.
type Harm = fn(&Path);

#[test]
fn every_kind_of_damage_to_every_object_is_repaired() {
    let harms: [(&str, Harm); 3] = [("delete", delete), ("truncate", truncate), ("flip", flip)];
    for mode in ["archive", "bare-user"] {
        let scene = scene(mode);
        // Damaged sources are passed over.
        scene.copy("backup", "rotten");
        let rotten = scene.path("rotten/objects");
        for path in files(&rotten) {
            if !rotten.join(&path).is_symlink() {
                truncate(&rotten.join(path));
            }
        }
        let all = scene.objects("repo");
        for (path, _) in &all {
            let kind = path.extension().unwrap().to_str().unwrap();
            let full = scene.path("repo/objects").join(path);
            for (name, harm) in harms {
                // Detached metadata has no checksum: nobody can tell that it is damaged, or should be there.
                if kind == "commitmeta" || (full.is_symlink() && name != "delete") {
                    continue;
                }
                harm(&full);
                let said = scene.repaired(&["--from=rotten", "--from=backup"]);
                assert!(
                    said.contains("1 repaired, 0 lost"),
                    "{mode} {name} {kind}: {said}"
                );
                assert!(
                    said.contains(&format!(".{}", kind.trim_end_matches('z'))),
                    "{said}"
                );
            }
        }
        scene.is_whole();
    }
}

#[test]
fn all_that_is_missing_comes_back_with_the_refs_commit() {
    let scene = scene("archive");
    for entry in fs::read_dir(scene.path("repo/objects")).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let tip = scene.repo.rev_parse("main");
    let said = scene.repaired(&["--from=backup", "--json"]);
    let record: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(record["lost"].as_array().unwrap().len(), 0);
    scene.repo.run(&["ls", "-R", "main"]);
    scene.repo.run(&["show", "--print-detached-metadata-key=k", &tip]);
    // Its history ends where it is not there, as ever.
    scene.repo.fsck();
}

#[test]
fn marks_of_a_check_go_when_the_commit_is_whole_again() {
    let scene = scene("archive");
    let lost = scene
        .objects("repo")
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|kind| kind == "filez"));
    let lost: Vec<PathBuf> = lost.map(|(path, _)| path).collect();
    for path in &lost {
        delete(&scene.path("repo/objects").join(path));
    }
    let _said = scene.repo.fail(&["fsck", "-a"]);
    assert_eq!(fs::read_dir(scene.path("repo/state")).unwrap().count(), 2);

    let before = files(scene.repo.path());
    let said = scene.repaired(&["--from=backup", "--dry-run"]);
    assert!(
        said.contains("Would repair") && said.contains("would be whole again"),
        "{said}"
    );
    assert_eq!(files(scene.repo.path()), before);

    let said = scene.repaired(&["--from=backup"]);
    assert_eq!(said.matches("is whole again").count(), 2, "{said}");
    scene.is_whole();
    assert!(scene.repaired(&["--from=backup"]).contains("0 repaired, 0 lost"));
}

#[test]
fn what_no_source_has_is_named_with_what_needs_it_and_comes_back_later() {
    let scene = scene("archive");
    let listed = scene.repo.run(&["ls", "-C", "main", "/file"]);
    let content = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
    let (first, rest) = content.split_at(2);
    let path = format!("objects/{first}/{rest}.filez");
    delete(&scene.repo.path().join(&path));
    scene.copy("repo", "same");
    let ended = scene.attempted(&["--from=same"]);
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(!ended.status.success());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("one object is still damaged"));
    let tip = scene.repo.rev_parse("main");
    assert!(
        said.contains(&format!("Lost {content}.file (missing), needed by main")),
        "{said}"
    );
    assert!(said.contains(&format!("in commit {tip}")), "{said}");
    let mark = scene.path("repo/state").join(format!("{tip}.commitpartial"));
    assert!(mark.exists());

    scene.repaired(&["--from=backup"]);
    scene.is_whole();
}

#[test]
fn a_commit_with_a_tree_that_cannot_be_read_is_marked_for_what_is_missing_beside_it() {
    let scene = scene("archive");
    let objects: Vec<PathBuf> = [("/same", 'd', "dirtree"), ("/two/below/file", '-', "filez")]
        .iter()
        .map(|(path, kind, suffix)| {
            let options: &[&str] = if *kind == 'd' { &["-d"] } else { &[] };
            let listed = scene
                .repo
                .run(&[&["ls", "-C"], options, &["main", path]].concat());
            let checksum = listed.split_whitespace().find(|word| word.len() == 64);
            let (first, rest) = checksum.unwrap().split_at(2);
            scene
                .path("repo/objects")
                .join(format!("{first}/{rest}.{suffix}"))
        })
        .collect();
    fs::write(&objects[0], "no tree").unwrap();
    delete(&objects[1]);
    scene.copy("repo", "same");
    let ended = scene.attempted(&["--from=same"]);
    assert!(!ended.status.success());
    let tip = scene.repo.rev_parse("main");
    let mark = scene.path("repo/state").join(format!("{tip}.commitpartial"));
    assert!(mark.exists(), "{}", String::from_utf8_lossy(&ended.stdout));

    scene.repaired(&["--from=backup"]);
    scene.is_whole();
}

#[test]
fn what_is_missing_on_purpose_stays_so() {
    let scene = scene("archive");
    let child = StockRepo::init(&scene.path("part"), "archive");
    child.run(&[
        "pull-local",
        "--commit-metadata-only",
        scene.repo.path().to_str().unwrap(),
        "main",
    ]);
    let before = files(child.path());
    let mut repair = ostler(scene.directory.path());
    let said = run(repair.args(["--repo=part", "repair", "--from=backup"]));
    assert!(
        said.contains("1 commit not whole on purpose, and stays so"),
        "{said}"
    );
    assert_eq!(files(child.path()), before);
    // Somebody brought the rest: only the mark is left of it.
    child.run(&["pull-local", scene.repo.path().to_str().unwrap(), "main"]);
    let tip = scene.repo.rev_parse("main");
    fs::write(scene.path("part/state").join(format!("{tip}.commitpartial")), "").unwrap();
    let mut repair = ostler(scene.directory.path());
    let said = run(repair.args(["--repo=part", "repair", "--from=backup"]));
    assert!(said.contains("is whole again"), "{said}");
}

fn commit_file(repo: &Path, commit: &str) -> PathBuf {
    let (directory, rest) = commit.split_at(2);
    repo.join(format!("objects/{directory}/{rest}.commit"))
}

#[test]
fn a_damaged_ref_comes_back_with_all_that_its_commit_needs() {
    for remains in [&b""[..], b"abc\n", &[0; 65]] {
        let scene = scene("archive");
        let tip = scene.repo.rev_parse("main");
        let file = scene.path("repo/refs/heads/main");
        fs::write(&file, remains).unwrap();
        delete(&commit_file(&scene.path("repo"), &tip));
        let said = scene.repaired(&["--from=backup", "--dry-run"]);
        assert!(said.contains("Would set ref 'main'"), "{said}");
        assert_eq!(fs::read(&file).unwrap(), remains);
        let said = scene.repaired(&["--from=backup"]);
        assert!(
            said.contains("Set ref 'main'") && said.contains(&format!("to {tip}, as in backup")),
            "{said}"
        );
        scene.is_whole();
    }
}

#[test]
fn a_damaged_ref_that_no_source_has_whole_stays_and_is_told() {
    let scene = scene("archive");
    let tip = scene.repo.rev_parse("main");
    fs::write(scene.path("repo/refs/heads/main"), "").unwrap();
    fs::write(scene.path("repo/refs/heads/other"), "").unwrap();
    for repo in ["repo", "backup"] {
        delete(&commit_file(&scene.path(repo), &tip));
    }
    let output = scene.attempted(&["--from=backup"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    for name in ["main", "other"] {
        assert!(said.contains(&format!("Lost ref '{name}'")), "{said}");
        let left = fs::read(scene.path("repo/refs/heads").join(name)).unwrap();
        assert_eq!(left, b"", "{name}");
    }
    fs::remove_file(scene.path("repo/refs/heads/main")).unwrap();
    let output = scene.attempted(&["--from=backup"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ref 'other' is still damaged"), "{said}");
}

#[test]
fn a_damaged_ref_is_not_set_to_a_commit_of_which_a_part_is_missing_on_purpose() {
    let scene = scene("archive");
    let child = StockRepo::init(&scene.path("part"), "archive");
    let source = scene.repo.path().to_str().unwrap();
    child.run(&["pull-local", "--commit-metadata-only", source, "main"]);
    let file = scene.path("part/refs/heads/main");
    fs::write(&file, "").unwrap();
    let mut repair = ostler(scene.directory.path());

    let output = attempt(repair.args(["--repo=part", "repair", "--from=backup"]));

    let said = describe(&repair, &output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Lost ref 'main'"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn sources_that_cannot_be_used_are_refused_and_the_dead_are_cleaned_up_after() {
    let scene = scene("archive");
    for (source, reason) in [
        (
            "ftp://example.org/repo",
            "Invalid URI scheme in ftp://example.org/repo",
        ),
        ("repo", "it is the repository that is to be repaired"),
        ("nowhere", "not found"),
    ] {
        let ended = scene.attempted(&[&format!("--from={source}")]);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains(reason), "{said}");
    }
    let stray = scene.path("repo/tmp/staging-another-boot-abcdef");
    fs::create_dir(&stray).unwrap();
    let said = scene.repaired(&["--from=backup"]);
    assert!(said.contains("Removed tmp/staging-another-boot-abcdef"), "{said}");
    assert!(!stray.exists());
}

#[test]
fn where_there_is_no_repository_nothing_is_called_lost() {
    let scene = scene("archive");
    let content = scene.content_of_file();
    delete(&content);
    let server = FaultyServer::serve(scene.directory.path());
    let nowhere = format!("{}/nowhere", server.url());

    let ended = scene.attempted(&[&format!("--from={nowhere}")]);

    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(
        said.contains(&format!("there is no repository at {nowhere}")),
        "{said}"
    );
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "");
    scene.repaired(&[&format!("--from={}/backup", server.url())]);
    scene.is_whole();
}

#[test]
fn a_source_that_has_it_damaged_is_told_from_one_that_lacks_it() {
    let scene = scene("archive");
    let content = scene.content_of_file();
    let place = content.strip_prefix(scene.path("repo")).unwrap().to_owned();
    for copy in ["damaged", "served"] {
        scene.copy("repo", copy);
        flip(&scene.path(copy).join(&place));
    }
    delete(&content);
    scene.copy("repo", "without");
    let server = FaultyServer::serve(&scene.path("served"));
    let url = server.url();

    let sources = ["--from=damaged", &format!("--from={url}"), "--from=without"];
    let ended = scene.attempted(&sources);

    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(!ended.status.success(), "{said}");
    assert!(said.contains("  damaged in damaged as well\n"), "{said}");
    assert!(said.contains(&format!("  damaged in {url} as well\n")), "{said}");
    assert!(!said.contains("damaged in without"), "{said}");
}

#[test]
fn nothing_need_be_writable_to_tell_what_would_be_repaired() {
    let scene = scene("archive");
    let (path, _) = scene.objects("repo").swap_remove(0);
    delete(&scene.path("repo/objects").join(path));
    let repair = |option: &[&str]| {
        let mut repair = command("strace");
        let refused = "inject=access,faccessat,faccessat2:error=EROFS";
        repair.args(["-f", "-qq", "-o", "/dev/null", "-e", refused, OSTLER]);
        repair.args(["--repo=repo", "repair", "--from=backup"]);
        attempt(repair.args(option).current_dir(scene.directory.path()))
    };
    let said = String::from_utf8(repair(&["--dry-run"]).stdout).unwrap();
    assert!(said.contains("1 to be repaired"), "{said}");
    assert!(!repair(&[]).status.success());
}

#[test]
fn a_quick_repair_and_a_quick_check_find_what_shows_without_reading() {
    let scene = scene("archive");
    let content: Vec<PathBuf> = scene
        .objects("repo")
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.extension().is_some_and(|kind| kind == "filez"))
        .collect();
    let check = |options: &[&str]| {
        let mut check = ostler(scene.directory.path());
        attempt(check.args(["--repo=repo", "fsck"]).args(options))
    };
    assert!(check(&["--quick"]).status.success());
    flip(&scene.path("repo/objects").join(&content[0]));
    assert!(check(&["--quick"]).status.success());
    assert!(!check(&[]).status.success());
    delete(&scene.path("repo/objects").join(&content[1]));
    let ended = check(&["--quick", "--all"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success());
    assert!(
        said.contains("is needed by main") && said.contains(" at /") && said.contains("repair --from=REPO"),
        "{said}"
    );
    assert!(
        scene
            .repaired(&["--quick", "--from=backup"])
            .contains("1 repaired")
    );
    assert!(scene.repaired(&["--from=backup"]).contains("1 repaired"));
    scene.is_whole();
}

#[test]
fn killed_at_any_call_it_leaves_nothing_worse_and_is_finished_by_running_again() {
    let scene = scene("archive");
    scene.repo.run(&["config", "set", "core.fsync", "false"]);
    let objects = scene.objects("repo");
    let kinds = ["commit", "dirtree", "dirmeta", "filez"];
    for kind in kinds {
        let of_kind = objects
            .iter()
            .filter(|(path, _)| path.extension().is_some_and(|found| found == kind));
        for (number, (path, _)) in of_kind.enumerate() {
            let path = scene.path("repo/objects").join(path);
            if number % 2 == 0 {
                delete(&path);
            } else {
                truncate(&path);
            }
        }
    }
    let _said = scene.repo.attempt(&["fsck", "-a"]);
    scene.copy("repo", "damaged");
    let reset = || {
        fs::remove_dir_all(scene.path("repo")).unwrap();
        scene.copy("damaged", "repo");
    };
    let repair = || {
        let mut repair = command("taskset");
        repair
            .args(["-c", "0", OSTLER, "--repo=repo", "repair", "--from=backup"])
            .current_dir(scene.directory.path());
        repair
    };
    let calls = changing_calls(&repair());
    reset();
    assert!(calls.len() > 10, "{calls:?}");
    let sound = scene.objects("backup");
    for call in calls {
        if call.syscall.contains("sync") {
            continue;
        }
        reset();
        let before = scene.objects("repo");
        let ended = run_with_fault(&repair(), &call.fault(Kind::Kill));
        assert!(ended.injected, "{call:?}");
        // Each object is as it was, or sound.
        let after = scene.objects("repo");
        for object in &after {
            assert!(
                before.contains(object) || sound.contains(object),
                "{}: {:?}",
                call.text,
                object.0
            );
        }
        for (path, _) in &before {
            assert!(
                after.iter().any(|(found, _)| found == path),
                "{}: {path:?}",
                call.text
            );
        }
        let mut again = repair();
        let output = attempt(&mut again);
        assert!(
            output.status.success(),
            "{}: {}",
            call.text,
            describe(&again, &output)
        );
        // What a dead one left goes with the next.
        let _printed = run(&mut repair());
        assert_eq!(scene.objects("repo"), sound, "{}", call.text);
        let strays = ostler_testkit::oracle::strays(scene.repo.path());
        assert!(strays.is_empty(), "{}: {strays:?}", call.text);
        assert_eq!(
            fs::read_dir(scene.path("repo/state")).unwrap().count(),
            0,
            "{}",
            call.text
        );
    }
}

#[test]
fn a_publish_that_drops_what_is_broken_is_not_stopped_by_it() {
    for suffix in ["commit", "dirtree"] {
        let scene = scene("archive");
        let target = StockRepo::init(&scene.path("public"), "archive");
        let publish = |options: &[&str]| {
            let mut publish = ostler(scene.directory.path());
            publish.args(["--repo=repo", "publish"]).args(options);
            run(publish.args(["public", "main"]))
        };
        publish(&[]);
        let old = target.rev_parse("main^");
        let listed = match suffix {
            "commit" => old.clone(),
            _ => target.run(&["ls", "-d", "-C", &old]),
        };
        let broken = listed.split_whitespace().find(|word| word.len() == 64);
        let (first, rest) = broken.unwrap().split_at(2);
        delete(&target.path().join(format!("objects/{first}/{rest}.{suffix}")));
        let tree = scene.path("three");
        Tree::at(&tree).file("file", "content of three", 0o644);
        scene.repo.commit("main", &tree);
        publish(&["--depth=0", "--grace=0"]);
        target.fsck();
        target.run(&["ls", "-R", "main"]);
        assert!(!target.attempt(&["ls", "-R", &old]).status.success());
    }
}
