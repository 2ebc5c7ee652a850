//! Random checkouts by both programs: of random trees, in every mode, with random options, into nothing or onto what is
//! there, one over the other. Files, owners, modes, attributes, times, links and the exit status must be the same.
//!
//! Where stock dies of a signal, or is wrong (the table of differences in the compatibility notes), nothing is compared.

mod reading;
mod trees;

use super::{BOTH, Who};
use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, describe, run};
use ostler_testkit::listing::{Entry, listing};
use ostler_testkit::random::Random;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use trees::{BEFORE, Kind};

/// Trees committed to each repository, as the branches `0`, `1`…
const TREES: usize = 4;
/// Sequences of checkouts in each repository.
const ROUNDS: usize = 20;

/// When a file was changed, as far as it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    Epoch,
    Before,
    Now,
}

/// All that is compared of a file.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    entry: Entry,
    time: Option<Time>,
    device: u64,
    /// The object, or the file of the cache, that it is a hard link to.
    object: Option<PathBuf>,
    /// The first path of the same file.
    same_as: PathBuf,
}

/// The two repositories of one mode, with the same objects, each in the directory of the program that it is for.
struct Scene {
    directory: TempDir,
    mode: &'static str,
    /// The paths of each tree.
    paths: Vec<Vec<String>>,
}

impl Scene {
    fn new(mode: &'static str, random: &mut Random) -> Self {
        let directory = TempDir::new().expect("a directory");
        let at = |path: &str| directory.path().join(path);
        for who in BOTH {
            fs::create_dir(at(who.name())).expect("our own directory");
        }
        let repo = at("stock/repo");
        Who::Stock.init(&repo, mode);
        // Nothing here need outlive a power cut, and syncing would take most of the time.
        Who::Stock.run(&repo, &["config", "set", "core.fsync", "false"]);
        let mut paths = Vec::new();
        for number in 0..TREES {
            let tree = at(&format!("tree-{number}"));
            let kind = Kind {
                plain: mode == "bare-user-only",
                whiteouts: number % 2 == 1,
            };
            trees::build(&tree, kind, random);
            // Stock cannot read all that it writes in this mode.
            let who = if mode == "bare-split-xattrs" {
                Who::Ours
            } else {
                Who::Stock
            };
            let mut commit = who.on(&repo);
            commit
                .env("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS", "1")
                .args(["commit", "--fsync=false", "--timestamp=@1700000000", "-b"])
                .arg(format!("tree{number}"));
            if kind.plain {
                commit.args(["--owner-uid=0", "--owner-gid=0"]);
            }
            let _checksum = run(commit.arg(&tree));
            paths.push(trees::paths(&tree));
        }
        let _copied = run(command("cp").arg("-a").arg(&repo).arg(at("ours/repo")));
        Self {
            directory,
            mode,
            paths,
        }
    }

    fn at(&self, who: Who, path: &str) -> PathBuf {
        self.directory.path().join(who.name()).join(path)
    }

    /// Does a random sequence of checkouts to the same place.
    #[track_caller]
    fn round(&self, random: &mut Random, label: &str) {
        let mut there = random.chance(50);
        for who in BOTH {
            let out = self.at(who, "out");
            if out.exists() {
                fs::remove_dir_all(&out).expect("our own directory");
            }
            if there {
                trees::obstacles(&out, &mut random.clone());
            }
        }
        let _skipped = random.next_u64();
        let mut links_lose_owners = false;
        let mut history = Vec::new();
        for _ in 0..=random.below(3) {
            let step = Step::random(random, self, there);
            links_lose_owners |= step.has("--union") && !step.has("-U");
            history.push(step.arguments.join(" "));
            let label = format!("{label} {}: {history:#?}", self.mode);
            if !self.run_both(&step, &label) {
                return;
            }
            there = true;
            let [stock, ours] = BOTH.map(|who| self.seen(who, links_lose_owners));
            for path in stock.keys().chain(ours.keys()) {
                assert_eq!(ours.get(path), stock.get(path), "{label}\n{}", path.display());
            }
        }
    }

    /// Runs a step with both programs; returns whether both succeeded.
    #[track_caller]
    fn run_both(&self, step: &Step, label: &str) -> bool {
        let [stock, ours] = BOTH.map(|who| {
            let mut command = command(match who {
                Who::Stock => "ostree",
                Who::Ours => OSTLER,
            });
            fs::write(self.at(who, "skip"), step.skip.join("\n")).expect("our own file");
            fs::write(self.at(who, "list"), &step.list).expect("our own file");
            command
                .current_dir(self.at(who, "."))
                .args(["--repo=repo", "checkout"])
                .args(&step.arguments);
            let output = attempt(&mut command);
            (output.status.code(), describe(&command, &output))
        });
        let shown = format!("{label}\nstock: {}\nours: {}", stock.1, ours.1);
        let ours = ours.0.unwrap_or_else(|| panic!("{shown}"));
        // A signal.
        let Some(stock) = stock.0 else {
            return false;
        };
        // Stock wants the owners of empty files to be those of the commit, which it cannot give them in user mode.
        let lenient = step.has("--union-identical") && (step.has("-U") || self.mode == "bare-user-only");
        if lenient && stock != 0 && ours == 0 {
            return false;
        }
        assert_eq!(ours == 0, stock == 0, "{shown}");
        stock == 0
    }

