//! Commits take the memory that they need for names and checksums, not that of contents.

use super::Bench;
use crate::programs::OSTLER;
use ostler_testkit::command::{command, run};
use std::fs;

/// What our process may allocate, in kilobytes: stacks of threads are among it.
const LIMIT: &str = "102400";

/// Commits with a limit on memory, and returns the commit.
#[track_caller]
fn commit(bench: &Bench, options: &[&str]) -> String {
    let mut limited = command("sh");
    limited
        .args([
            "-c",
            "ulimit -d \"$0\" && exec \"$@\"",
            LIMIT,
            OSTLER,
            "--repo=ours",
            "commit",
        ])
        .args(["--fsync=false", "--orphan"])
        .args(options)
        .current_dir(bench.path(""));
    run(&mut limited).trim().to_owned()
}

#[test]
fn large_files_stream_out_of_an_archive() {
    let bench = Bench::new();
    bench.shell("mkdir tree && truncate -s 1G tree/hole && printf end >>tree/hole");
    bench.shell(
        "head -c 8M /dev/zero >tree/plain; for n in $(seq 40); do head -c 250000 /dev/zero >tree/$n; done",
    );
    bench.shell("tar --sparse -C tree -cf tree.tar . && xz -9 -k tree.tar && zstd -q --ultra -19 tree.tar");
    let plain = commit(&bench, &["--timestamp=@1", "--tree=tar=tree.tar"]);
    for name in ["tree.tar.xz", "tree.tar.zst"] {
        let tree = format!("--tree=tar={name}");
        assert_eq!(commit(&bench, &["--timestamp=@1", &tree]), plain, "{name}");
    }
    let listed = run(crate::interop::Who::Ours
        .on(&bench.path("ours"))
        .args(["ls", &plain, "/hole"]));
    assert!(listed.contains(&((1_u64 << 30) + 3).to_string()), "{listed}");
}

#[test]
fn many_files_take_little_each() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    for directory in 0..50 {
        let directory = tree.join(directory.to_string());
        fs::create_dir_all(&directory).expect("our own directory");
        for file in 0..1000 {
            fs::write(directory.join(file.to_string()), "").expect("our own file");
        }
    }
    bench.shell("tar -C tree -cf tree.tar .");
    let plain = commit(&bench, &["--timestamp=@1", "tree"]);
    assert_eq!(commit(&bench, &["--timestamp=@1", "--tree=tar=tree.tar"]), plain);
    assert_eq!(commit(&bench, &["--timestamp=@1", "--consume", "tree"]), plain);
    assert!(!tree.exists());
}
