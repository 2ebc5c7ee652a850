//! Walks: what commits consist of, and what one needs beyond another.

use crate::commit::{Pair, bound_to, builder, commit};
use ostler_format::{Checksum, Commit, DirMeta, DirTree, ObjectName, ObjectType, RepoMode, TreeDir, Xattrs};
use ostler_repo::{ClosureDifference, Descend, NewObjects, PathEntry, Repo, RepoError, WalkEntry};
use ostler_testkit::tree;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

fn fixture() -> Pair {
    Pair::new("archive", RepoMode::Archive)
}

fn set(names: impl IntoIterator<Item = ObjectName>) -> BTreeSet<ObjectName> {
    names.into_iter().collect()
}

fn rename(from: &Path, to: &Path) {
    rustix::fs::rename(from, to).unwrap();
}

fn difference(repo: &Repo, old: Option<&Checksum>, new: &Checksum) -> Result<NewObjects, RepoError> {
    let held = old.map_or_else(|| Ok(Vec::new()), |old| repo.closure(&[*old]))?;
    let mut difference = ClosureDifference::new(repo, held);
    difference.add(new)?;
    Ok(difference.finish())
}

/// Checks what every difference promises, walked and from a list.
fn assert_difference(repo: &Repo, old: Option<&Checksum>, new: &Checksum) -> NewObjects {
    let found = difference(repo, old, new).unwrap();
    let needed = set(repo.closure(&[*new]).unwrap());
    let held = set(old.map_or_else(Vec::new, |old| repo.closure(&[*old]).unwrap()));
    let mut from_list = ClosureDifference::new(repo, held.iter().copied().collect());
    from_list.add_list(&repo.walk_list(new).unwrap());
    for found in [&found, &from_list.finish()] {
        let listed: Vec<_> = found.child_first().collect();
        assert_eq!(listed.len(), found.len());
        assert_eq!(
            listed.len(),
            set(listed.iter().copied()).len(),
            "each object once"
        );
        assert_eq!(set(listed.iter().copied()), &needed - &held);
        assert_child_first(repo, &listed);
    }
    found
}

fn assert_child_first(repo: &Repo, listed: &[ObjectName]) {
    let all: HashSet<_> = listed.iter().copied().collect();
    let mut before = HashSet::new();
    for name in listed {
        let children: Vec<ObjectName> = match name.kind {
            ObjectType::DirTree => {
                let tree = repo.load_dirtree(&name.checksum).unwrap();
                let files = tree
                    .files
                    .iter()
                    .map(|file| ObjectName::new(file.checksum, ObjectType::File));
                let dirs = tree.dirs.iter().flat_map(|dir| {
                    [
                        ObjectName::new(dir.tree, ObjectType::DirTree),
                        ObjectName::new(dir.meta, ObjectType::DirMeta),
                    ]
                });
                files.chain(dirs).collect()
            }
            ObjectType::Commit => {
                let commit = repo.load_commit(&name.checksum).unwrap();
                vec![
                    ObjectName::new(commit.root_tree, ObjectType::DirTree),
                    ObjectName::new(commit.root_meta, ObjectType::DirMeta),
                ]
            }
            _ => Vec::new(),
        };
        for child in children.iter().filter(|child| all.contains(child)) {
            assert!(before.contains(child), "{name} comes before {child}");
        }
        before.insert(*name);
    }
}

#[test]
fn the_closure_of_all_commits_is_the_repository() {
    let pair = fixture();
    let tree = tree::assorted(&pair.beside("tree"));
    let first = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    tree::mutate(tree.path(), 1, 20);
    let second = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;

    let closure = pair.ours.closure(&[first, second]).unwrap();

    assert_eq!(closure, pair.ours.list_objects(false).unwrap());
    let one: BTreeSet<_> = set(pair.ours.closure(&[first]).unwrap());
    let other: BTreeSet<_> = set(pair.ours.closure(&[second]).unwrap());
    assert_eq!(set(closure), one.union(&other).copied().collect());
}

