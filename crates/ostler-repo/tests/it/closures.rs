//! What recorded lists of objects may do, and what they never may: damaged ones, and ones that lie with a right digest.

use crate::fixture::Fixture;
use ostler_format::{Checksum, LIST_ENTRY, ObjectName, ObjectType, list_entries};
use ostler_repo::snapshot::{SnapshotOptions, snapshot};
use ostler_repo::{Depth, PruneOptions, RefRetention, Repo, RepoError, Retention, prune};
use std::fs;
use std::path::PathBuf;

const HEAD: usize = "ostler-closure 1\n".len();
const DIGEST: usize = 32;

/// A repository with two commits, of which the newer one is listed.
struct Scene {
    fixture: Fixture,
    repo: Repo,
    older: Checksum,
    newer: Checksum,
}

impl Scene {
    fn new() -> Self {
        let fixture = Fixture::new();
        fixture.configure("fsync=false");
        fs::create_dir(fixture.beside("tree").join("sub")).unwrap();
        fs::write(fixture.beside("tree").join("sub/file"), "deep").unwrap();
        let older = fixture.commit("main", "older");
        let newer = fixture.commit("main", "newer");
        let repo = fixture.open();
        let list = repo.walk_list(&newer).unwrap();
        repo.record_list(&newer, &list, 1).unwrap();
        Self {
            fixture,
            repo,
            older,
            newer,
        }
    }

    fn record(&self) -> PathBuf {
        self.repo
            .path()
            .join(format!("extensions/ostler/closures/{}", self.newer))
    }

    fn prune(&self, depth: Depth) -> Result<u64, RepoError> {
        let retention = RefRetention {
            depth: Some(depth),
            ..RefRetention::default()
        };
        let options = PruneOptions {
            retention: Retention::Refs(retention),
            ..PruneOptions::default()
        };
        prune(&self.repo, &options).map(|report| report.stats.removed)
    }

    fn objects(&self) -> Vec<ObjectName> {
        self.repo.list_objects(true).unwrap()
    }

    /// Returns an object of the listed commit alone.
    fn object(&self, kind: ObjectType) -> ObjectName {
        let older = self.repo.closure(&[self.older]).unwrap();
        let list = self.repo.walk_list(&self.newer).unwrap();
        let mut names = list.names();
        names
            .find(|name| name.kind == kind && !older.contains(name))
            .unwrap()
    }

    fn take(&self, name: &ObjectName) {
        let path = name.loose_path(self.repo.mode());
        fs::remove_file(self.repo.path().join("objects").join(path)).unwrap();
    }

    fn snapshot(&self) -> Result<PathBuf, RepoError> {
        let copy = self.fixture.beside("copy");
        let options = SnapshotOptions {
            select: None,
            depth: None,
            replace: false,
            threads: 2,
        };
        snapshot(&self.repo, &copy, &options, &mut |_, _| {}).map(|_| copy)
    }
}

