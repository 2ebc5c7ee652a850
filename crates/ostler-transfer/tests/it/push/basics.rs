//! What becomes of refs: what is pushed arrives, and what may not be is refused and told.

use super::scene::{Scene, Updates, everything, opened};
use ostler_format::RefName;
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use ostler_transfer::push::{Fate, Pushed};
use ostler_transfer::receive::ReceiveRules;
use ostler_transfer::{DirStore, Generation, TransferError};
use std::fs;
use std::path::Path;

fn named(name: &str) -> RefName {
    name.parse().unwrap()
}

fn fate<'a>(pushed: &'a Pushed, name: &str) -> &'a Fate {
    let found = pushed.refs.iter().find(|pushed| pushed.name.as_str() == name);
    &found.expect("a ref that was pushed").fate
}

#[test]
fn refs_arrive_with_all_that_they_lead_to_and_a_second_push_sends_nothing() {
    let scene = Scene::new();
    let pushed = scene.push_all();
    assert_eq!(pushed.generation, Some(1));
    assert_eq!(fate(&pushed, "os/a"), &Fate::Accepted);
    scene.assert_has(&scene.all());
    assert_eq!(scene.quarantined(), Vec::<String>::new());
    let summary = scene.target.run(&["summary", "-v"]);
    assert!(summary.contains("os/a"), "{summary}");

    let again = scene.push_all();
    assert_eq!((again.objects, again.generation), (0, None));
    assert_eq!(fate(&again, "os/a"), &Fate::UpToDate);
}

#[test]
fn a_push_with_nothing_to_do_takes_two_round_trips() {
    let scene = Scene::new();
    scene.push_all();
    assert_eq!(scene.turns(&scene.all()), "><><");
}

#[test]
fn no_more_history_is_offered_than_is_asked_for_but_what_a_fast_forward_needs() {
    let scene = Scene::new();
    for subject in ["second", "third"] {
        scene.source.advance(subject);
    }
    let push = || {
        let updates = Updates::from([(named("os/a"), scene.all()[&named("os/a")])]);
        let ended = scene.push_by(&everything(), "tester", &updates, |mut options| {
            options.wanted.depth = Some(1);
            options
        });
        ended.pushed.unwrap();
        scene.assert_has(&updates);
        scene.target.fsck();
        commits(scene.target.path())
    };
    assert_eq!(push(), 2);
    for subject in ["fourth", "fifth", "sixth"] {
        scene.source.advance(subject);
    }
    assert_eq!(push(), 5);
}

/// Counts the commits of a repository.
fn commits(path: &Path) -> usize {
    let directories = fs::read_dir(path.join("objects")).unwrap();
    let files = directories.flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap());
    let paths = files.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "commit"))
        .count()
}

#[test]
fn what_changed_is_sent_and_nothing_else() {
    let scene = Scene::new();
    let first = scene.push_all();
    scene.source.advance("new");
    let second = scene.push_all();
    // A file, a tree and a commit with what is detached from it, twice over; the tree is the same.
    assert!(
        second.objects <= 8 && first.objects > 8,
        "{} objects",
        second.objects
    );
    scene.assert_has(&scene.all());
    let store = DirStore::new(opened(&scene.target()));
    let record = Generation::latest(&store).unwrap().unwrap();
    assert_eq!((record.number, record.who.as_str()), (2, "tester"));
}

#[test]
fn commits_arrive_from_any_mode_and_with_their_signatures() {
    for mode in ["bare-user", "archive"] {
        let scene = Scene::new();
        let dir = tempfile::tempdir().unwrap();
        let repo = StockRepo::init(&dir.path().join("other"), mode);
        let tree = Tree::at(&dir.path().join("tree"));
        tree.file("large", vec![b'x'; 3 << 20], 0o644)
            .file("random", Random::new(7).bytes(600_000), 0o644)
            .symlink("link", "large");
        let note = "--add-detached-metadata-string=note=seen";
        let commit = repo.commit_with("x", tree.path(), &["--owner-uid=0", "--owner-gid=0", note]);
        let updates = Updates::from([(named("x"), Some(commit.parse().unwrap()))]);
        let source = opened(&dir.path().join("other"));
        let ended = scene.push_from(&source, &updates);
        ended.received.unwrap();
        ended.pushed.unwrap();
        scene.assert_has(&updates);
        let shown = scene
            .target
            .run(&["show", "--print-detached-metadata-key=note", "x"]);
        assert!(shown.contains("seen"), "{mode}: {shown}");
    }
}

#[test]
fn refs_may_have_other_names_at_the_far_end_and_are_deleted_on_demand() {
    let scene = Scene::new();
    let commit = scene.source.stock.rev_parse("os/a").parse().unwrap();
    let both = Updates::from([(named("x/y"), Some(commit)), (named("z"), Some(commit))]);
    scene.push(&both).pushed.unwrap();
    scene.assert_has(&both);
    let pushed = scene.push(&Updates::from([(named("z"), None)])).pushed.unwrap();
    assert_eq!(fate(&pushed, "z"), &Fate::Accepted);
    scene.assert_has(&Updates::from([(named("x/y"), Some(commit))]));
    // Gone is gone, and the last one may go as well.
    let last = Updates::from([(named("z"), None), (named("x/y"), None)]);
    let pushed = scene.push(&last).pushed.unwrap();
    assert_eq!(fate(&pushed, "z"), &Fate::UpToDate);
    scene.assert_has(&Updates::new());
}

