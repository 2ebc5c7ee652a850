//! The 256 directories `00` to `ff` below `objects/` or a staging directory.
//!
//! Each is opened once, when first needed, and stays open: later calls name only a file in it, which saves the
//! walk through the directory and means that a symbolic link planted in its place cannot lead a call astray.

use crate::fs::{Dir, Linked};
use ostler_format::{Checksum, ObjectName, ObjectType, RepoMode};
use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory of loose objects, by prefix.
pub(crate) struct PrefixDirs {
    root: Dir,
    /// Whether all objects lie in the one directory, without their first two digits; the other 62 tell them apart.
    flat: bool,
    opened: Box<[OnceLock<Dir>]>,
    /// Directories that were not there when somebody asked by [`recall`](Self::recall).
    missed: Box<[AtomicBool]>,
    grown: AtomicBool,
}

impl PrefixDirs {
    /// Wraps the directory that holds the 256.
    pub(crate) fn new(root: Dir) -> Self {
        Self {
            root,
            flat: false,
            opened: std::iter::repeat_with(OnceLock::new).take(256).collect(),
            missed: std::iter::repeat_with(AtomicBool::default).take(256).collect(),
            grown: AtomicBool::new(false),
        }
    }

    /// Wraps a directory that holds all objects itself, for places of our own: few objects need few calls there.
    pub(crate) fn flat(root: Dir) -> Self {
        Self {
            flat: true,
            ..Self::new(root)
        }
    }

    /// Returns the directory that holds the 256.
    pub(crate) fn root(&self) -> &Dir {
        &self.root
    }

    /// Returns the directory for `prefix`, or `None` where there is none (yet).
    pub(crate) fn get(&self, prefix: u8) -> io::Result<Option<&Dir>> {
        if self.flat {
            return Ok(Some(&self.root));
        }
        let slot = self.slot(prefix);
        if let Some(dir) = slot.get() {
            return Ok(Some(dir));
        }
        let opened = self.root.open_dir_if_exists(directory_name(prefix).as_str())?;
        Ok(opened.map(|dir| slot.get_or_init(|| dir)))
    }

    /// As [`get`](Self::get), but a directory that was not there once is not looked for again: for those to whom it is no
    /// harm to miss what another writer has made since.
    pub(crate) fn recall(&self, prefix: u8) -> io::Result<Option<&Dir>> {
        let missed = self
            .missed
            .get(usize::from(prefix))
            .expect("there is one for each of the 256 prefixes");
        if missed.load(Ordering::Relaxed) {
            return Ok(self.slot(prefix).get());
        }
        let found = self.get(prefix)?;
        missed.store(found.is_none(), Ordering::Relaxed);
        Ok(found)
    }

    /// Returns the directory for `prefix`, made where there was none.
    pub(crate) fn ensure(&self, prefix: u8) -> io::Result<&Dir> {
        if let Some(dir) = self.get(prefix)? {
            return Ok(dir);
        }
        let name = directory_name(prefix);
        if self.root.make_dir(name.as_str(), 0o777)? == Linked::New {
            self.grown.store(true, Ordering::Relaxed);
        }
        let dir = self.root.open_dir(name.as_str())?;
        Ok(self.slot(prefix).get_or_init(|| dir))
    }

    /// Returns whether a directory was made since the last call, so that the holder needs a sync.
    pub(crate) fn take_grown(&self) -> bool {
        self.grown.swap(false, Ordering::Relaxed)
    }

    fn slot(&self, prefix: u8) -> &OnceLock<Dir> {
        self.opened
            .get(usize::from(prefix))
            .expect("there is a slot for each of the 256 prefixes")
    }
}

impl fmt::Debug for PrefixDirs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefixDirs")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Returns the first byte of a checksum: the directory that its object lies in.
pub(crate) fn prefix_of(checksum: &Checksum) -> u8 {
    let [first, ..] = checksum.as_bytes();
    *first
}

/// The name of a prefix directory or of a file in it, without allocation.
#[derive(Clone, Copy)]
pub(crate) struct LooseName {
    bytes: [u8; LooseName::CAPACITY],
    length: usize,
}

impl LooseName {
    /// 62 digits, a dot, and the longest suffix (`file-xattrs-link`, `tombstone-commit`).
    const CAPACITY: usize = 62 + 1 + 16;

