//! What nothing refers to any more, and since when: the list that a sweep goes by.
//!
//! ```text
//! extensions/ostler/retired.json
//!     {"commits": {"<checksum>": <time>}, "files": {"<path>": <time>}, "ends": ["<checksum>", …]}
//! ```
//! Times are seconds since the epoch, UTC. A commit stands for itself and all that it alone needs; a file is one that
//! an index of summaries named (a static delta goes with its commit). Unknown fields are passed over; anything else
//! that is not so makes the whole list worthless: it is then reported, and nothing counts as retired.
//!
//! An end is a commit that stays while its parent is retired: a limit of depth or age cut the history there. Refs do
//! not lead over that edge, although the commit names its parent; without the end they would, and the parent would
//! be live again for whoever knows nothing of the limit.
//!
//! An entry says that nothing has led to the commit since that time, as far as those who change refs know. Who makes refs
//! lead there again removes the entry ([`Retired::revive_commit`]); who retires it twice does not move its time. Tools that
//! know nothing of the list may have made a ref lead there nevertheless: whoever drops that one moves the time
//! ([`Retired::renew_commit`]).
//! An entry is no reason to remove anything by itself: who removes looks again, alone in the repository.
//!
//! The list is changed as an [`Edit`] of the flip that changes the refs, or of one of its own.

use crate::error::{RepoError, Result};
use crate::flip::{Edit, Expect};
use crate::repo::Repo;
use ostler_format::Checksum;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The directory whose files can be retired. All else in a repository has an owner that knows best: deltas go with commits,
/// kept summaries with records.
const HOLDER: &str = "summaries/";

/// What nothing refers to any more, each with the time since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    commits: BTreeMap<Checksum, u64>,
    files: BTreeMap<String, u64>,
    ends: BTreeSet<Checksum>,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    commits: BTreeMap<String, u64>,
    #[serde(default)]
    files: BTreeMap<String, u64>,
    #[serde(default)]
    ends: Vec<String>,
}

impl Retired {
    /// The path of the list, relative to the repository.
    pub const PATH: &'static str = "extensions/ostler/retired.json";
    /// The path of a file with the time at which a flip was completed that a crash had cut short: seconds since the epoch, UTC, decimal.
    /// Refs moved then which the list says to have moved before the crash.
    pub const COMPLETED: &'static str = "extensions/ostler/completed";
    /// The largest list that is read, in bytes: some million entries.
    pub const LIMIT: u64 = 128 << 20;

    /// Reads the bytes of the list, of which there may be none. One that is damaged is told to `report`, and then nothing
    /// is retired: everything on it stays until it is retired anew.
    pub fn read(bytes: Option<&[u8]>, report: impl FnOnce(&RepoError)) -> Self {
        match bytes.map(Self::parse) {
            None => Self::default(),
            Some(Ok(retired)) => retired,
            Some(Err(error)) => {
                report(&error);
                Self::default()
            }
        }
    }