    /// Looks at what a program made.
    fn seen(&self, who: Who, links_lose_owners: bool) -> BTreeMap<PathBuf, Seen> {
        let out = self.at(who, "out");
        let objects: HashMap<_, _> = ["objects", "uncompressed-objects-cache"]
            .iter()
            .flat_map(|name| below(&self.at(who, "repo"), name))
            .collect();
        let mut first = HashMap::new();
        let mut found = BTreeMap::new();
        if !out.exists() {
            return found;
        }
        for (path, mut entry) in listing(&out) {
            let metadata = fs::symlink_metadata(out.join(&path)).expect("just listed");
            if links_lose_owners && metadata.is_symlink() {
                (entry.uid, entry.gid) = (0, 0);
                entry.xattrs.clear();
            }
            let inode = metadata.ino();
            let time = match metadata.mtime() {
                0 => Time::Epoch,
                BEFORE => Time::Before,
                _ => Time::Now,
            };
            let seen = Seen {
                entry,
                time: (!metadata.is_symlink()).then_some(time),
                device: metadata.rdev(),
                object: objects.get(&inode).cloned(),
                same_as: first.entry(inode).or_insert_with(|| path.clone()).clone(),
            };
            found.insert(path, seen);
        }
        found
    }
}

/// Returns the files of a part of a repository by inode.
fn below(repo: &Path, name: &str) -> Vec<(u64, PathBuf)> {
    let Ok(prefixes) = fs::read_dir(repo.join(name)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for prefix in prefixes {
        let prefix = prefix.expect("our own repository").path();
        for file in fs::read_dir(&prefix).expect("our own repository") {
            let path = file.expect("our own repository").path();
            let inode = fs::symlink_metadata(&path).expect("just listed").ino();
            let path = path.strip_prefix(repo).expect("below it").to_owned();
            found.push((inode, path));
        }
    }
    found
}

/// One checkout.
struct Step {
    arguments: Vec<String>,
    /// What the skip list holds.
    skip: Vec<String>,
    /// What the list of `--from-file` holds.
    list: Vec<u8>,
}

impl Step {
    /// Chooses options; `there` is whether the destination is.
    fn random(random: &mut Random, scene: &Scene, there: bool) -> Self {
        let number = random.below(TREES);
        let paths = &scene.paths[number];
        let mut arguments = Vec::new();
        let mut add = |percent: usize, option: &str, random: &mut Random| {
            if random.chance(percent) {
                arguments.push(option.to_owned());
            }
        };
        let usual = match scene.mode {
            "bare" | "bare-split-xattrs" => 25,
            _ => 75,
        };
        add(usual, "-U", random);
        if random.chance(if there { 95 } else { 20 }) {
            let union = *random.pick(&["--union", "--union", "--union-add", "--union-identical"]);
            add(100, union, random);
            add(if union == "--union-identical" { 90 } else { 10 }, "-H", random);
        } else {
            add(10, "-H", random);
            add(15, "-C", random);
        }
        add(10, "-z", random);
        add(10, "-M", random);
        add(20, "--disable-cache", random);
        add(25, "--whiteouts", random);
        add(25, "--process-passthrough-whiteouts", random);
        add(2, "--fsync=true", random);
        let mut skip = Vec::new();
        if random.chance(20) && !paths.is_empty() {
            add(100, "--skip-list=skip", random);
            for _ in 0..random.below(6) {
                skip.push(format!("/{}", random.pick(paths)));
            }
        }
        let mut list = Vec::new();
        if random.chance(10) {
            list = format!("tree{number}\0/\0tree{}\0/\0", random.below(TREES)).into_bytes();
            add(100, "--from-file=list", random);
            add(100, "out", random);
        } else {
            if random.chance(15) && !paths.is_empty() {
                let path = random.pick(paths).trim_end_matches('/').to_owned();
                add(100, &format!("--subpath=/{path}"), random);
            }
            add(100, &format!("tree{number}"), random);
            add(100, "out", random);
        }
        Self {
            arguments,
            skip,
            list,
        }
    }

    fn has(&self, option: &str) -> bool {
        self.arguments.iter().any(|argument| argument == option)
    }
}

/// Compares random checkouts of random trees in a mode.
#[track_caller]
fn compare(mode: &'static str, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut random = Random::new(seed);
        let scene = Scene::new(mode, &mut random);
        for round in 0..ROUNDS {
            scene.round(&mut random, &format!("seed {seed}, round {round}"));
        }
    }
}

#[test]
fn random_checkouts_from_archive_are_alike() {
    compare("archive", 0..1);
}

#[test]
fn random_checkouts_from_bare_are_alike() {
    compare("bare", 10..11);
}

#[test]
fn random_checkouts_from_bare_user_are_alike() {
    compare("bare-user", 20..21);
}

#[test]
fn random_checkouts_from_bare_user_only_are_alike() {
    compare("bare-user-only", 30..31);
}

#[test]
fn random_checkouts_from_bare_split_xattrs_are_alike() {
    compare("bare-split-xattrs", 40..41);
}
