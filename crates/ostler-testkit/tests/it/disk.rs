//! A power cut loses what was not synced and nothing that was.

use ostler_testkit::disk::Disk;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// Writes a file that lasts: itself and its name are synced.
fn write_synced(directory: &Path, name: &str) {
    let mut file = File::create(directory.join(name)).unwrap();
    file.write_all(b"synced").unwrap();
    file.sync_all().unwrap();
    File::open(directory).unwrap().sync_all().unwrap();
}

#[test]
fn power_cut_keeps_exactly_what_was_synced() {
    let disk = Disk::create(32);
    write_synced(&disk.path(), "kept");
    fs::write(disk.path().join("lost"), "not synced").unwrap();
    let disk = disk.cut_power();
    assert_eq!(fs::read(disk.path().join("kept")).unwrap(), b"synced");
    let lost = fs::read(disk.path().join("lost")).unwrap_or_default();
    assert!(
        lost.is_empty(),
        "delayed allocation keeps unsynced bytes in memory"
    );
}

#[test]
fn snapshot_stays_as_it_was_while_the_disk_changes() {
    let disk = Disk::create(32);
    write_synced(&disk.path(), "before");
    let snapshot = disk.snapshot();
    write_synced(&disk.path(), "after");
    assert!(snapshot.path().join("before").exists());
    assert!(!snapshot.path().join("after").exists());
    let later = disk.snapshot();
    assert!(later.path().join("after").exists());
}

#[test]
fn dropped_disk_is_unmounted() {
    let disk = Disk::create(32);
    let path = disk.path();
    assert!(
        fs::read_to_string("/proc/mounts")
            .unwrap()
            .contains(path.to_str().unwrap())
    );
    drop(disk);
    assert!(
        !fs::read_to_string("/proc/mounts")
            .unwrap()
            .contains(path.to_str().unwrap())
    );
}