#[test]
fn a_walk_lists_what_stock_lists_in_the_same_order() {
    let pair = fixture();
    let tree = tree::assorted(&pair.beside("tree"));
    let checksum = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    let stock = ostler_testkit::stock::StockRepo::open(pair.ours.path());
    let printed = stock.run(&["ls", "-R", "--nul-filenames-only", "main"]);

    let mut walked = Vec::new();
    let mut visit = |entry: WalkEntry<'_>| {
        let (WalkEntry::Directory { path, .. } | WalkEntry::File { path, .. }) = entry;
        walked.push(path.to_owned());
        Ok(Descend::Yes)
    };
    pair.ours.walk_commit(&checksum, &mut visit).unwrap();

    let expected: Vec<_> = printed.split_terminator('\0').collect();
    assert_eq!(walked, expected);
}

#[test]
fn a_visitor_can_pass_over_directories() {
    let pair = fixture();
    let tree = tree::plain(&pair.beside("tree"));
    let checksum = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    let mut walked = Vec::new();
    let mut visit = |entry: WalkEntry<'_>| {
        let (WalkEntry::Directory { path, .. } | WalkEntry::File { path, .. }) = entry;
        walked.push(path.to_owned());
        Ok(if path == "/usr" {
            Descend::Skip
        } else {
            Descend::Yes
        })
    };
    pair.ours.walk_commit(&checksum, &mut visit).unwrap();
    assert!(walked.contains(&"/usr".to_owned()) && walked.contains(&"/etc/motd".to_owned()));
    assert!(!walked.iter().any(|path| path.starts_with("/usr/")));
}

#[test]
fn paths_are_found_or_not() {
    let pair = fixture();
    let tree = tree::plain(&pair.beside("tree"));
    let outcome = commit(&pair.ours, "main", &builder("main", &[tree.path()]));
    let find = |path: &str| pair.ours.lookup_path(&outcome.checksum, path);

    let root = PathEntry::Directory {
        tree: outcome.root_tree,
        meta: outcome.root_meta,
    };
    assert_eq!(find("/").unwrap(), root);
    assert_eq!(find("").unwrap(), root);
    assert!(matches!(find("/usr/bin").unwrap(), PathEntry::Directory { .. }));
    assert!(matches!(find("usr//bin/hello/").unwrap(), PathEntry::File(_)));
    for absent in ["/nope", "/usr/nope/deeper", "/usr/..", "/."] {
        assert!(find(absent).unwrap_err().is_not_found(), "{absent}");
    }
    let below_a_file = find("/etc/motd/below").unwrap_err();
    assert!(
        matches!(&below_a_file, RepoError::Io { source, .. } if source.kind() == ErrorKind::NotADirectory),
        "{below_a_file}"
    );
}

#[test]
fn random_changes_keep_every_promise_of_a_difference() {
    for seed in 0..6 {
        let pair = fixture();
        let tree = tree::random(&pair.beside("tree"), seed, 150);
        let first = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
        let everything = assert_difference(&pair.ours, None, &first);
        assert_eq!(
            set(everything.child_first()),
            set(pair.ours.closure(&[first]).unwrap())
        );

        tree::mutate(
            tree.path(),
            seed + 100,
            [1, 5, 30, 90][usize::try_from(seed % 4).unwrap()],
        );
        if seed % 3 == 0 {
            let top = fs::read_dir(tree.path()).unwrap().map(Result::unwrap);
            if let Some(dir) = top.into_iter().find(|entry| entry.path().is_dir()) {
                rename(&dir.path(), &tree.path().join("moved"));
            }
        }
        let second = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;

        assert_difference(&pair.ours, Some(&first), &second);
        assert_difference(&pair.ours, Some(&second), &first);
        assert!(difference(&pair.ours, Some(&first), &first).unwrap().is_empty());
    }
}

