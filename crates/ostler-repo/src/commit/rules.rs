//! What becomes of the owner, the mode and the extended attributes of a file on its way into a commit.
//!
//! The order is libostree's, since it decides the id: owner and group, then executables made read-only, then the
//! stat overrides, then canonical permissions.

use crate::error::{RepoError, Result};
use ostler_format::{PERMISSION_BITS, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use std::collections::{BTreeMap, BTreeSet};

/// The permission bits that canonical permissions leave.
const CANONICAL_BITS: u32 = 0o755;
const EXECUTABLE_BITS: u32 = 0o111;
const WRITABLE_BITS: u32 = 0o222;

/// Changes to make to all that is committed from directories, and from refs as well if there is any change.
#[derive(Debug, Clone, Default)]
pub struct TreeRules {
    /// Everything belongs to this user.
    pub owner_uid: Option<u32>,
    /// Everything belongs to this group.
    pub owner_gid: Option<u32>,
    /// Everything belongs to 0:0, has no permission bits outside 0755 (but for symbolic links) and no extended
    /// attributes. A bare-user-only repository has no other way.
    pub canonical_permissions: bool,
    /// Extended attributes are left out.
    pub no_xattrs: bool,
    /// Executable regular files are writable by nobody.
    pub read_only_executables: bool,
    /// Modes for single paths.
    pub stat_overrides: StatOverrides,
    /// Paths to leave out, with all below them. They begin with `/`.
    pub skip: BTreeSet<String>,
}

/// What to do to one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeChange {
    /// These bits are added.
    Add(u32),
    /// The permission bits are these.
    Set(u32),
}

/// Modes for single paths, as read from a file of lines `MODE PATH` and `=MODE PATH`.
///
/// The numbers are decimal. Without `=` the bits are added to those that the file has; libostree forgets these for
/// directories on disk other than the root, and ids must be equal, so it is the same here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatOverrides(BTreeMap<String, ModeChange>);

impl StatOverrides {
    /// Reads the lines of a file. Empty lines mean nothing.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] for a line of another form, and for bits that are no permission bits.
    pub fn parse(text: &str) -> Result<Self> {
        let mut changes = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let refused = |why: &str| {
                let detail = format!("{why} in line '{}'", line.escape_debug());
                RepoError::invalid("statoverride file", detail)
            };
            let (mode, path) = line.split_once(' ').ok_or_else(|| refused("no space found"))?;
            let (digits, exact) = match mode.strip_prefix('=') {
                Some(digits) => (digits, true),
                None => (mode, false),
            };
            let mode: u32 = digits.parse().map_err(|_error| refused("no decimal mode"))?;
            if mode & !PERMISSION_BITS != 0 {
                return Err(refused("a mode beyond 4095 (octal 7777)"));
            }
            let change = if exact {
                ModeChange::Set(mode)
            } else {
                ModeChange::Add(mode)
            };
            changes.insert(path.to_owned(), change);
        }
        Ok(Self(changes))
    }
}

/// Reads a list of paths to leave out, one a line. Empty lines mean nothing.
pub fn parse_skip_list(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

impl TreeRules {
    /// Returns whether everything is committed as it is.
    pub fn is_identity(&self) -> bool {
        self.owner_uid.is_none()
            && self.owner_gid.is_none()
            && !self.canonical_permissions
            && !self.no_xattrs
            && !self.read_only_executables
            && !self.names_paths()
    }

    /// Returns whether any rule is about single paths, so that paths must be known.
    pub(super) fn names_paths(&self) -> bool {
        !self.stat_overrides.0.is_empty() || !self.skip.is_empty()
    }

    /// Returns whether extended attributes are left out.
    pub(super) fn drops_xattrs(&self) -> bool {
        self.no_xattrs || self.canonical_permissions
    }

    /// Changes owner and mode.
    pub(super) fn apply(&self, uid: &mut u32, gid: &mut u32, mode: &mut u32, change: Option<ModeChange>) {
        *uid = self.owner_uid.unwrap_or(*uid);
        *gid = self.owner_gid.unwrap_or(*gid);
        let kind = *mode & S_IFMT;
        if self.read_only_executables && kind == S_IFREG && *mode & EXECUTABLE_BITS != 0 {
            *mode &= !WRITABLE_BITS;
        }
        match change {
            Some(ModeChange::Add(bits)) => *mode |= bits,
            Some(ModeChange::Set(bits)) => *mode = kind | bits,
            None => {}
        }
        if self.canonical_permissions {
            (*uid, *gid) = (0, 0);
            if kind != S_IFLNK {
                *mode = kind | (*mode & CANONICAL_BITS);
            }
        }
    }
}

/// What the rules say of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Leave it out.
    Skip,
    /// Take it, with this change of its mode.
    Take(Option<ModeChange>),
}

/// Looks paths up in the rules, and remembers which of the rules met a path.
///
/// Where several sources have the same path, rules that leave it out or add bits are about the first of them: libostree
/// strikes them off once they are applied, and ids must be equal.
#[derive(Debug)]
pub(super) struct PathRules<'a> {
    rules: &'a TreeRules,
    met: BTreeSet<&'a str>,
    skipped: BTreeSet<&'a str>,
}

