//! A disk of its own whose power can be cut: an ext4 file system in a file, mounted through a loop device.
//!
//! Two ways to see what a power cut leaves, both of which lose what only memory held:
//! [`Disk::cut_power`] ends the live file system on the spot, in the middle of whatever it does, and mounts it
//! again; [`Disk::snapshot`] copies the disk at an instant and mounts the copy, so that the work goes on and
//! can be looked at again and again.
//!
//! Mounting needs root. `commit=1` makes ext4 write its journal every second, as `data=ordered` file systems
//! do every five: what was not synced by then is lost.

use crate::command::{command, run};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Returns whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A mounted file system of its own, unmounted and deleted when dropped.
#[derive(Debug)]
pub struct Disk {
    mounted: bool,
    directory: TempDir,
}

impl Disk {
    /// Makes an empty file system of `mebibytes`.
    #[track_caller]
    pub fn create(mebibytes: u64) -> Self {
        assert!(
            is_root(),
            "only root can mount a file system: run this test as root, or leave it out"
        );
        let disk = Self::unmounted();
        let image = fs::File::create(disk.image()).expect("our own file");
        image.set_len(mebibytes << 20).expect("a sparse file");
        drop(image);
        run(command("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-J", "size=4"])
            .arg(disk.image()));
        disk.mount()
    }

    /// Returns the directory in which the file system is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// Cuts the power and switches it on again: returns the disk with what had reached it.
    ///
    /// Nothing may have files on it open any more, else it cannot be mounted again.
    #[track_caller]
    #[must_use = "the disk is gone when this is dropped"]
    pub fn cut_power(mut self) -> Self {
        // EXT4_IOC_SHUTDOWN with NOLOGFLUSH: nothing more reaches the device, the journal included.
        const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
            fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
        run(command("python3").args(["-c", SHUT_DOWN]).arg(self.path()));
        self.unmount();
        self.mount()
    }

    /// Returns a copy of the disk as it is at one instant, mounted elsewhere: what a power cut would leave now.
    ///
    /// Taken between two writes to the disk, however busy the file system is.
    #[track_caller]
    #[must_use = "the copy is gone when this is dropped"]
    pub fn snapshot(&self) -> Self {
        let copy = Self::unmounted();
        for _ in 0..10_000 {
            let before = self.writes();
            run(command("cp")
                .arg("--sparse=always")
                .arg(self.image())
                .arg(copy.image()));
            // The same number of finished writes and none under way: the copy is of one instant.
            if before.under_way == 0 && before == self.writes() {
                return copy.mount();
            }
        }
        panic!("the disk is never quiet for as long as a copy takes; use a smaller one");
    }

    /// Writes all that the file system holds in memory to the disk.
    #[track_caller]
    pub fn sync(&self) {
        run(command("sync").arg("--file-system").arg(self.path()));
    }

    fn unmounted() -> Self {
        let directory = TempDir::new().expect("a directory for temporary files");
        let disk = Self {
            mounted: false,
            directory,
        };
        fs::create_dir(disk.path()).expect("our own directory");
        disk
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    #[track_caller]
    fn mount(mut self) -> Self {
        run(command("mount")
            .args(["-t", "ext4", "-o", "loop,commit=1"])
            .arg(self.image())
            .arg(self.path()));
        self.mounted = true;
        self
    }

    #[track_caller]
    fn unmount(&mut self) {
        run(command("umount").arg(self.path()));
        self.mounted = false;
    }

    /// Returns how much has been written to the loop device.
    fn writes(&self) -> Writes {
        let device = fs::metadata(self.path()).expect("a mounted file system").dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let path = format!("/sys/dev/block/{major}:{minor}/stat");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let fields: Vec<u64> = text
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        Writes {
            finished: fields[4],
            under_way: fields[8],
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // A failed test may still have files open: detached now, it goes with the last of them.
            let path: &Path = &self.path();
            drop(command("umount").arg("--lazy").arg(path).status());
        }
    }
}

/// Writes to a block device.
#[derive(Debug, PartialEq, Eq)]
struct Writes {
    finished: u64,
    under_way: u64,
}