    fn concat(parts: &[&str]) -> Self {
        let mut name = Self {
            bytes: [0; Self::CAPACITY],
            length: 0,
        };
        for part in parts {
            let end = name.length + part.len();
            if let Some(slot) = name.bytes.get_mut(name.length..end) {
                slot.copy_from_slice(part.as_bytes());
                name.length = end;
            }
        }
        name
    }

    /// Returns the name as text.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Returns the two digits of a prefix directory.
pub(crate) fn directory_name(prefix: u8) -> LooseName {
    let mut bytes = [0; 32];
    bytes[0] = prefix;
    let hex = Checksum::from_bytes(bytes).to_hex();
    LooseName::concat(&[hex.split().0])
}

/// Returns the name of an object's file within its prefix directory.
pub(crate) fn file_name(name: &ObjectName, mode: RepoMode) -> LooseName {
    let suffix = match name.kind {
        ObjectType::File if mode.is_archive() => "filez",
        kind => kind.as_str(),
    };
    LooseName::concat(&[name.checksum.to_hex().split().1, ".", suffix])
}

/// Returns the object that a file in a prefix directory stands for in a repository of `mode`: `.filez` is one only
/// in an archive, `.file` only elsewhere. `None` for what is not the name of an object (temporary files and the like).
pub(crate) fn object_of(prefix: u8, file: &[u8], mode: RepoMode) -> Option<ObjectName> {
    let (rest, suffix) = file.split_at_checked(62)?;
    let suffix = std::str::from_utf8(suffix).ok()?.strip_prefix('.')?;
    let kind = ObjectType::from_suffix(suffix)?;
    if kind == ObjectType::File && (suffix == "filez") != mode.is_archive() {
        return None;
    }
    let mut hex = [0; 64];
    let (first, others) = hex.split_at_mut(2);
    first.copy_from_slice(directory_name(prefix).as_str().as_bytes());
    others.copy_from_slice(rest);
    let checksum = Checksum::from_hex(std::str::from_utf8(&hex).ok()?).ok()?;
    Some(ObjectName::new(checksum, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_loose_paths_for_every_type_and_mode() {
        for kind in ObjectType::ALL {
            for mode in [RepoMode::Archive, RepoMode::Bare] {
                let name = ObjectName::new(Checksum::of(b"x"), kind);
                let path = name.loose_path(mode);
                assert_eq!(path.file(), file_name(&name, mode).as_str());
                assert_eq!(
                    path.directory(),
                    directory_name(prefix_of(&name.checksum)).as_str()
                );
            }
        }
    }

    #[test]
    fn files_stand_for_the_objects_whose_names_they_have() {
        for kind in ObjectType::ALL {
            for mode in [RepoMode::Archive, RepoMode::Bare] {
                let name = ObjectName::new(Checksum::of(b"x"), kind);
                let (prefix, file) = (prefix_of(&name.checksum), file_name(&name, mode));
                let file = file.as_str().as_bytes();
                assert_eq!(object_of(prefix, file, mode), Some(name));
                assert_eq!(object_of(prefix, &file[1..], mode), None);
                let other = match mode {
                    RepoMode::Archive => RepoMode::Bare,
                    _ => RepoMode::Archive,
                };
                let read = object_of(prefix, file, other);
                assert_eq!(read.is_none(), kind == ObjectType::File, "{kind}");
            }
        }
        for stray in ["", ".~tmp~", "é", &"é".repeat(40), &"G".repeat(62)] {
            assert_eq!(object_of(0, stray.as_bytes(), RepoMode::Bare), None, "{stray}");
        }
    }

    #[test]
    fn a_prefix_that_leads_elsewhere_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let inside = scratch.path().join("objects");
        std::fs::create_dir(&inside).unwrap();
        std::os::unix::fs::symlink(scratch.path(), inside.join("ab")).unwrap();

        let dirs = PrefixDirs::new(Dir::open(&inside).unwrap());

        assert!(dirs.get(0xab).is_err());
        assert!(dirs.ensure(0xab).is_err());
        assert!(dirs.get(0xcd).unwrap().is_none());
        assert!(dirs.ensure(0xcd).is_ok() && dirs.take_grown() && !dirs.take_grown());
    }
}