    /// Reads the bytes of the list.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] for what is not such a list, or holds a name that is no checksum, or a path that leads elsewhere
    /// than to what can be retired.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let corrupt = |detail: String| RepoError::Corrupt {
            what: Self::PATH.to_owned(),
            detail,
        };
        // An array would pass for a record whose fields are all absent.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(corrupt("it is an array".into()));
        }
        let record: Record = serde_json::from_slice(bytes).map_err(|fault| corrupt(fault.to_string()))?;
        let mut retired = Self::default();
        for (hex, time) in record.commits {
            let commit = Checksum::from_hex(&hex).map_err(|fault| corrupt(fault.to_string()))?;
            retired.commits.insert(commit, time);
        }
        for (path, time) in record.files {
            if !can_be_retired(&path) {
                let detail = format!("'{}' is no file that can be retired", path.escape_debug());
                return Err(corrupt(detail));
            }
            retired.files.insert(path, time);
        }
        for hex in record.ends {
            let end = Checksum::from_hex(&hex).map_err(|fault| corrupt(fault.to_string()))?;
            retired.ends.insert(end);
        }
        Ok(retired)
    }

    /// Returns the edit that makes this the list; an empty one is no file.
    ///
    /// # Errors
    /// If the list cannot be serialised.
    pub fn edit(&self) -> Result<Edit> {
        Ok(Edit {
            path: Self::PATH.to_owned(),
            expect: Expect::Any,
            new: if self.is_empty() {
                None
            } else {
                Some(self.to_bytes()?)
            },
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let commits = (self.commits.iter()).map(|(commit, time)| (commit.to_string(), *time));
        let record = Record {
            commits: commits.collect(),
            files: self.files.clone(),
            ends: self.ends.iter().map(Checksum::to_string).collect(),
        };
        serde_json::to_vec_pretty(&record)
            .map_err(|fault| RepoError::invalid("list of what is retired", fault.to_string()))
    }

    /// Returns whether nothing is retired.
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.files.is_empty() && self.ends.is_empty()
    }

    /// Returns whether the history of refs ends at a commit, whose parent is retired.
    pub fn is_end(&self, commit: &Checksum) -> bool {
        self.ends.contains(commit)
    }

    /// Sets where the history of refs ends although there is a parent.
    pub fn set_ends(&mut self, ends: impl IntoIterator<Item = Checksum>) {
        self.ends = ends.into_iter().collect();
    }

    /// Returns where the history of refs ends although there is a parent.
    pub fn ends(&self) -> impl Iterator<Item = &Checksum> {
        self.ends.iter()
    }

    /// Returns the retired commits, each with the time since when.
    pub fn commits(&self) -> impl Iterator<Item = (&Checksum, u64)> {
        self.commits.iter().map(|(commit, time)| (commit, *time))
    }

    /// Returns the retired files, each with the time since when.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|(path, time)| (path.as_str(), *time))
    }

    /// Returns whether a commit is retired.
    pub fn has_commit(&self, commit: &Checksum) -> bool {
        self.commits.contains_key(commit)
    }

    /// Notes that nothing leads to a commit any more; one that is on the list keeps its time.
    pub fn retire_commit(&mut self, commit: Checksum, now: u64) {
        self.commits.entry(commit).or_insert(now);
    }

    /// Notes that nothing leads to a commit any more, and that something did until now, whatever the list says.
    pub fn renew_commit(&mut self, commit: Checksum, now: u64) {
        self.commits.insert(commit, now);
    }

    /// Takes a commit off the list: something leads to it, or it is gone. Returns whether it was there.
    pub fn revive_commit(&mut self, commit: &Checksum) -> bool {
        self.commits.remove(commit).is_some()
    }

    /// Notes that nothing needs a file any more; one that is on the list keeps its time. Returns whether it is such as can
    /// be retired; what is not is left off the list.
    pub fn retire_file(&mut self, path: &str, now: u64) -> bool {
        if !can_be_retired(path) {
            return false;
        }
        self.files.entry(path.to_owned()).or_insert(now);
        true
    }

    /// Takes a file off the list: something needs it, or it is gone. Returns whether it was there.
    pub fn revive_file(&mut self, path: &str) -> bool {
        self.files.remove(path).is_some()
    }

    /// Gives all that is not on an earlier list this time: the list was computed some time before it is written.
    pub fn stamp_new(&mut self, earlier: &Self, now: u64) {
        let commits = self.commits.iter_mut();
        for (_, time) in commits.filter(|(commit, _)| !earlier.commits.contains_key(*commit)) {
            *time = now;
        }
        let files = self.files.iter_mut();
        for (_, time) in files.filter(|(path, _)| !earlier.files.contains_key(*path)) {
            *time = now;
        }
    }

    /// Counts what was retired from the time in the bytes of [`COMPLETED`](Self::COMPLETED), if there is one, where that is later. That
    /// is later than it need be for what other flips have retired, which waits a little longer once.
    pub fn count_from(&mut self, completed: Option<&[u8]>) {
        let text = completed.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Some(earliest) = text.and_then(|text| text.trim().parse::<u64>().ok()) else {
            return;
        };
        for time in self.commits.values_mut().chain(self.files.values_mut()) {
            *time = earliest.max(*time);
        }
    }

    /// Returns what was retired at least `grace` seconds before `now`. A time that lies ahead, from a clock that was wrong,
    /// has not passed.
    #[must_use]
    pub fn expired(&self, now: u64, grace: u64) -> Self {
        let passed = |time: u64| time.checked_add(grace).is_some_and(|end| end <= now);
        Self {
            commits: (self.commits.iter().filter(|(_, time)| passed(**time)))
                .map(|(commit, time)| (*commit, *time))
                .collect(),
            files: (self.files.iter().filter(|(_, time)| passed(**time)))
                .map(|(path, time)| (path.clone(), *time))
                .collect(),
            ends: BTreeSet::new(),
        }
    }
}

