//! Random trees to commit, and random things in the way of a checkout; the same for equal seeds.

use ostler_testkit::random::Random;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::Path;

/// Names, so few that trees of different seeds meet in many of them.
const NAMES: [&str; 12] = [
    "a",
    "b",
    "c",
    "usr",
    "lib",
    "etc",
    "with space",
    "größe",
    "x.y",
    "z~",
    "long-long-long-name",
    "Q",
];
/// Sizes at the borders of buffers and blocks.
const SIZES: [usize; 14] = [
    0, 0, 1, 2, 100, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 262_145, 1_048_577,
];
const FILE_MODES: [u32; 12] = [
    0o644, 0o644, 0o755, 0o600, 0o444, 0o400, 0o000, 0o200, 0o664, 0o4755, 0o2711, 0o1666,
];
/// Those that a bare-user-only repository takes.
const PLAIN_FILE_MODES: [u32; 6] = [0o644, 0o755, 0o600, 0o444, 0o200, 0o664];
const DIR_MODES: [u32; 6] = [0o755, 0o700, 0o775, 0o1777, 0o2755, 0o500];
const OWNERS: [u32; 4] = [0, 0, 1000, 65_534];

/// What a tree may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Only what a bare-user-only repository keeps.
    pub(super) plain: bool,
    /// Whiteouts of both kinds.
    pub(super) whiteouts: bool,
}

/// Builds a tree. What a path is depends on nothing but the path for the most part, so that trees share much.
pub(super) fn build(root: &Path, kind: Kind, random: &mut Random) {
    let tree = Tree::at(root);
    let mut maker = Maker {
        tree: &tree,
        kind,
        random,
        files: Vec::new(),
    };
    maker.directory("", 0);
}

struct Maker<'a> {
    tree: &'a Tree,
    kind: Kind,
    random: &'a mut Random,
    files: Vec<String>,
}

impl Maker<'_> {
    fn directory(&mut self, path: &str, depth: usize) {
        for name in NAMES {
            if !self.random.chance(55) {
                continue;
            }
            let path = format!("{path}{name}");
            let mut chosen = self.of_path(&path);
            match chosen.below(20) {
                0 if !self.files.is_empty() => {
                    let other = self.random.pick(&self.files).clone();
                    self.tree.hard_link(&path, &other);
                }
                0..=2 => self.symlink(&path, &mut chosen),
                3..=12 if depth < 3 => {
                    self.tree.dir(&path, 0o755);
                    self.directory(&format!("{path}/"), depth + 1);
                    let mode = *chosen.pick(&DIR_MODES);
                    self.tree.dir(&path, mode);
                    self.owner(&path, &mut chosen);
                    if !self.kind.plain && chosen.chance(20) {
                        self.tree.xattr(&path, "user.dir", b"value");
                    }
                }
                _ => self.file(&path, &mut chosen),
            }
        }
        if self.kind.whiteouts {
            self.whiteouts(path, depth);
        }
    }

    /// Returns the numbers that decide what lies at a path.
    fn of_path(&mut self, path: &str) -> Random {
        if self.random.chance(5) {
            return Random::new(self.random.next_u64());
        }
        let seed = path.bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        Random::new(seed)
    }

    fn file(&mut self, path: &str, chosen: &mut Random) {
        let size = *chosen.pick(&SIZES);
        let mut content = chosen.text(size);
        let mode = if self.kind.plain {
            *chosen.pick(&PLAIN_FILE_MODES)
        } else {
            *chosen.pick(&FILE_MODES)
        };
        // Of the same size at times, and not the same.
        if let Some(first) = content.first_mut().filter(|_| self.random.chance(10)) {
            *first = b'!';
        }
        self.tree.file(path, content, mode);
        self.owner(path, chosen);
        if !self.kind.plain && chosen.chance(20) {
            self.tree.xattr(path, "user.note", b"kept");
        }
        self.files.push(path.to_owned());
    }

    fn symlink(&mut self, path: &str, chosen: &mut Random) {
        let target = *chosen.pick(&["a", "../b", "/etc/passwd", "nowhere", "."]);
        self.tree.symlink(path, target);
        self.owner(path, chosen);
    }

    fn owner(&self, path: &str, chosen: &mut Random) {
        if !self.kind.plain {
            let (uid, gid) = (*chosen.pick(&OWNERS), *chosen.pick(&OWNERS));
            self.tree.owner(path, uid, gid);
        }
    }

    /// Orders to hide names that the directory does not have itself.
    fn whiteouts(&mut self, path: &str, depth: usize) {
        let start = self.random.below(NAMES.len());
        for (prefix, name) in [".wh.", ".ostree-wh."]
            .iter()
            .zip(NAMES.iter().cycle().skip(start))
        {
            let there = self.tree.path().join(format!("{path}{name}"));
            if self.random.chance(40) && fs::symlink_metadata(there).is_err() {
                let mode = *self.random.pick(&PLAIN_FILE_MODES);
                self.tree.file(&format!("{path}{prefix}{name}"), "", mode);
            }
        }
        if depth > 0 && self.random.chance(15) {
            self.tree.file(&format!("{path}.wh..wh..opq"), "", 0o644);
        }
    }
}

/// Returns the paths of a tree, those of directories with a slash at the end.
pub(super) fn paths(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(above) = pending.pop() {
        let mut entries: Vec<_> = fs::read_dir(root.join(&above))
            .expect("our own tree")
            .map(|entry| entry.expect("our own tree"))
            .collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = format!("{above}{name}");
            if entry.file_type().expect("our own tree").is_dir() {
                found.push(format!("{path}/"));
                pending.push(format!("{path}/"));
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// The time of what was there before, in seconds since the epoch.
pub(super) const BEFORE: i64 = 1_500_000_000;

/// Puts things in the way of a checkout: a tree of its own, and links to directories.
pub(super) fn obstacles(root: &Path, random: &mut Random) {
    let kind = Kind {
        plain: true,
        whiteouts: false,
    };
    build(root, kind, random);
    // What two paths of a commit lead to would depend on which comes first: no commit has this directory.
    let name = *random.pick(&NAMES);
    if random.chance(50) && fs::symlink_metadata(root.join(name)).is_err() {
        Tree::at(root).dir("only-here", 0o711).symlink(name, "only-here");
    }
    // From the bottom up: making a time in a directory leaves that of the directory alone.
    for path in paths(root).iter().map(String::as_str).chain([""]) {
        set_time(&root.join(path));
    }
}

fn set_time(path: &Path) {
    let time = rustix::fs::Timespec {
        tv_sec: BEFORE,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(
        rustix::fs::CWD,
        path,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .expect("our own file");
}
