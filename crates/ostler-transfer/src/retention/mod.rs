//! Retention: how much of the history of each ref a target keeps.
//!
//! A rule is for refs by pattern; the first that matches a ref decides. For refs that no rule is for, a run may bring a
//! [`Keep`] of its own. Without either, what is there stays, as far as earlier runs have not cut it.

mod file;
mod span;

pub use file::ReadList;
pub(crate) use file::line_at;
pub use span::parse_span;

use crate::deltas::DeltaOrigins;
use crate::snapshot::Selection;
use ostler_format::Checksum;
use std::collections::BTreeSet;

/// How much of the history of refs a target keeps.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// Rules; the first that matches a ref decides.
    pub rules: Vec<Rule>,
    /// For refs that are published and that no rule matches.
    pub others: Option<Keep>,
}

/// A rule for the refs that it matches.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The refs that it is for.
    pub refs: Selection,
    /// What is kept; `None`: what is there.
    pub keep: Option<Keep>,
    /// Commits that stay wherever in history they are.
    pub listed: BTreeSet<Checksum>,
    /// From this time on (seconds since the epoch) the refs themselves are dropped.
    pub end_of_life: Option<u64>,
    /// From where static deltas to new commits lead.
    pub deltas: DeltaOrigins,
}

/// What is kept of a history: from the commit that the ref names, which always stays, back to the first one that nothing
/// of this keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// All of it.
    pub forever: bool,
    /// So many commits, with the one that the ref names.
    pub last: u64,
    /// Commits of this time (seconds since the epoch) or later.
    pub since: Option<u64>,
    /// Commits that are no older than so many seconds.
    pub age: Option<u64>,
}

impl Keep {
    /// Returns whether the commit `index` steps behind the ref stays.
    pub(crate) fn keeps(&self, index: u64, time: u64, now: u64) -> bool {
        index == 0
            || self.forever
            || index < self.last
            || self.since.is_some_and(|since| time >= since)
            || self.age.is_some_and(|age| time.saturating_add(age) >= now)
    }
}

impl Retention {
    /// Returns whether nothing is limited, and nothing ends.
    pub(crate) fn is_unset(&self) -> bool {
        self.rules.is_empty() && self.others.is_none()
    }

    /// Returns what is kept of a ref; `None`: what is there. `published` says whether this run publishes it.
    pub(crate) fn keep_of(&self, name: &str, published: bool) -> Option<Keep> {
        match self.rule_for(name) {
            Some(rule) => rule.keep,
            None => self.others.filter(|_| published),
        }
    }

    /// Returns whether the time of a ref is over.
    pub(crate) fn is_over(&self, name: &str, now: u64) -> bool {
        let end = self.rule_for(name).and_then(|rule| rule.end_of_life);
        end.is_some_and(|end| end <= now)
    }

    /// Returns the commits that stay wherever in history they are.
    pub fn listed(&self) -> impl Iterator<Item = &Checksum> {
        self.rules.iter().flat_map(|rule| &rule.listed)
    }

    /// Returns from where deltas to a new commit of a ref lead.
    pub(crate) fn deltas_of(&self, name: &str) -> DeltaOrigins {
        self.rule_for(name)
            .map_or_else(DeltaOrigins::default, |rule| rule.deltas)
    }

    /// Returns whether a rule asks for deltas.
    pub(crate) fn asks_for_deltas(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.deltas != DeltaOrigins::default())
    }

    /// Returns whether there is a rule for a ref.
    pub fn has_rule_for(&self, name: &str) -> bool {
        self.rule_for(name).is_some()
    }

    fn rule_for(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.refs.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, keep: Option<Keep>) -> Rule {
        Rule {
            refs: Selection::new(&[pattern.to_owned()]).unwrap(),
            keep,
            listed: BTreeSet::new(),
            end_of_life: None,
            deltas: DeltaOrigins::default(),
        }
    }

    fn last(last: u64) -> Keep {
        Keep {
            last,
            ..Keep::default()
        }
    }

    #[test]
    fn first_rule_that_matches_decides_and_the_rest_is_for_other_refs() {
        let retention = Retention {
            rules: vec![
                rule("os/*/stable", Some(last(5))),
                rule("os/**", None),
                rule("**", Some(last(1))),
            ],
            others: Some(last(9)),
        };
        assert_eq!(retention.keep_of("os/a/stable", true), Some(last(5)));
        assert_eq!(retention.keep_of("os/a/devel", true), None);
        assert_eq!(retention.keep_of("app", true), Some(last(1)));
        let only = Retention {
            rules: vec![rule("os/**", None)],
            others: Some(last(9)),
        };
        assert_eq!(only.keep_of("app", true), Some(last(9)));
        assert_eq!(only.keep_of("app", false), None, "not published by this run");
    }

    #[test]
    fn commit_stays_if_anything_keeps_it_and_the_one_of_the_ref_always() {
        let now = 1000;
        assert!(Keep::default().keeps(0, 0, now));
        assert!(!Keep::default().keeps(1, now, now));
        assert!(last(2).keeps(1, 0, now) && !last(2).keeps(2, now, now));
        let both = Keep {
            last: 2,
            age: Some(100),
            ..Keep::default()
        };
        assert!(both.keeps(1, 0, now) && both.keeps(7, 900, now) && !both.keeps(7, 899, now));
        let since = Keep {
            since: Some(900),
            ..Keep::default()
        };
        assert!(since.keeps(7, 900, now) && !since.keeps(1, 899, now));
        let forever = Keep {
            forever: true,
            ..Keep::default()
        };
        assert!(forever.keeps(u64::MAX, 0, now));
    }

    #[test]
    fn ref_is_over_when_its_time_has_come() {
        let mut ending = rule("os/9/**", None);
        ending.end_of_life = Some(500);
        let retention = Retention {
            rules: vec![ending],
            others: None,
        };
        assert!(!retention.is_over("os/9/x", 499));
        assert!(retention.is_over("os/9/x", 500));
        assert!(!retention.is_over("os/10/x", 500));
    }
}