#[test]
fn moving_a_directory_costs_only_the_trees_around_it() {
    let pair = fixture();
    let tree = tree::plain(&pair.beside("tree"));
    let first = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    rename(&tree.path().join("usr/share"), &tree.path().join("etc/share"));
    rename(
        &tree.path().join("usr/bin/hello"),
        &tree.path().join("usr/bin/hallo"),
    );
    let second = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;

    let found = assert_difference(&pair.ours, Some(&first), &second);

    assert_eq!((found.content.len(), found.dirmetas.len()), (0, 0));
    assert_eq!(found.dirtrees.len(), 4, "/, /etc, /usr, /usr/bin");
}

#[test]
fn several_commits_share_what_is_walked() {
    let pair = fixture();
    let tree = tree::random(&pair.beside("tree"), 5, 200);
    let mut commits = Vec::new();
    for seed in 0..4 {
        commits.push(commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum);
        tree::mutate(tree.path(), seed, 10);
    }
    let held = pair.ours.closure(&commits[..1]).unwrap();
    let needed = set(pair.ours.closure(&commits[1..]).unwrap());
    for listed in [
        &[][..],
        &commits[1..2],
        &commits[2..3],
        &commits[3..],
        &commits[1..],
    ] {
        let mut difference = ClosureDifference::new(&pair.ours, held.clone());
        for commit in &commits[1..] {
            if listed.contains(commit) {
                difference.add_list(&pair.ours.walk_list(commit).unwrap());
            } else {
                difference.add(commit).unwrap();
            }
        }
        let found = difference.finish();

        let names: Vec<_> = found.child_first().collect();
        assert_eq!(set(names.iter().copied()), &needed - &set(held.iter().copied()));
        assert_eq!(found.commits, &commits[1..]);
        assert_child_first(&pair.ours, &names);
    }
}

#[test]
fn a_recorded_list_is_that_of_a_walk() {
    let pair = fixture();
    let tree = tree::random(&pair.beside("tree"), 5, 200);
    let first = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    let walked = pair.ours.walk_list(&first).unwrap();
    assert_eq!(pair.ours.recorded_list(&first), None);

    pair.ours.record_list(&first, &walked, 1).unwrap();

    assert_eq!(pair.ours.recorded_list(&first).as_ref(), Some(&walked));
    assert_eq!(set(walked.names()), set(pair.ours.closure(&[first]).unwrap()));
    for listed in walked.entries() {
        let size = pair.ours.object_size(&listed.name).unwrap();
        assert_eq!(
            listed.size.map(std::num::NonZero::get),
            Some(size),
            "{}",
            listed.name
        );
    }
}

#[test]
fn a_damaged_record_counts_as_none_and_is_replaced() {
    let pair = fixture();
    let tree = tree::plain(&pair.beside("tree"));
    let first = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    let list = pair.ours.walk_list(&first).unwrap();
    pair.ours.record_list(&first, &list, 1).unwrap();
    let record = pair
        .ours
        .path()
        .join(format!("extensions/ostler/closures/{first}"));
    let whole = fs::read(&record).unwrap();
    let other = pair
        .ours
        .path()
        .join(format!("extensions/ostler/closures/{}", Checksum::of(b"other")));
    fs::write(&other, &whole).unwrap();

    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    for damaged in [&[][..], &whole[..whole.len() - 1], &whole[..20], &flipped] {
        fs::write(&record, damaged).unwrap();
        assert_eq!(pair.ours.recorded_list(&first), None);
    }
    assert_eq!(
        pair.ours.recorded_list(&Checksum::of(b"other")),
        None,
        "the record of another commit"
    );
    pair.ours.record_list(&first, &list, 1).unwrap();
    assert_eq!(fs::read(&record).unwrap(), whole);
}

