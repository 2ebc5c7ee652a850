//! Random trees committed with random options by stock ostree and by us: the same commit, or both fail.

use crate::archives::Bench;
use ostler_testkit::random::Random;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::Path;

/// Sizes around the limits of headers, pages, blocks and buffers.
const SIZES: &[usize] = &[
    0, 1, 31, 32, 55, 56, 511, 512, 4095, 4096, 4097, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145,
];

/// Sizes around those from which content is streamed.
const LARGE: &[usize] = &[1_048_575, 1_048_576, 1_048_577, 2_097_151, 2_097_152, 2_097_153];

const MODES: &[u32] = &[
    0o644, 0o755, 0o600, 0o400, 0, 0o4755, 0o2711, 0o1644, 0o777, 0o7777,
];

const NAMES: &[&str] = &[
    "a", "b", "A", "a.b", "a-b", "größe", "日本", "x y", "_", "zz", "-dash", "~", "a\tb", "..x", "a\nb", "\\",
];

/// Capabilities of a file, as the kernel takes them.
const CAPABILITIES: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Puts random entries below a directory, whose path relative to the tree it gets.
fn grow(tree: &Tree, random: &mut Random, directory: &str, depth: usize, files: &mut Vec<String>) {
    for number in 0..=random.below(6) {
        let path = format!("{directory}{}{number}", random.pick(NAMES));
        match random.below(10) {
            0..=1 if depth < 5 => {
                tree.dir(&path, *random.pick(&[0o755, 0o700, 0o1777, 0o2775, 0o500]));
                attributes(tree, random, &path);
                grow(tree, random, &format!("{path}/"), depth + 1, files);
            }
            2 => {
                let long = "t/".repeat(*random.pick(&[50, 127, 128, 2000]));
                let target = *random.pick(&["a", "../x", "/etc/größe", "dangling", ".", &long]);
                tree.symlink(&path, target);
                if random.chance(10) {
                    tree.xattr(&path, "trusted.link", b"value");
                }
                files.push(path);
            }
            3 if !files.is_empty() => {
                let existing = random.pick(files).clone();
                tree.hard_link(&path, &existing);
            }
            _ => {
                let sizes = if random.chance(3) { LARGE } else { SIZES };
                let size = *random.pick(sizes);
                let content = if random.chance(50) {
                    random.text(size)
                } else {
                    random.bytes(size)
                };
                // A name may be as long as this.
                let path = if random.chance(3) {
                    format!("{directory}{}", format!("{number}").repeat(255))
                } else {
                    path
                };
                tree.file(&path, content, *random.pick(MODES));
                attributes(tree, random, &path);
                if random.chance(3) {
                    tree.xattr(&path, "security.capability", CAPABILITIES);
                }
                if random.chance(20) {
                    let (uid, gid) = (random.below(70_000), random.below(70_000));
                    let id = |number| u32::try_from(number).expect("a small number");
                    tree.owner(&path, id(uid), id(gid));
                }
                files.push(path);
            }
        }
    }
}

/// Gives some files and directories extended attributes.
fn attributes(tree: &Tree, random: &mut Random, path: &str) {
    if !random.chance(20) {
        return;
    }
    for _ in 0..=random.below(3) {
        let name = random.pick(&["a", "b", "größe", "long.name.of.attribute", "with=sign"]);
        let length = *random.pick(&[1, 2, 255, 256, 1000]);
        tree.xattr(path, &format!("user.{name}"), &random.bytes(length));
    }
}

/// Writes lists of paths that exist, for options that take them.
fn lists(bench: &Bench, random: &mut Random, files: &[String]) {
    let (mut overrides, mut skipped) = (Vec::new(), Vec::new());
    for file in files {
        match random.below(10) {
            0 => {
                let exact = *random.pick(&["", "="]);
                overrides.push(format!("{exact}{} /{file}\n", random.below(4096)));
            }
            1 => skipped.push(format!("/{file}\n")),
            _ => {}
        }
    }
    let write = |name: &str, text: String| fs::write(bench.path(name), text).expect("our own file");
    write("overrides", overrides.concat());
    write("skipped", skipped.concat());
    write("message", "first\n\nsecond größe\n".to_owned());
}

/// Options that go together with any others.
const OPTIONS: &[&str] = &[
    "--no-xattrs",
    "--mode-ro-executables",
    "--owner-uid=0",
    "--owner-uid=4242",
    "--owner-gid=99",
    "--canonical-permissions",
    "--statoverride=overrides",
    "--skip-list=skipped",
    "--subject=Größe",
    "--body=a\nb",
    "--body-file=message",
    "--add-metadata-string=version=1.0",
    "--add-metadata-string=a=",
    "--add-metadata=list=[1, 2, 3]",
    "--add-metadata=dict={'x': <uint32 7>}",
    "--bind-ref=z/ref",
    "--bind-ref=a-ref",
    "--no-bindings",
    "--add-detached-metadata-string=note=x",
    "--bootable",
    "--selinux-policy=/",
    "--timestamp=1999-12-31 23:59:59 +0100",
];

/// Options that go together with those, where there is a commit already.
const LATER: &[&str] = &[
    "--parent=",
    "--keep-metadata=version@",
    "--base=",
    "--tree=ref=",
    "--skip-if-unchanged@",
];

/// Chooses options, some of which need a commit that was made before.
fn options(random: &mut Random, before: Option<&str>) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for option in OPTIONS {
        if random.chance(12) {
            options.push((*option).to_owned());
        }
    }
    for option in LATER {
        if let Some(before) = before.filter(|_| random.chance(20)) {
            match option.strip_suffix('@') {
                None => options.push(format!("{option}{before}")),
                Some(option) => options.extend([option.to_owned(), format!("--parent={before}")]),
            }
        }
    }
    match random.below(4) {
        0 => options.push("--tree=dir=second".to_owned()),
        1 => options.push("--tree=tar=tree.tar".to_owned()),
        _ => {}
    }
    let place = random.below(options.len() + 1);
    options.insert(place, "--tree=dir=tree".to_owned());
    options
}

/// Adds a kernel, or several, or none.
fn kernels(tree: &Path, random: &mut Random) {
    for number in 0..random.below(3) {
        let directory = tree.join(format!("usr/lib/modules/6.{number}"));
        fs::create_dir_all(&directory).expect("our own directory");
        fs::write(directory.join("vmlinuz"), "kernel").expect("our own file");
    }
}

fn compare(seed: u64) {
    let mut random = Random::new(seed);
    let mode = *random.pick(&["archive", "bare", "bare-user", "bare-user-only"]);
    let bench = Bench::of_mode(mode);
    let mut files = Vec::new();
    grow(&Tree::at(&bench.path("tree")), &mut random, "", 0, &mut files);
    grow(
        &Tree::at(&bench.path("second")),
        &mut random,
        "",
        3,
        &mut Vec::new(),
    );
    kernels(&bench.path("tree"), &mut random);
    lists(&bench, &mut random, &files);
    bench.shell("tar --format=pax -C second -cf tree.tar .");
    let mut before = None;
    for _ in 0..8 {
        let options = options(&mut random, before.as_deref());
        println!("seed {seed}, {mode}: {options:?}");
        before = bench.both(&options).ok().or(before);
    }
}

#[test]
fn the_first_random_trees_become_the_commits_of_stock() {
    (0..8).for_each(compare);
}

#[test]
fn more_random_trees_become_the_commits_of_stock() {
    (100..108).for_each(compare);
}