#[test]
fn update_that_goes_back_needs_force_at_both_ends() {
    let scene = Scene::new();
    scene.source.advance("one");
    scene.push_all();
    let new = scene.all();
    let old = scene.source.stock.rev_parse("os/a^").parse().unwrap();
    let back = Updates::from([(named("os/a"), Some(old))]);
    let pushed = scene.push(&back).pushed.unwrap();
    assert!(matches!(fate(&pushed, "os/a"), Fate::Refused(why) if why.contains("fast-forward")));
    scene.assert_has(&new);

    let rules = "[[allow]]\nrefs = '**'\nmay = ['create', 'fast-forward']\n";
    let rules = ReceiveRules::parse(rules.as_bytes(), "rules").unwrap();
    let forced = |rules: &ReceiveRules| {
        let ended = scene.push_by(rules, "tester", &back, |mut options| {
            options.wanted.force = true;
            options
        });
        ended.pushed.unwrap()
    };
    let pushed = forced(&rules);
    assert!(matches!(fate(&pushed, "os/a"), Fate::Refused(why) if why.contains("fast-forward")));
    scene.assert_has(&new);
    assert_eq!(scene.quarantined(), Vec::<String>::new());

    assert_eq!(fate(&forced(&everything()), "os/a"), &Fate::Accepted);
    assert_eq!(scene.target.rev_parse("os/a"), old.to_string());
}

#[test]
fn nothing_moves_when_one_ref_may_not() {
    let scene = Scene::new();
    let rules = "[[allow]]\nwho = 'ci'\nrefs = 'os/a'\nmay = 'create'\n";
    let rules = ReceiveRules::parse(rules.as_bytes(), "rules").unwrap();
    let ended = scene.push_by(&rules, "ci", &scene.all(), |options| options);
    let pushed = ended.pushed.unwrap();
    assert_eq!(pushed.objects, 0, "nothing is sent in vain");
    assert_eq!(fate(&pushed, "os/a"), &Fate::NotTried);
    assert_eq!(
        fate(&pushed, "os/b"),
        &Fate::Refused("may not be created by 'ci'".into())
    );
    scene.assert_has(&Updates::new());

    let other = scene.push_by(&rules, "other", &scene.all(), |options| options);
    assert!(other.pushed.unwrap().is_refused());
    let mut one = scene.all();
    one.remove(&named("os/b"));
    let ended = scene.push_by(&rules, "ci", &one, |options| options);
    assert!(!ended.pushed.unwrap().is_refused());
    scene.assert_has(&one);
}

#[test]
fn dry_run_says_what_would_be_and_changes_nothing() {
    let scene = Scene::new();
    let ended = scene.push_by(&everything(), "tester", &scene.all(), |mut options| {
        options.dry_run = true;
        options
    });
    let pushed = ended.pushed.unwrap();
    assert_eq!((fate(&pushed, "os/a"), pushed.objects), (&Fate::Accepted, 0));
    scene.assert_has(&Updates::new());
}

#[test]
fn hole_in_a_commit_that_is_there_is_found_and_filled() {
    let scene = Scene::new();
    scene.push_all();
    let objects = ostler_testkit::oracle::objects_of(&scene.target(), &scene.target.rev_parse("os/a"));
    for suffix in [".filez", ".dirtree"] {
        let path = objects.iter().find(|path| path.ends_with(suffix)).unwrap();
        fs::remove_file(scene.target().join("objects").join(path)).unwrap();
        // The commit is there, and a new ref is to lead to it.
        let commit = scene.source.stock.rev_parse("os/a").parse().unwrap();
        let mut refs = scene.all();
        refs.insert(named(&format!("again{suffix}")), Some(commit));
        refs.insert(named("again.filez"), Some(commit));
        scene.push(&refs).pushed.unwrap();
        scene.assert_has(&refs);
    }
}

#[test]
fn damaged_object_of_the_source_is_refused_and_leaves_the_target_as_it_was() {
    let scene = Scene::new();
    let commit = scene.source.stock.rev_parse("os/a");
    let objects = ostler_testkit::oracle::objects_of(scene.source.stock.path(), &commit);
    let path = objects.iter().find(|path| path.contains(".filez")).unwrap();
    let path = scene.source.stock.path().join("objects").join(path);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let ended = scene.push(&scene.all());
    assert!(ended.received.is_err());
    let error = ended.pushed.unwrap_err();
    assert!(
        matches!(&error, TransferError::Peer(text) if text.contains("file")),
        "{error}"
    );
    assert_eq!(scene.target.refs(), Vec::<String>::new());
}

#[test]
fn rules_of_the_target_for_history_and_deltas_hold_for_pushes_too() {
    let scene = Scene::new();
    let place = scene.target().join("extensions/ostler");
    fs::create_dir_all(&place).unwrap();
    let rules = "[[rule]]\nrefs = '**'\nkeep-last = 1\ndeltas = 1\n";
    fs::write(place.join("policy.toml"), rules).unwrap();
    scene.push_all();
    let first = scene.target.rev_parse("os/a");
    scene.source.advance("new");
    scene.push_all();
    scene.assert_has(&scene.all());
    let deltas = scene.target.run(&["static-delta", "list"]);
    assert!(deltas.contains(&first), "{deltas}");
    let retired = fs::read_to_string(place.join("retired.json")).unwrap();
    assert!(retired.contains(&first), "{retired}");
}
