//! Making and opening repositories.

use crate::fixture::Fixture;
use ostler_format::{CollectionId, RepoMode};
use ostler_repo::{OpenOptions, Repo, RepoError};
use ostler_testkit::stock::StockRepo;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Every path with its permission bits and, for files, its bytes.
fn contents(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    ostler_testkit::listing::listing(root)
        .into_iter()
        .map(|(path, entry)| {
            let bytes = if entry.is_directory() {
                Vec::new()
            } else {
                fs::read(root.join(&path)).unwrap()
            };
            (path, (entry.mode, bytes))
        })
        .collect()
}

#[test]
fn a_new_repository_is_the_one_that_stock_makes() {
    let scratch = tempfile::tempdir().unwrap();
    let id = CollectionId::new("org.example.Os").unwrap();
    for (mode, name) in [
        (RepoMode::Archive, "archive"),
        (RepoMode::Bare, "bare"),
        (RepoMode::BareUser, "bare-user"),
        (RepoMode::BareUserOnly, "bare-user-only"),
    ] {
        for collection in [None, Some(&id)] {
            let theirs = scratch.path().join("theirs");
            let ours = scratch.path().join("deep/er/ours");
            let stock = StockRepo::open(&theirs);
            let mut arguments = vec!["init".to_owned(), format!("--mode={name}")];
            arguments.extend(collection.map(|id| format!("--collection-id={id}")));
            stock.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());

            let repo = Repo::create(&ours, mode, collection).unwrap();
            // Opening makes `tmp/cache`, as it does for every command of stock ostree that writes.
            fs::create_dir_all(theirs.join("tmp/cache")).unwrap();

            assert_eq!(repo.mode(), mode);
            assert_eq!(repo.config().collection_id(), collection);
            assert_eq!(contents(&ours), contents(&theirs), "{name}");
            assert_eq!(
                StockRepo::open(&ours).run(&["config", "get", "core.mode"]).trim(),
                mode.as_str()
            );
            fs::remove_dir_all(&ours).unwrap();
            fs::remove_dir_all(&theirs).unwrap();
        }
    }
}

#[test]
fn making_a_repository_again_changes_nothing() {
    let fixture = Fixture::new();
    fixture.configure("fsync=false");
    let before = contents(fixture.path());
    let repo = Repo::create(fixture.path(), RepoMode::Bare, None).unwrap();
    assert_eq!(repo.mode(), RepoMode::Archive);
    assert_eq!(contents(fixture.path()), before);
}

#[test]
fn a_making_that_was_cut_short_is_completed() {
    let fixture = Fixture::new();
    for gone in ["objects", "refs/remotes", "tmp/cache", "tmp"] {
        fs::remove_dir(fixture.path().join(gone)).unwrap();
    }
    let missing = Repo::open(fixture.path()).unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    let repo = Repo::create(fixture.path(), RepoMode::BareUser, None).unwrap();
    assert_eq!(repo.mode(), RepoMode::BareUser);
    assert!(fixture.path().join("refs/remotes").is_dir());
}

#[test]
fn a_directory_with_another_programs_config_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("config"), "[server]\nport=1\n").unwrap();
    let refused = Repo::create(scratch.path(), RepoMode::Archive, None).unwrap_err();
    assert!(matches!(refused, RepoError::AlreadyExists { .. }), "{refused}");
    let names: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn versions_and_modes_of_the_past_are_refused() {
    let fixture = Fixture::new();
    for text in [
        "[core]\nrepo_version=2\nmode=archive-z2\n",
        "[core]\nrepo_version=1\narchive=true\n",
        "[core]\nmode=bare\n",
        "nonsense",
    ] {
        fs::write(fixture.path().join("config"), text).unwrap();
        assert!(Repo::open(fixture.path()).is_err(), "{text}");
        fixture.stock.fail(&["refs"]);
    }
}

#[test]
fn a_change_of_the_configuration_keeps_what_it_does_not_touch() {
    let fixture = Fixture::new();
    let path = fixture.path().join("config");
    let before = fs::read_to_string(&path).unwrap() + "# kept\nunknown = 7\n";
    fs::write(&path, &before).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    let repo = fixture.open();

    let set = repo.edit_config(|file| {
        file.set("core", "tombstone-commits", "true")
            .map_err(RepoError::format("config"))
    });
    set.unwrap();

    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("{before}tombstone-commits=true\n")
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o664);
    assert_eq!(
        fixture.stock.run(&["config", "get", "core.tombstone-commits"]),
        "true\n"
    );
    assert!(fixture.open().config().tombstone_commits());
    let refused = repo.edit_config(|file| {
        file.set("core", "fsync", "perhaps")
            .map_err(RepoError::format("config"))
    });
    assert!(refused.is_err());
    assert!(!fs::read_to_string(&path).unwrap().contains("perhaps"));
}

#[test]
fn parents_are_found_relative_to_the_repository_and_circles_end() {
    let fixture = Fixture::new();
    let parent = fixture.beside("parent");
    Repo::create(&parent, RepoMode::Archive, None).unwrap();
    fixture.configure("parent=../parent");
    let repo = fixture.open();
    let found = fs::canonicalize(repo.parent().unwrap().path()).unwrap();
    assert_eq!(found, fs::canonicalize(&parent).unwrap());

    fs::write(
        parent.join("config"),
        "[core]\nrepo_version=1\nmode=archive-z2\nparent=../repo\n",
    )
    .unwrap();
    let circle = Repo::open(fixture.path()).unwrap_err();
    assert!(circle.to_string().contains("core.parent"), "{circle}");
}

#[test]
fn the_boot_is_told_by_the_caller_or_the_kernel() {
    let fixture = Fixture::new();
    let kernel = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(fixture.open().boot_id().unwrap(), kernel.trim());
    let options = OpenOptions {
        boot_id: Some("other".to_owned()),
        ..OpenOptions::default()
    };
    let repo = Repo::open_with(fixture.path(), options).unwrap();
    assert_eq!(repo.boot_id().unwrap(), "other");
}