#[test]
fn the_oldest_records_make_room() {
    let pair = fixture();
    let tree = tree::plain(&pair.beside("tree"));
    let first = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    let list = pair.ours.walk_list(&first).unwrap();
    let dir = pair.ours.path().join("extensions/ostler/closures");
    fs::create_dir_all(&dir).unwrap();
    for number in 0..100_u64 {
        let file = fs::File::create(dir.join(Checksum::of(&number.to_be_bytes()).to_string())).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + number);
        file.set_modified(time).unwrap();
    }

    pair.ours.record_list(&first, &list, 1).unwrap();

    let kept = |number: u64| dir.join(Checksum::of(&number.to_be_bytes()).to_string()).exists();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 66);
    assert_eq!(pair.ours.recorded_list(&first), Some(list));
    assert!(!kept(34) && kept(35) && kept(99));
}

#[test]
fn a_missing_dirtree_is_named_with_its_place() {
    let pair = fixture();
    let tree = tree::plain(&pair.beside("tree"));
    let checksum = commit(&pair.ours, "main", &builder("main", &[tree.path()])).checksum;
    let PathEntry::Directory { tree: missing, .. } =
        pair.ours.lookup_path(&checksum, "/usr/share/doc").unwrap()
    else {
        panic!("a directory")
    };
    let name = ObjectName::new(missing, ObjectType::DirTree);
    fs::remove_file(
        pair.ours
            .path()
            .join("objects")
            .join(name.loose_path(RepoMode::Archive)),
    )
    .unwrap();

    for error in [
        pair.ours.closure(&[checksum]).unwrap_err(),
        difference(&pair.ours, None, &checksum).unwrap_err(),
        pair.ours
            .walk_commit(&checksum, &mut |_| Ok(Descend::Yes))
            .unwrap_err(),
    ] {
        match error {
            RepoError::Incomplete { object, path } => {
                assert_eq!((object, path.as_str()), (name, "/usr/share/doc"));
            }
            other => panic!("{other}"),
        }
    }
    let mut closure = ostler_repo::Closure::new(&pair.ours);
    closure.tolerate_holes(true);
    closure.add_commit(&checksum).unwrap();
    assert!(closure.finish().contains(&name));
}

/// Writes a commit of empty directories in one another.
pub(crate) fn chain(repo: &Repo, depth: usize) -> Checksum {
    let transaction = repo.begin().unwrap();
    let meta = DirMeta {
        uid: 0,
        gid: 0,
        mode: 0o040_755,
        xattrs: Xattrs::default(),
    };
    let write = |kind, bytes: &[u8]| transaction.write_metadata(kind, bytes).unwrap();
    let meta = write(ObjectType::DirMeta, &meta.to_bytes());
    let mut tree = write(ObjectType::DirTree, &DirTree::default().to_bytes());
    for _ in 0..depth {
        let dir = TreeDir {
            name: "d".into(),
            tree,
            meta,
        };
        tree = write(
            ObjectType::DirTree,
            &DirTree::new(Vec::new(), vec![dir]).unwrap().to_bytes(),
        );
    }
    let commit = Commit {
        metadata: bound_to("deep"),
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root_tree: tree,
        root_meta: meta,
    };
    let checksum = write(ObjectType::Commit, &commit.to_bytes());
    transaction.commit().unwrap();
    checksum
}

#[test]
fn hostile_depth_is_an_error_and_no_overflow() {
    let pair = fixture();
    let fine = chain(&pair.ours, 2000);
    assert_eq!(pair.ours.closure(&[fine]).unwrap().len(), 2001 + 1 + 1);
    let beyond = chain(&pair.ours, 5000);
    let walk = |entry: WalkEntry<'_>| {
        let WalkEntry::Directory { .. } = entry else {
            panic!("only directories")
        };
        Ok(Descend::Yes)
    };
    let errors = [
        pair.ours.closure(&[beyond]).map(drop),
        difference(&pair.ours, None, &beyond).map(drop),
        pair.ours.walk_commit(&beyond, &mut { walk }),
    ];
    for error in errors {
        assert!(matches!(error, Err(RepoError::Unsupported { .. })), "{error:?}");
    }
}