/// Returns a record with another list in it, and the digest of that.
fn with_entries(entries: &[u8]) -> Vec<u8> {
    let mut bytes = b"ostler-closure 1\n".to_vec();
    bytes.extend_from_slice(entries);
    let digest = Checksum::of(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

/// Returns records that are damaged in several ways; then records that lie with a right digest: each lacks an object.
fn damaged(whole: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut flipped = whole.to_vec();
    flipped[HEAD + 5] ^= 1;
    let entries = &whole[HEAD..whole.len() - DIGEST];
    let torn = with_entries(&entries[..entries.len() - 1]);
    // Its last entry is no more the commit.
    let headless = with_entries(&entries[..entries.len() - LIST_ENTRY]);
    let seen = vec![
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        flipped,
        torn,
        headless,
    ];
    let count = list_entries(entries).count();
    let lying = (0..count - 1).map(|lost| {
        let mut rest = entries.to_vec();
        rest.drain(lost * LIST_ENTRY..(lost + 1) * LIST_ENTRY);
        with_entries(&rest)
    });
    (seen, lying.collect())
}

#[test]
fn a_prune_with_nothing_to_do_makes_damaged_and_lying_lists_anew() {
    let scene = Scene::new();
    let whole = fs::read(scene.record()).unwrap();
    let before = scene.objects();
    let (damaged, lying) = damaged(&whole);
    assert_eq!(lying.len(), 5);
    let mut anew = 0;
    for record in damaged.iter().chain(&lying) {
        fs::write(scene.record(), record).unwrap();
        assert_eq!(scene.prune(Depth::All).unwrap(), 0);
        assert_eq!(scene.objects(), before);
        anew += usize::from(fs::read(scene.record()).unwrap() == whole);
    }
    // That a list lacks what other commits need as well does not show: nothing depends on it.
    assert!(anew >= damaged.len() + 2, "{anew}");
    fs::remove_file(scene.record()).unwrap();
    assert_eq!(scene.prune(Depth::All).unwrap(), 0);
    assert_eq!(fs::read(scene.record()).unwrap(), whole);
    scene.fixture.stock.fsck();
}

#[test]
fn a_prune_removes_the_same_whatever_lists_say() {
    let expected = {
        let scene = Scene::new();
        fs::remove_dir_all(scene.repo.path().join("extensions")).unwrap();
        let removed = scene.prune(Depth::Parents(0)).unwrap();
        assert!(removed > 0);
        // A repository of others is left as it is.
        assert!(!scene.repo.path().join("extensions/ostler").exists());
        (removed, scene.objects().len())
    };
    let whole = fs::read(Scene::new().record()).unwrap();
    let (damaged, lying) = damaged(&whole);
    for number in 0..damaged.len() + lying.len() {
        // Commits have the time of their making, so that each repository has records of its own.
        let scene = Scene::new();
        let (damaged, lying) = self::damaged(&fs::read(scene.record()).unwrap());
        let record = damaged.iter().chain(&lying).nth(number).unwrap();
        fs::write(scene.record(), record).unwrap();
        let removed = scene.prune(Depth::Parents(0)).unwrap();
        assert_eq!((removed, scene.objects().len()), expected, "{number}");
        let needed = scene.repo.closure(&[scene.newer]).unwrap();
        let objects = scene.objects();
        assert!(needed.iter().all(|name| objects.contains(name)), "{number}");
    }
}

#[test]
fn the_list_of_another_commit_is_not_believed() {
    let scene = Scene::new();
    let list = scene.repo.walk_list(&scene.older).unwrap();
    scene.repo.record_list(&scene.older, &list, 1).unwrap();
    let whole = fs::read(scene.record()).unwrap();
    let other = scene.record().with_file_name(scene.older.to_string());
    fs::copy(other, scene.record()).unwrap();
    assert!(scene.prune(Depth::Parents(0)).unwrap() > 0);
    assert_eq!(fs::read(scene.record()).unwrap(), whole, "made anew");
    scene.fixture.stock.fsck();
}

#[test]
fn a_list_does_not_hide_that_an_object_is_missing() {
    let scene = Scene::new();
    let tree = scene.object(ObjectType::DirTree);
    scene.take(&tree);
    for depth in [Depth::All, Depth::Parents(0)] {
        let before = scene.objects();
        let error = scene.prune(depth).unwrap_err();
        assert!(
            matches!(error, RepoError::Hole { object, .. } if object == tree),
            "{error}"
        );
        assert_eq!(scene.objects(), before);
    }
    assert!(scene.snapshot().is_err());
    assert!(!scene.fixture.beside("copy").exists());

    let scene = Scene::new();
    scene.take(&scene.object(ObjectType::File));
    assert!(scene.snapshot().is_err());
    assert!(!scene.fixture.beside("copy").exists());
}

#[test]
fn a_snapshot_by_damaged_lists_is_whole() {
    let scene = Scene::new();
    let whole = fs::read(scene.record()).unwrap();
    for record in damaged(&whole).0 {
        fs::write(scene.record(), record).unwrap();
        let copy = scene.snapshot().unwrap();
        assert_eq!(
            Repo::open(&copy).unwrap().list_objects(true).unwrap(),
            scene.objects()
        );
        fs::remove_dir_all(copy).unwrap();
    }
}
