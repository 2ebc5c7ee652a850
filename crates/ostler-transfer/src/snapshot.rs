//! The snapshot: refs of the source resolved to commits at one instant.
//!
//! A run reads nothing of the source that its snapshot does not lead to; what it will send is pinned
//! (see [`Pin`](crate::pin::Pin)) while the shared lock that the snapshot was taken under is still held.

use crate::error::{Result, TransferError};
use crate::refs;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ostler_format::{Checksum, CollectionRef, RefName};
use ostler_repo::Repo;
use std::collections::{BTreeMap, BTreeSet};

/// Which refs of the source are published.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    patterns: Vec<String>,
    globs: GlobSet,
}

impl Selection {
    /// Selects the refs that any of the patterns names or matches (`*` stops at `/`, `**` does not); all refs if
    /// there is none.
    ///
    /// # Errors
    /// [`TransferError::BadPattern`] for what is not a pattern.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            globs.add(glob.map_err(|fault| bad_pattern(pattern, &fault))?);
        }
        let globs = globs
            .build()
            .map_err(|fault| bad_pattern(fault.glob().unwrap_or("*"), &fault))?;
        Ok(Self {
            patterns: patterns.to_vec(),
            globs,
        })
    }

    /// Returns whether the ref is selected.
    pub fn matches(&self, name: &str) -> bool {
        self.patterns.is_empty() || self.globs.is_match(name)
    }

    /// Returns whether the ref is selected from those of a repository in which others may be at work: one that may be what a stock
    /// tool is about to rename has to be named itself.
    pub fn takes(&self, name: &RefName) -> bool {
        let is_named = || self.patterns.iter().any(|pattern| pattern == name.as_str());
        self.matches(name.as_str()) && (!name.may_be_temporary() || is_named())
    }

    /// Names a pattern that none of the refs matches: most likely a typing error.
    pub fn unmatched<'a>(&self, names: &(impl Iterator<Item = &'a str> + Clone)) -> Option<&str> {
        self.patterns.iter().enumerate().find_map(|(index, pattern)| {
            let matched = names
                .clone()
                .any(|name| self.globs.matches(name).contains(&index));
            (!matched).then_some(pattern.as_str())
        })
    }
}

fn bad_pattern(pattern: &str, fault: &globset::Error) -> TransferError {
    TransferError::BadPattern {
        pattern: pattern.to_owned(),
        reason: fault.kind().to_string(),
    }
}

/// Refs of the source, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The selected refs.
    pub refs: BTreeMap<CollectionRef, Checksum>,
    /// The names of all refs of the source, so that a ref that is merely not selected is not taken for dropped, nor one
    /// that came while the run was under way.
    pub all_names: BTreeSet<CollectionRef>,
}

impl Snapshot {
    /// Resolves the selected refs. The caller holds the source's shared lock until what it will send is pinned.
    ///
    /// # Errors
    /// [`TransferError::NoSuchRef`] if a pattern matches nothing; a repository error if a selected ref is damaged.
    pub fn take(source: &Repo, selection: &Selection) -> Result<Self> {
        let mut survey = refs::survey_repo(source)?;
        let names = survey.refs.keys().chain(survey.damaged.keys());
        let all_names: BTreeSet<_> = names.cloned().collect();
        if let Some(pattern) = selection.unmatched(&all_names.iter().map(|key| key.name.as_str())) {
            return Err(TransferError::NoSuchRef(pattern.to_owned()));
        }
        survey.retain(|key| selection.takes(&key.name));
        Ok(Self {
            refs: survey.into_sound()?,
            all_names,
        })
    }

    /// Adds the names of refs that the source has by now: none of them is taken for dropped.
    ///
    /// # Errors
    /// A repository error if a ref cannot be read.
    pub(crate) fn add_names(&mut self, source: &Repo) -> Result<()> {
        self.all_names.extend(refs::of_repo(source)?.into_keys());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(patterns: &[&str]) -> Selection {
        Selection::new(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_star_stays_within_one_part_of_a_name() {
        let os = selection(&["os/*/stable"]);
        assert!(os.matches("os/x86_64/stable"));
        assert!(!os.matches("os/x86_64/old/stable"));
        assert!(selection(&["os/**"]).matches("os/x86_64/old/stable"));
        assert!(selection(&[]).matches("anything"));
    }

    #[test]
    fn what_may_be_in_the_middle_of_a_write_has_to_be_named() {
        let name = RefName::new("os/tmp.SPU0vJ").unwrap();
        for patterns in [&[][..], &["os/*"], &["**"]] {
            assert!(!selection(patterns).takes(&name), "{patterns:?}");
        }
        assert!(selection(&["os/*", "os/tmp.SPU0vJ"]).takes(&name));
        assert!(selection(&["os/*"]).takes(&RefName::new("os/tmp").unwrap()));
    }

    #[test]
    fn a_pattern_without_a_match_is_named() {
        let names = ["a/b", "c"];
        assert_eq!(selection(&["a/*", "d"]).unmatched(&names.into_iter()), Some("d"));
        assert_eq!(selection(&["a/*", "c"]).unmatched(&names.into_iter()), None);
    }
}
