//! Damage: of the source, which is never published, and of the target, which a publish heals.

use crate::programs::ostler;
use crate::publish_scene::{Scene, State, copy_tree};
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::oracle::{assert_sound, objects_of, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// The lowest bit of a byte is another.
    Flipped(usize),
    Short,
    Empty,
    Gone,
}

impl Harm {
    /// Does it to a file of our own; other names of the file keep the old bytes.
    fn to(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        match self {
            Self::Gone => return,
            Self::Flipped(index) => bytes[index] ^= 1,
            Self::Short => bytes.truncate(bytes.len() - 1),
            Self::Empty => bytes.clear(),
        }
        fs::write(path, bytes).unwrap();
    }

    /// Every harm to a file of this length; bits are flipped in every byte of a short file, in some of a long one.
    fn all(length: usize) -> Vec<Self> {
        let step = (length / 16).max(1);
        let flips = (0..length).step_by(step).chain([length - 1]).map(Self::Flipped);
        flips.chain([Self::Short, Self::Empty, Self::Gone]).collect()
    }
}

/// Returns the path of the first object with a suffix that a ref of the source needs, below `objects/`.
fn object(scene: &Scene, revision: &str, suffix: &str) -> String {
    let commit = StockRepo::open(&scene.source()).rev_parse(revision);
    let mut objects = objects_of(&scene.source(), &commit).into_iter();
    objects.find(|path| path.ends_with(suffix)).unwrap()
}

/// Runs a publish that must fail by itself with status 1, and returns what it says.
#[track_caller]
fn refused(command: &mut Command, context: &str) -> String {
    let output = attempt(command);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{context}: {}",
        describe(command, &output)
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Harms one object of every kind in every way.
fn no_damage_is_published(scene: &Scene) {
    let whole = scene.path().join("whole");
    copy_tree(&scene.source(), &whole);
    for suffix in ["filez", "dirtree", "dirmeta", "commit"] {
        let path = object(scene, "os/a", suffix);
        let length = fs::metadata(scene.source().join("objects").join(&path))
            .unwrap()
            .len();
        for harm in Harm::all(usize::try_from(length).unwrap()) {
            let context = format!("{harm:?} {path}");
            scene.reset();
            harm.to(&scene.source().join("objects").join(&path));
            let said = refused(&mut scene.publish(), &context);
            let checksum: String = path.split('.').next().unwrap().replace('/', "");
            assert!(said.contains(&checksum), "{context}: {said}");
            assert_eq!(State::of(&scene.target()), scene.before, "{context}");
            assert_eq!(
                strays(&scene.source())
                    .iter()
                    .find(|name| name.starts_with("tmp")),
                None,
                "{context}"
            );
            fs::remove_dir_all(scene.source()).unwrap();
            copy_tree(&whole, &scene.source());
            if harm == Harm::Short {
                scene.assert_next_publish_converges(&context);
            }
        }
    }
}

#[test]
fn damage_of_the_source_is_not_published_by_links() {
    let directory = tempfile::tempdir().unwrap();
    no_damage_is_published(&Scene::first(directory.path(), &[]));
}

#[test]
fn damage_of_the_source_is_not_published_by_copies() {
    let directory = tempfile::tempdir().unwrap();
    no_damage_is_published(&Scene::first(directory.path(), &["--copy"]));
}

#[test]
fn damage_of_a_source_that_is_not_an_archive_is_not_published() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    let bare = StockRepo::init(&directory.path().join("bare"), "bare-user");
    bare.run(&["pull-local", "--disable-fsync", "source"].map(|word| {
        match word {
            "source" => directory
                .path()
                .join("source")
                .into_os_string()
                .into_string()
                .unwrap()
                .leak(),
            word => word,
        }
    }));
    let whole = directory.path().join("whole");
    copy_with_attributes(bare.path(), &whole);
    let publish = || {
        let mut command = ostler(directory.path());
        command.args(["--repo=bare", "publish", "target", "--jobs=1"]);
        command
    };
    for suffix in ["filez", "dirtree", "dirmeta", "commit"] {
        let path = object(&scene, "os/a", suffix).replace("filez", "file");
        for harm in [Harm::Flipped(1), Harm::Short, Harm::Empty, Harm::Gone] {
            let context = format!("{harm:?} {path}");
            scene.reset();
            harm_in_place(harm, &bare.path().join("objects").join(&path));
            let said = refused(&mut publish(), &context);
            let checksum: String = path.split('.').next().unwrap().replace('/', "");
            assert!(said.contains(&checksum), "{context}: {said}");
            assert_eq!(State::of(&scene.target()), scene.before, "{context}");
            fs::remove_dir_all(bare.path()).unwrap();
            copy_with_attributes(&whole, bare.path());
        }
    }
    let _printed = run(&mut publish());
    assert_sound(&scene.target());
    assert_eq!(State::of(&scene.target()).refs, scene.after.refs);
}