impl Repo {
    /// Reads the list of what is retired; one that is damaged is told to `report`, and then nothing is.
    ///
    /// # Errors
    /// What the system answers.
    pub fn retired(&self, report: impl FnOnce(&RepoError)) -> Result<Retired> {
        let bytes = self
            .root()
            .read_if_exists(Retired::PATH, Retired::LIMIT)
            .map_err(RepoError::io("read", self.root().path_of(Retired::PATH)))?;
        let completed = self.root().read_if_exists(Retired::COMPLETED, 64);
        let completed = completed.map_err(RepoError::io("read", self.root().path_of(Retired::COMPLETED)))?;
        let mut retired = Retired::read(bytes.as_deref(), report);
        retired.count_from(completed.as_deref());
        Ok(retired)
    }
}

/// Returns whether a path leads to what may be on the list: a relative one without detours, in the directory of such files.
fn can_be_retired(path: &str) -> bool {
    let inside = path.strip_prefix(HOLDER);
    inside.is_some_and(|rest| !rest.is_empty())
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(byte: u8) -> Checksum {
        Checksum::from_bytes([byte; 32])
    }

    fn sample() -> Retired {
        let mut retired = Retired::default();
        retired.retire_commit(commit(1), 100);
        retired.retire_commit(commit(2), 200);
        assert!(retired.retire_file("summaries/ab", 150));
        retired.set_ends([commit(3)]);
        retired
    }

    #[test]
    fn list_is_read_as_it_was_written() {
        let edit = sample().edit().unwrap();
        assert_eq!(edit.path, "extensions/ostler/retired.json");
        assert_eq!(Retired::parse(&edit.new.unwrap()).unwrap(), sample());
        assert_eq!(Retired::default().edit().unwrap().new, None);
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let text = format!(r#"{{"commits": {{"{}": 5}}, "later": [1]}}"#, commit(1));
        let retired = Retired::parse(text.as_bytes()).unwrap();
        assert_eq!(retired.commits().collect::<Vec<_>>(), [(&commit(1), 5)]);
    }

    #[test]
    fn damaged_list_is_reported_and_nothing_is_retired() {
        let upper = commit(0xab).to_string().to_uppercase();
        for text in [
            r#"{"files": {"deltas/ab/cdef": 5}}"#.into(),
            r#"{"files": {"delta-indexes/ab/cdef.index": 5}}"#.into(),
            r#"{"files": {"extensions/ostler/summaries/ab": 5}}"#.into(),
            String::new(),
            "{".into(),
            "[]".into(),
            r#"{"commits": {"12": 5}}"#.into(),
            format!(r#"{{"commits": {{"{upper}": 5}}}}"#),
            format!(r#"{{"commits": {{"{}": -5}}}}"#, commit(1)),
            r#"{"ends": ["12"]}"#.into(),
            format!(r#"{{"commits": {{"{}": "5"}}}}"#, commit(1)),
            r#"{"files": {"refs/heads/a": 5}}"#.into(),
            r#"{"files": {"summaries/../refs/heads/a": 5}}"#.into(),
            r#"{"files": {"summaries//a": 5}}"#.into(),
            r#"{"files": {"summaries/": 5}}"#.into(),
            r#"{"files": {"/summaries/a": 5}}"#.into(),
            r#"{"files": {"extensions/ostler/lock": 5}}"#.into(),
        ] {
            let mut told = false;
            let retired = Retired::read(Some(text.as_bytes()), |_| told = true);
            assert!(told, "{text}");
            assert!(retired.is_empty(), "{text}");
        }
        assert!(Retired::read(None, |error| panic!("{error}")).is_empty());
    }

    #[test]
    fn time_of_an_entry_stays_until_something_needs_it_again() {
        let mut retired = sample();
        retired.retire_commit(commit(1), 300);
        retired.retire_file("summaries/ab", 300);
        assert_eq!(retired, sample());
        assert!(retired.revive_commit(&commit(1)));
        assert!(!retired.has_commit(&commit(1)));
        retired.retire_commit(commit(1), 300);
        assert_eq!(retired.commits().next(), Some((&commit(1), 300)));
        assert!(retired.revive_file("summaries/ab"));
        assert_eq!(retired.files().count(), 0);
    }

    #[test]
    fn what_a_flip_retired_that_was_completed_later_counts_from_then() {
        let mut retired = sample();
        retired.count_from(Some(b"170\n"));
        assert!(retired.expired(179, 10).is_empty());
        assert_eq!(retired.expired(180, 10).commits().count(), 1);
        assert_eq!(retired.expired(210, 10).commits().count(), 2);
        for nothing in [
            None,
            Some(b"".as_slice()),
            Some(b"-1"),
            Some(b"soon"),
            Some(b"100"),
        ] {
            let mut retired = sample();
            retired.count_from(nothing);
            assert_eq!(retired, sample());
        }
    }

    #[test]
    fn entry_expires_when_its_grace_is_over_and_not_before() {
        let retired = sample();
        assert!(retired.expired(109, 10).is_empty());
        assert_eq!(retired.expired(110, 10).commits().count(), 1);
        assert_eq!(retired.expired(160, 10).files().count(), 1);
        for (now, grace) in [(1000, 10), (200, 0)] {
            let expired = retired.expired(now, grace);
            assert!(expired.commits().eq(retired.commits()));
            assert!(expired.files().eq(retired.files()));
        }
        assert!(
            retired.expired(99, 0).is_empty(),
            "retired by a clock that was ahead"
        );
        assert!(retired.expired(u64::MAX, u64::MAX).is_empty());
    }

    #[test]
    fn files_of_others_cannot_be_retired() {
        let mut retired = Retired::default();
        assert!(!retired.retire_file("refs/heads/a", 1));
        assert!(!retired.retire_file("deltas/ab/cdef", 1));
        assert!(!retired.retire_file("delta-indexes/ab/cdef.index", 1));
        assert!(!retired.retire_file("extensions/ostler/summaries/ab", 1));
        assert!(!retired.retire_file("summaries/../config", 1));
        assert!(retired.is_empty());
    }

    #[test]
    fn list_of_a_repository_is_empty_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::create(dir.path(), ostler_format::RepoMode::Archive, None).unwrap();
        let read = || repo.retired(|error| panic!("{error}")).unwrap();
        assert!(read().is_empty());
        let lease = repo.lease_flip().unwrap();
        repo.flip(&[sample().edit().unwrap()]).unwrap();
        assert_eq!(read(), sample());
        repo.flip(&[Retired::default().edit().unwrap()]).unwrap();
        drop(lease);
        assert!(read().is_empty());
        assert!(!dir.path().join(Retired::PATH).exists());
    }
}
