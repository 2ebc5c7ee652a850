//! Two versions of a real operating system, made by debootstrap from the mirror that this machine uses.
//!
//! One tree with some packages more than either version needs is downloaded and installed; each version is a
//! copy of it from which dpkg has removed different ones. So the first to the second adds and removes whole
//! packages, with the scripts, databases and caches that this changes, and only one download is needed.

use crate::command::{command, run};
use rustix::fs::FlockOperation;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The packages that come beyond the minimal system.
const EXTRA: &[&str] = &["less", "nano", "ed", "netbase", "readline-common"];
/// Those of them that the first version lacks, …
const NOT_IN_FIRST: &[&str] = &["less", "netbase"];
/// … and the second.
const NOT_IN_SECOND: &[&str] = &["nano", "ed"];

/// Two versions of an operating system.
#[derive(Debug)]
pub struct Versions {
    /// The root directory of the first.
    pub first: PathBuf,
    /// The root directory of the second.
    pub second: PathBuf,
}

/// Returns two versions of this machine's Debian, below `cache`, where they stay for the next test that asks.
/// Takes about a minute the first time. Needs root and a Debian machine.
#[track_caller]
pub fn versions(cache: &Path) -> Versions {
    assert!(
        crate::disk::is_root(),
        "only root can install a system: run this test as root, or leave it out"
    );
    fs::create_dir_all(cache).expect("a directory for the cache");
    // Tests run beside each other: one makes the trees, the others wait for it.
    let lock = File::create(cache.join("lock")).expect("our own file");
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("a lock of our own");
    let (full, first, second) = (cache.join("full"), cache.join("first"), cache.join("second"));
    once(&full, install);
    once(&first, |root| without(&full, NOT_IN_FIRST, root));
    once(&second, |root| without(&full, NOT_IN_SECOND, root));
    Versions { first, second }
}

/// Makes a tree unless it was finished before; one that was interrupted is made anew.
fn once(root: &Path, make: impl FnOnce(&Path)) {
    let done = root.with_extension("done");
    if done.exists() {
        return;
    }
    if root.exists() {
        fs::remove_dir_all(root).expect("our own tree");
    }
    make(root);
    fs::write(done, "").expect("our own file");
}

fn install(root: &Path) {
    let release = fs::read_to_string("/etc/os-release").expect("a system that says what it is");
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .expect("a Debian release with a code name")
        .trim_matches('"');
    let Some(mirror) = mirror_of(suite, &apt_sources()) else {
        panic!("the sources of apt name no mirror for {suite}");
    };
    run(command("debootstrap")
        .args(["--variant=minbase", &format!("--include={}", EXTRA.join(","))])
        .arg(suite)
        .arg(root)
        .arg(mirror));
    // Devices cannot be committed; the rest is the download itself.
    for directory in ["dev", "var/cache/apt/archives", "var/lib/apt/lists"] {
        let directory = root.join(directory);
        fs::remove_dir_all(&directory).expect("a directory of every Debian");
        fs::create_dir(&directory).expect("just removed");
    }
}

/// Copies `full` to `root` and removes packages from it.
fn without(full: &Path, packages: &[&str], root: &Path) {
    run(command("cp")
        .args(["--archive", "--reflink=auto"])
        .arg(full)
        .arg(root));
    run(command("chroot")
        .arg(root)
        .args(["dpkg", "--purge"])
        .args(packages));
}

/// Returns all of apt's sources, both of the old form (a line each) and the new.
fn apt_sources() -> String {
    let mut paths = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        paths.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    paths.sort();
    let texts: Vec<String> = paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    texts.join("\n\n")
}

/// Returns the mirror that has `main` of `suite`.
fn mirror_of(suite: &str, sources: &str) -> Option<String> {
    sources.split("\n\n").find_map(|stanza| {
        let lines = || stanza.lines().filter(|line| !line.trim_start().starts_with('#'));
        let field = |name: &str| {
            lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
        };
        let has = |name: &str, word: &str| field(name).split_whitespace().any(|found| found == word);
        if has("Suites:", suite) && has("Components:", "main") {
            return field("URIs:").split_whitespace().next().map(str::to_owned);
        }
        lines().find_map(|line| one_line(line, suite))
    })
}

/// Reads `deb [options] URI SUITE COMPONENT…`.
fn one_line(line: &str, suite: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    let (mirror, found) = (words.next()?, words.next()?);
    (found == suite && words.any(|word| word == "main")).then(|| mirror.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_is_read_from_both_forms_of_sources() {
        let other = "Types: deb\nURIs: http://other.example\nSuites: nodistro\nComponents: main\n";
        let new = "Types: deb\n# URIs: http://no.example\nURIs: http://new.example/debian\n\
                   Suites: bookworm bookworm-updates\nComponents: main\n";
        let old = "# deb http://no.example bookworm main\ndeb http://vendor.example cloud main\n\
                   deb [signed-by=/k arch=amd64] http://old.example/debian bookworm contrib main\n";
        for (sources, expected) in [
            (format!("{other}\n\n{new}"), Some("http://new.example/debian")),
            (format!("{other}\n\n{old}"), Some("http://old.example/debian")),
            (other.to_owned(), None),
        ] {
            assert_eq!(mirror_of("bookworm", &sources).as_deref(), expected);
        }
    }
}