/// Harms a file that has extended attributes, which stay.
fn harm_in_place(harm: Harm, path: &Path) {
    let bytes = fs::read(path).unwrap();
    match harm {
        Harm::Gone => fs::remove_file(path).unwrap(),
        Harm::Flipped(index) => {
            let mut bytes = bytes;
            bytes[index] ^= 1;
            fs::write(path, bytes).unwrap();
        }
        Harm::Short => fs::write(path, &bytes[..bytes.len() - 1]).unwrap(),
        Harm::Empty => fs::write(path, "").unwrap(),
    }
}

fn copy_with_attributes(from: &Path, to: &Path) {
    let _printed = run(ostler_testkit::command::command("cp").arg("-a").arg(from).arg(to));
}

/// Harms what the target has and a publish does not send.
fn kept_object(scene: &Scene, suffix: &str) -> PathBuf {
    let commit = StockRepo::open(&scene.source()).rev_parse("os/a");
    let mut kept = objects_of(&scene.source(), &commit).into_iter();
    let path = kept.find(|path| path.ends_with(suffix) && scene.before.objects.contains_key(path));
    scene.target().join("objects").join(path.unwrap())
}

#[test]
fn what_the_target_lost_is_sent_again_when_a_ref_moves() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    for suffix in ["filez", "dirtree", "dirmeta"] {
        for harm in [Harm::Short, Harm::Empty, Harm::Gone] {
            scene.reset();
            harm.to(&kept_object(&scene, suffix));
            scene.assert_next_publish_converges(&format!("{harm:?} {suffix}"));
        }
    }
}

#[test]
fn content_that_was_compressed_on_the_way_and_cut_short_is_sent_again() {
    for mode in ["bare", "bare-user", "archive"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = StockRepo::init(&path.join("source"), mode);
        let tree = path.join("tree");
        Tree::at(&tree)
            .file("stays", "words ".repeat(100), 0o644)
            .file("moves", "1", 0o644);
        source.commit("os", &tree);
        let publish = || run(ostler(path).args(["--repo=source", "publish", "target"]));
        publish();
        let target = path.join("target");
        for file in objects_of(&target, &source.rev_parse("os")) {
            if Path::new(&file).extension() == Some("filez".as_ref()) {
                Harm::Short.to(&target.join("objects").join(file));
            }
        }
        Tree::at(&tree).file("moves", "2", 0o644);
        source.commit("os", &tree);

        publish();

        let target = StockRepo::open(&target);
        assert_eq!(target.rev_parse("os"), source.rev_parse("os"), "{mode}");
        // What only the old commit needs nobody looks at; stock gives up there as well.
        let new = path.join("new");
        target.run(&["checkout", "-U", "os", new.to_str().unwrap()]);
        assert_eq!(
            fs::read(new.join("stays")).unwrap(),
            "words ".repeat(100).as_bytes()
        );
    }
}

#[test]
fn marks_that_a_check_left_on_damaged_commits_go_when_they_are_healed() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    scene.reset();
    let target = StockRepo::open(&scene.target());
    Harm::Gone.to(&kept_object(&scene, "filez"));
    let _said = target.fail(&["fsck"]);
    assert!(
        fs::read_dir(scene.target().join("state"))
            .unwrap()
            .next()
            .is_some()
    );
    scene.assert_next_publish_converges("marked");
    target.fsck();
}

#[test]
fn flipped_bits_of_the_target_are_found_by_verify() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    scene.reset();
    let _printed = run(&mut scene.publish());
    for suffix in ["filez", "dirtree", "dirmeta", "commit"] {
        let commit = StockRepo::open(&scene.source()).rev_parse("os/a");
        let mut objects = objects_of(&scene.source(), &commit).into_iter();
        let path = objects.find(|path| path.ends_with(suffix)).unwrap();
        for harm in [Harm::Flipped(2), Harm::Short, Harm::Empty, Harm::Gone] {
            harm.to(&scene.target().join("objects").join(&path));
            let printed = run(scene.publish().arg("--verify"));
            assert!(printed.contains("1 object added"), "{harm:?} {path}: {printed}");
            scene.assert_converged(&format!("{harm:?} {path}"));
        }
    }
}

#[test]
fn damage_of_the_source_does_not_matter_where_the_target_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    let kept = kept_object(&scene, "filez");
    let path = scene
        .source()
        .join("objects")
        .join(kept.strip_prefix(scene.target().join("objects")).unwrap());
    for harm in [Harm::Flipped(9), Harm::Short, Harm::Empty] {
        let whole = fs::read(&path).unwrap();
        scene.reset();
        harm.to(&path);
        let _printed = run(&mut scene.publish());
        assert_eq!(State::of(&scene.target()), scene.after, "{harm:?}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn partial_commit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    let commit = StockRepo::open(&scene.source()).rev_parse("os/a");
    for mark in ["", "f"] {
        let path = scene.source().join(format!("state/{commit}.commitpartial"));
        fs::write(&path, mark).unwrap();
        scene.reset();
        let said = refused(&mut scene.publish(), "partial");
        assert!(said.contains(&commit) && said.contains("os/a"), "{said}");
        assert_eq!(State::of(&scene.target()), scene.before);
        fs::remove_file(&path).unwrap();
    }
    scene.assert_next_publish_converges("whole again");
}
