//! The embedded tree: a small operating system, the same on every machine.
//!
//! Programs, libraries that do not compress, documents that do, empty files, private ones, links that lead somewhere
//! and nowhere, names with spaces and accents. All modes are set whatever the umask.

use anyhow::Context as _;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

const PROGRAMS: u64 = 16;
const LIBRARIES: u64 = 24;
const PACKAGES: u64 = 40;

const WORDS: [&str; 16] = [
    "stable", "horse", "inn", "rider", "road", "saddle", "oats", "lantern", "the", "a", "of", "and", "rests",
    "travels", "waits", "north",
];

/// Makes the tree at `root`, which must not be there.
pub(super) fn generate(root: &Path) -> anyhow::Result<()> {
    let tree = Tree { root };
    tree.system()?;
    tree.programs()?;
    tree.libraries()?;
    tree.documents()
}

struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    fn system(&self) -> anyhow::Result<()> {
        self.directory("")?;
        self.directory("var")?;
        self.file("etc/os-release", b"NAME=Inn\nID=inn\nVERSION_ID=1\n", 0o644)?;
        self.file("etc/hostname", b"inn\n", 0o644)?;
        self.file("etc/motd", b"", 0o644)?;
        self.file("etc/keys/private", b"not for everybody\n", 0o600)?;
        self.link("etc/mtab", "../proc/self/mounts")?;
        self.link("bin", "usr/bin")?;
        self.link("lib", "usr/lib")
    }

    fn programs(&self) -> anyhow::Result<()> {
        for number in 0..PROGRAMS {
            let text = Random(number).text(300);
            let script = format!("#!/bin/sh\ncat <<'END'\n{text}END\n");
            self.file(&format!("usr/bin/tool{number:02}"), script.as_bytes(), 0o755)?;
        }
        Ok(())
    }

    fn libraries(&self) -> anyhow::Result<()> {
        for number in 0..LIBRARIES {
            let name = format!("libinn{number:02}.so");
            let length = 4096 * (1 + number);
            self.file(
                &format!("usr/lib/{name}.1"),
                &Random(1000 + number).bytes(length),
                0o755,
            )?;
            self.link(&format!("usr/lib/{name}"), &format!("{name}.1"))?;
        }
        Ok(())
    }

    fn documents(&self) -> anyhow::Result<()> {
        for number in 0..PACKAGES {
            let directory = format!("usr/share/doc/package{number:02}");
            for (name, length) in [("copyright", 2_000), ("changelog", 12_000), ("read me", 800)] {
                let text = Random(100 * length + number).text(length);
                self.file(&format!("{directory}/{name}"), text.as_bytes(), 0o644)?;
            }
        }
        self.file("usr/share/locale/français", "prêt\n".as_bytes(), 0o444)
    }

    fn directory(&self, path: &str) -> anyhow::Result<()> {
        let path = self.root.join(path);
        if path.is_dir() {
            return Ok(());
        }
        let made = fs::create_dir(&path).and_then(|()| set_mode(&path, 0o755));
        made.with_context(|| format!("cannot make {}", path.display()))
    }

    /// Makes the directories above `path`.
    fn parents(&self, path: &str) -> anyhow::Result<()> {
        for (end, _) in path.match_indices('/') {
            self.directory(path.get(..end).unwrap_or_default())?;
        }
        Ok(())
    }

    fn file(&self, path: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
        self.parents(path)?;
        let path = self.root.join(path);
        let written = fs::write(&path, content).and_then(|()| set_mode(&path, mode));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    fn link(&self, path: &str, target: &str) -> anyhow::Result<()> {
        self.parents(path)?;
        let path = self.root.join(path);
        symlink(target, &path).with_context(|| format!("cannot make {}", path.display()))
    }
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// A sequence of numbers that a seed decides: `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(mut self, length: u64) -> Vec<u8> {
        (0..length / 8).flat_map(|_| self.next().to_le_bytes()).collect()
    }

    /// Returns lines of words, a little longer than `length`.
    fn text(mut self, length: u64) -> String {
        let mut text = String::new();
        while (text.len() as u64) < length {
            for _ in 0..10 {
                let word = WORDS.iter().cycle().nth((self.next() % 16) as usize);
                let _written = write!(text, "{} ", word.unwrap_or(&""));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::{Totals, listing};
    use super::*;
    use ostler_format::Hasher;

    #[test]
    fn the_tree_is_the_same_on_every_machine() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("tree");
        generate(&root).unwrap();

        let listing = listing(&root).unwrap();
        let mut hasher = Hasher::new();
        for (path, metadata) in &listing {
            let mode = metadata.permissions().mode() & 0o7777;
            hasher.update(format!("{} {mode:o}\n", path.display()).as_bytes());
            if metadata.is_file() {
                hasher.update(&fs::read(root.join(path)).unwrap());
            } else if metadata.is_symlink() {
                let target = fs::read_link(root.join(path)).unwrap();
                hasher.update(target.as_os_str().as_encoded_bytes());
            }
        }

        let totals = Totals::of(&listing);
        assert_eq!((totals.files, totals.links), (165, 27));
        assert_eq!(
            hasher.finish().to_string(),
            "8c24c93caa147496a425ee714c1ec2146b51c561274658d959492221e5a43147"
        );
    }
}