impl<'a> PathRules<'a> {
    pub(super) fn new(rules: &'a TreeRules) -> Self {
        Self {
            rules,
            met: BTreeSet::new(),
            skipped: BTreeSet::new(),
        }
    }

    /// Returns whether any path has to be looked up.
    pub(super) fn matter(&self) -> bool {
        self.rules.names_paths()
    }

    /// Looks up a path of type `kind`.
    pub(super) fn look_up(&mut self, path: &str, kind: u32) -> Verdict {
        if self.is_skipped(path) {
            return Verdict::Skip;
        }
        let Some((path, change)) = self.rules.stat_overrides.0.get_key_value(path) else {
            return Verdict::Take(None);
        };
        let first = self.met.insert(path);
        let forgotten = !first || kind == S_IFDIR && path != "/";
        let applies = matches!(change, ModeChange::Set(_)) || !forgotten;
        Verdict::Take(applies.then_some(*change))
    }

    /// Returns whether a path is to be left out: the first time that it comes by.
    pub(super) fn is_skipped(&mut self, path: &str) -> bool {
        match self.rules.skip.get(path) {
            Some(path) => self.skipped.insert(path),
            None => false,
        }
    }

    /// Checks that every path in the rules was there.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] with those that were not.
    pub(super) fn finish(self) -> Result<()> {
        // Those that set a whole mode need not be there, as in stock.
        let overrides = self.rules.stat_overrides.0.iter();
        let overrides = overrides
            .filter(|(_, change)| matches!(change, ModeChange::Add(_)))
            .map(|(path, _)| path.as_str());
        refuse_unmatched("statoverride", overrides, &self.met)?;
        let skips = self.rules.skip.iter().map(String::as_str);
        refuse_unmatched("skip-list", skips, &self.skipped)
    }
}

fn refuse_unmatched<'a>(
    what: &str,
    wanted: impl Iterator<Item = &'a str>,
    met: &BTreeSet<&str>,
) -> Result<()> {
    let missing: Vec<&str> = wanted.filter(|path| !met.contains(path)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(RepoError::Refused {
        detail: format!("Unmatched {what} paths: {}", missing.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(rules: &TreeRules, mode: u32, change: Option<ModeChange>) -> (u32, u32, u32) {
        let (mut uid, mut gid, mut mode) = (7, 8, mode);
        rules.apply(&mut uid, &mut gid, &mut mode, change);
        (uid, gid, mode)
    }

    #[test]
    fn rules_apply_in_the_order_that_decides_the_id() {
        let mut rules = TreeRules::default();
        assert_eq!(applied(&rules, 0o104_755, None), (7, 8, 0o104_755));
        rules.owner_uid = Some(0);
        rules.read_only_executables = true;
        assert_eq!(applied(&rules, 0o100_755, None), (0, 8, 0o100_555));
        assert_eq!(
            applied(&rules, 0o100_755, Some(ModeChange::Add(0o200))),
            (0, 8, 0o100_755)
        );
        assert_eq!(
            applied(&rules, 0o100_755, Some(ModeChange::Set(0o600))),
            (0, 8, 0o100_600)
        );
        assert_eq!(applied(&rules, 0o040_755, None), (0, 8, 0o040_755));
        rules.canonical_permissions = true;
        assert_eq!(
            applied(&rules, 0o106_644, Some(ModeChange::Add(0o2022))),
            (0, 0, 0o100_644)
        );
        assert_eq!(applied(&rules, 0o120_777, None), (0, 0, 0o120_777));
        assert_eq!(applied(&rules, 0o041_777, None), (0, 0, 0o040_755));
    }

    #[test]
    fn override_lines_are_decimal_and_strict() {
        let overrides = StatOverrides::parse("=2541 /a b\n\n1024 /c\n").unwrap();
        let wanted = [
            ("/a b".to_owned(), ModeChange::Set(0o4755)),
            ("/c".to_owned(), ModeChange::Add(0o2000)),
        ];
        assert_eq!(overrides.0, BTreeMap::from(wanted));
        for bad in ["/a", "x /a", "=x /a", "-1 /a", "4096 /a"] {
            assert!(StatOverrides::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_that_meet_nothing_are_named() {
        let rules = TreeRules {
            stat_overrides: StatOverrides::parse("1 /a\n2 /b\n").unwrap(),
            skip: parse_skip_list("/s\n"),
            ..TreeRules::default()
        };
        let mut paths = PathRules::new(&rules);
        assert_eq!(
            paths.look_up("/a", S_IFREG),
            Verdict::Take(Some(ModeChange::Add(1)))
        );
        assert_eq!(paths.look_up("/b", S_IFDIR), Verdict::Take(None));
        assert_eq!(paths.look_up("/s", S_IFREG), Verdict::Skip);
        assert_eq!(paths.look_up("/t", S_IFREG), Verdict::Take(None));
        assert_eq!(paths.look_up("/s", S_IFREG), Verdict::Take(None));
        assert_eq!(paths.look_up("/a", S_IFREG), Verdict::Take(None));
        assert!(paths.finish().is_ok());
        let mut paths = PathRules::new(&rules);
        assert_eq!(paths.look_up("/b", S_IFDIR), Verdict::Take(None));
        let error = paths.finish().unwrap_err().to_string();
        assert_eq!(error, "Unmatched statoverride paths: /a");
    }
}
