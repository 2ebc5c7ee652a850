//! The memory of a command grows with the names and checksums of a tree and with nothing else: 256 MiB are enough for
//! half a million files, and for a file of 20 GiB.
//!
//! Each command runs with a limit on what it may allocate. The full size takes a quarter of an hour and 30 GB of disk, so
//! it runs when it is asked for (`cargo test -p ostler --release -- --ignored half_a_million`); a small tree with a
//! smaller limit runs always.

use crate::programs::OSTLER;
use ostler_testkit::command::{command, run};
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::Path;
use tempfile::TempDir;

/// How many directories there are of one kind, and how many kinds: each has another mode or owner.
const KINDS: usize = 25;
/// The modes of directories.
const MODES: [u32; 5] = [0o755, 0o750, 0o700, 0o775, 0o711];
/// How many files a directory may have.
const FILES: [usize; 5] = [5, 20, 100, 500, 4000];

/// A tree and what it may take.
struct Scale {
    files: usize,
    /// The size of one more file, which is a hole but for its end.
    large: u64,
    /// What a process may allocate, in kilobytes; stacks of threads and what its libraries keep are among it.
    limit: u32,
}

/// Makes a tree of files of a few bytes, all of them different.
fn plant(root: &Path, scale: &Scale) {
    let mut made = 0;
    for number in 0.. {
        if made == scale.files {
            break;
        }
        let kind = number % KINDS;
        let parent = root.join(format!("part-{}/package-{:04}", number % 7, number / 50));
        fs::create_dir_all(&parent).expect("our own directory");
        let path = parent.join(format!("directory-of-kind-{kind:02}-{number:06}"));
        let mode = MODES.get(kind % MODES.len()).copied().unwrap_or(0o755);
        DirBuilder::new()
            .mode(mode)
            .create(&path)
            .expect("our own directory");
        let owner = u32::try_from(kind / MODES.len()).expect("few kinds");
        chown(&path, Some(owner), Some(owner)).expect("tests run as root");
        let files = FILES.get(number * 7 % 11 % FILES.len()).copied().unwrap_or(1);
        for file in 0..files.min(scale.files - made) {
            let name = format!("a-file-with-a-usual-name-{file:05}.conf");
            fs::write(path.join(name), format!("file {made}\n")).expect("our own file");
            made += 1;
        }
    }
    let large = File::create(root.join("large")).expect("our own file");
    large.set_len(scale.large).expect("our own file");
}

/// Does everything with a tree, each command within the limit.
#[track_caller]
fn go_through(scale: &Scale) {
    let directory = TempDir::new().expect("a directory");
    let within = |line: &str| {
        let mut limited = command("sh");
        let script = format!("ulimit -d {} && exec {OSTLER} {line}", scale.limit);
        run(limited.args(["-ec", &script]).current_dir(directory.path()))
    };
    plant(&directory.path().join("tree"), scale);
    for (repo, mode) in [("archive", "archive"), ("user", "bare-user"), ("copy", "archive")] {
        within(&format!("--repo={repo} init --mode={mode}"));
        within(&format!("--repo={repo} config set core.fsync false"));
    }
    within("--repo=archive commit -b os/main --timestamp=@1 --generate-sizes tree");
    within("--repo=archive commit -b os/main --timestamp=@2 --tree=ref=os/main --owner-uid=7");
    within("--repo=archive commit -b os/main --timestamp=@3 --tree=dir=tree --skip-if-unchanged");
    within("--repo=archive diff --stats --fs-diff os/main^ os/main");
    within("--repo=archive ls -R -C --nul-filenames-only os/main >listed");
    within("--repo=archive export os/main >exported.tar");
    let whole = within("--repo=archive rev-parse os/main");
    within("--repo=archive commit -b os/tar --timestamp=@3 --tree=tar=exported.tar");
    fs::remove_file(directory.path().join("exported.tar")).expect("just written");
    within("--repo=archive fsck");
    within("--repo=copy pull-local archive os/main");
    within("--repo=copy prune");
    within("--repo=copy checkout -U --disable-cache os/main out");
    fs::remove_dir_all(directory.path().join("out")).expect("just written");
    within("--repo=user pull-local --untrusted archive os/main");
    within("--repo=user checkout -U -H os/main out");
    within("--repo=user commit -b os/main --timestamp=@4 --link-checkout-speedup out");
    within("--repo=user fsck");
    within("--repo=archive refs --delete os/tar");
    within("--repo=archive prune --refs-only --depth=0");
    assert_eq!(within("--repo=archive rev-parse os/main"), whole);
    let gone = within("--repo=user prune --refs-only --depth=0");
    assert!(gone.contains("Deleted"), "{gone}");
}

#[test]
fn a_small_tree_takes_little_memory() {
    go_through(&Scale {
        files: 5_000,
        large: 64 << 20,
        limit: 40 << 10,
    });
}

#[test]
#[ignore = "takes a quarter of an hour and 30 GB of disk: run by .ci/large"]
fn half_a_million_files_and_20_gib_take_256_mib() {
    go_through(&Scale {
        files: 500_000,
        large: 20 << 30,
        limit: 256 << 10,
    });
}
