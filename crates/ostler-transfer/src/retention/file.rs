//! The policy file: rules for what a target keeps, as its owner writes them, at the target (`extensions/ostler/policy.toml`) or
//! named on the command line.
//!
//! ```toml
//! [[rule]]
//! refs = ["os/*/stable", "os/*/beta"]   # or one pattern
//! keep-last = 5                         # so many commits, with that of the ref
//! keep-for = "90d"                      # and those no older than this
//! keep-listed = "releases.txt"          # and those of this list, a checksum a line, beside this file
//!
//! [[rule]]
//! refs = "os/9/**"
//! end-of-life = 2027-05-31              # the refs are dropped after that day (UTC), or from a time on
//! keep-forever = true
//! deltas = 3                            # static deltas from what the refs named in the last 3 generations
//! deltas-from-nothing = true            # and from nothing
//! ```
//! The first rule that matches a ref decides. Unknown keys, patterns that are none, and values out of range are errors with the
//! number of their line: a rule that is misread loses history.

use super::{Keep, Retention, Rule, parse_span};
use crate::deltas::DeltaOrigins;
use crate::error::{Result, TransferError};
use crate::snapshot::Selection;
use crate::store::Store;
use jiff::civil;
use jiff::tz::TimeZone;
use ostler_format::Checksum;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;
use toml::value::{Datetime, Offset};

const DAY: u64 = 24 * 60 * 60;

/// Reads a list of commits by the name that a policy gives; `None` where there is none.
pub type ReadList<'a> = &'a mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    refs: Spanned<Patterns>,
    keep_last: Option<Spanned<u64>>,
    keep_for: Option<Spanned<String>>,
    keep_listed: Option<Spanned<String>>,
    keep_forever: Option<Spanned<bool>>,
    end_of_life: Option<Spanned<Datetime>>,
    #[serde(default)]
    deltas: u64,
    #[serde(default)]
    deltas_from_nothing: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Patterns {
    One(String),
    Many(Vec<String>),
}

/// A policy file that is being read.
struct Reader<'a> {
    /// Its name, for messages.
    file: &'a str,
    text: &'a str,
}

impl Retention {
    /// The path of the policy of a target.
    pub const PATH: &'static str = "extensions/ostler/policy.toml";
    /// The largest policy file, in bytes.
    pub const LIMIT: u64 = 1 << 20;
    /// The largest list that a policy names, in bytes.
    pub const LIST_LIMIT: u64 = 64 << 20;

    /// Reads the policy that lies at a target, if there is one.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); any failure of the store.
    pub fn of_target(store: &dyn Store) -> Result<Self> {
        let Some(bytes) = store.get(Self::PATH, Self::LIMIT)? else {
            return Ok(Self::default());
        };
        let holder = Self::PATH.strip_suffix("policy.toml").unwrap_or_default();
        let file = format!("{}/{}", store.describe(), Self::PATH);
        Self::parse(&bytes, &file, &mut |name| {
            store.get(&format!("{holder}{name}"), Self::LIST_LIMIT)
        })
    }

    /// Reads the bytes of a policy file, which messages call `file`.
    ///
    /// # Errors
    /// [`TransferError::Policy`] with the line of what is wrong; what `read_list` returns.
    pub fn parse(bytes: &[u8], file: &str, read_list: ReadList<'_>) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|fault| TransferError::Policy {
            file: file.to_owned(),
            line: line_at(bytes, fault.valid_up_to()),
            detail: "is not UTF-8".into(),
        })?;
        let reader = Reader { file, text };
        let parsed: File = toml::from_str(text)
            .map_err(|error| reader.wrong(&error.span().unwrap_or_default(), error.message()))?;
        let rules = parsed
            .rule
            .iter()
            .map(|entry| reader.rule(entry, &mut *read_list));
        Ok(Self {
            rules: rules.collect::<Result<_>>()?,
            others: None,
        })
    }
}

impl Reader<'_> {
    fn rule(&self, entry: &Entry, read_list: ReadList<'_>) -> Result<Rule> {
        let patterns = match entry.refs.get_ref() {
            Patterns::One(pattern) => vec![pattern.clone()],
            Patterns::Many(patterns) => patterns.clone(),
        };
        if patterns.is_empty() || patterns.iter().any(String::is_empty) {
            return Err(self.wrong(&entry.refs.span(), "a rule needs a pattern of refs"));
        }
        let refs = Selection::new(&patterns)
            .map_err(|_bad| self.wrong(&entry.refs.span(), "this is no pattern of refs"))?;
        let listed = match &entry.keep_listed {
            Some(name) => Some(self.listed(name, read_list)?),
            None => None,
        };
        Ok(Rule {
            refs,
            keep: self.keep(entry, listed.is_some())?,
            listed: listed.unwrap_or_default(),
            end_of_life: entry.end_of_life.as_ref().map(|end| self.end(end)).transpose()?,
            deltas: DeltaOrigins {
                generations: entry.deltas,
                nothing: entry.deltas_from_nothing,
            },
        })
    }

    fn keep(&self, entry: &Entry, has_list: bool) -> Result<Option<Keep>> {
        let is_limited = has_list || entry.keep_last.is_some() || entry.keep_for.is_some();
        if let Some(forever) = entry.keep_forever.as_ref().filter(|forever| *forever.get_ref()) {
            if is_limited {
                return Err(self.wrong(&forever.span(), "a rule keeps all, or says what it keeps"));
            }
            return Ok(Some(Keep {
                forever: true,
                ..Keep::default()
            }));
        }
        if !is_limited {
            return Ok(None);
        }
        let last = match &entry.keep_last {
            Some(last) if *last.get_ref() == 0 => {
                return Err(self.wrong(
                    &last.span(),
                    "the commit of a ref always stays: 1 or more is expected",
                ));
            }
            Some(last) => *last.get_ref(),
            None => 1,
        };
        let age = entry.keep_for.as_ref().map(|text| {
            let expected = "a span of time is expected, such as \"90d\" or \"12h\"";
            parse_span(text.get_ref()).ok_or_else(|| self.wrong(&text.span(), expected))
        });
        Ok(Some(Keep {
            forever: false,
            last,
            since: None,
            age: age.transpose()?,
        }))
    }

    /// Reads a list of commits: a checksum a line; what follows it, and lines that begin with `#`, are for people.
    fn listed(&self, name: &Spanned<String>, read_list: ReadList<'_>) -> Result<BTreeSet<Checksum>> {
        let file = name.get_ref();
        if file.is_empty() || file.contains('/') {
            return Err(self.wrong(&name.span(), "the name of a file beside this one is expected"));
        }
        let Some(bytes) = read_list(file)? else {
            return Err(self.wrong(&name.span(), &format!("there is no list '{file}'")));
        };
        let mut commits = BTreeSet::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let Some(word) = line
                .split_whitespace()
                .next()
                .filter(|word| !word.starts_with('#'))
            else {
                continue;
            };
            let commit = Checksum::from_hex(word).map_err(|fault| TransferError::Policy {
                file: file.clone(),
                line: index + 1,
                detail: fault.to_string(),
            })?;
            commits.insert(commit);
        }
        Ok(commits)
    }

    /// Returns the time from which on something is over: after the day, or at the time, which is UTC where no zone is given.
    fn end(&self, end: &Spanned<Datetime>) -> Result<u64> {
        let seconds = seconds_of(end.get_ref());
        seconds.ok_or_else(|| self.wrong(&end.span(), "a date is expected, such as 2027-05-31"))
    }

    fn wrong(&self, at: &Range<usize>, detail: &str) -> TransferError {
        TransferError::Policy {
            file: self.file.to_owned(),
            line: line_at(self.text.as_bytes(), at.start),
            detail: detail.trim_end().replace('\n', "; "),
        }
    }
}

/// Returns the number of the line that a byte lies in, counted from 1.
pub(crate) fn line_at(bytes: &[u8], offset: usize) -> usize {
    let before = bytes.get(..offset).unwrap_or(bytes);
    before.split(|byte| *byte == b'\n').count()
}

fn seconds_of(end: &Datetime) -> Option<u64> {
    let date = end.date?;
    let day = civil::Date::new(
        i16::try_from(date.year).ok()?,
        i8::try_from(date.month).ok()?,
        i8::try_from(date.day).ok()?,
    )
    .ok()?;
    let midnight = day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let midnight = u64::try_from(midnight).ok()?;
    let Some(time) = end.time else {
        return midnight.checked_add(DAY);
    };
    let into =
        u64::from(time.hour) * 3600 + u64::from(time.minute) * 60 + u64::from(time.second.unwrap_or(0));
    let minutes = match end.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes),
        Some(Offset::Z) | None => 0,
    };
    midnight.checked_add(into)?.checked_add_signed(-minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_with(text: &str, list: Option<&str>) -> Result<Retention> {
        Retention::parse(text.as_bytes(), "policy.toml", &mut |name| {
            assert_eq!(name, "releases.txt");
            Ok(list.map(|list| list.as_bytes().to_vec()))
        })
    }

    fn parse(text: &str) -> Retention {
        parse_with(text, None).unwrap()
    }

    #[test]
    fn rules_are_read_in_order_with_what_they_keep() {
        let retention = parse(
            "[[rule]]\nrefs = 'os/*/stable'\nkeep-last = 5\nkeep-for = '90d'\n\
             [[rule]]\nrefs = ['app/**', 'runtime/**']\nkeep-forever = true\n\
             [[rule]]\nrefs = '**'\nkeep-for = '7d'\n",
        );
        let stable = Keep {
            last: 5,
            age: Some(90 * DAY),
            ..Keep::default()
        };
        assert_eq!(retention.keep_of("os/a/stable", false), Some(stable));
        assert!(retention.keep_of("runtime/x/y", false).unwrap().forever);
        let week = Keep {
            last: 1,
            age: Some(7 * DAY),
            ..Keep::default()
        };
        assert_eq!(retention.keep_of("os/a/devel", false), Some(week));
        assert!(parse("").is_unset());
        assert_eq!(parse("[[rule]]\nrefs = 'a'\n").keep_of("a", true), None);
    }

    #[test]
    fn list_names_commits_that_stay_beside_that_of_the_ref() {
        let (one, two) = (Checksum::of(b"1"), Checksum::of(b"2"));
        let list = format!("# releases\n{one}\n\n  {two}  9.1, the second\n");
        let rule = "[[rule]]\nrefs = '**'\nkeep-listed = 'releases.txt'\n";
        let retention = parse_with(rule, Some(&list)).unwrap();
        let listed: BTreeSet<_> = retention.listed().copied().collect();
        assert_eq!(listed, BTreeSet::from([one, two]));
        assert_eq!(retention.keep_of("a", false).unwrap().last, 1);
    }

    #[test]
    fn ref_ends_after_a_day_or_at_a_time() {
        for (text, seconds) in [
            ("1970-01-02", 2 * DAY),
            ("1970-01-02T00:00:00Z", DAY),
            ("1970-01-02T01:00:30", DAY + 3630),
            ("1970-01-02T01:00:00+02:00", DAY - 3600),
            ("2027-05-31", 1_811_808_000),
        ] {
            let retention = parse(&format!("[[rule]]\nrefs = '**'\nend-of-life = {text}\n"));
            assert_eq!(retention.rules[0].end_of_life, Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [
            ("[[rule]]\nkeep-last = 5\n", 1),
            ("[[rule]]\nrefs = '**'\nkeep-lats = 5\n", 3),
            ("[[rule]]\nrefs = '**'\nkeep-last = 0\n", 3),
            ("[[rule]]\nrefs = '**'\nkeep-last = -1\n", 3),
            ("[[rule]]\nrefs = '**'\n\nkeep-for = '7'\n", 4),
            ("[[rule]]\nrefs = '**'\nkeep-forever = true\nkeep-last = 1\n", 3),
            ("[[rule]]\nrefs = []\n", 2),
            ("[[rule]]\nrefs = ''\n", 2),
            ("[[rule]]\nrefs = 'a['\n", 2),
            ("[[rule]]\nrefs = 5\n", 2),
            ("[[rule]]\nrefs = '**'\nend-of-life = '2027'\n", 3),
            ("[[rule]]\nrefs = '**'\nend-of-life = 12:00:00\n", 3),
            ("[[rule]]\nrefs = '**'\nkeep-listed = 'releases.txt'\n", 3),
            ("[[rule]]\nrefs = '**'\nkeep-listed = '../releases.txt'\n", 3),
            ("\n[rules]\n", 2),
            ("[[rule]]\nrefs = \n", 2),
        ] {
            match parse_with(text, None) {
                Err(TransferError::Policy { file, line: told, .. }) => {
                    assert_eq!((file.as_str(), told), ("policy.toml", line), "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        let list = format!("{}\nnonsense\n", Checksum::of(b"1"));
        let rule = "[[rule]]\nrefs = '**'\nkeep-listed = 'releases.txt'\n";
        match parse_with(rule, Some(&list)) {
            Err(TransferError::Policy { file, line, .. }) => {
                assert_eq!((file.as_str(), line), ("releases.txt", 2));
            }
            other => panic!("{other:?}"),
        }
        let fault = Retention::parse(b"# \n\xff", "policy.toml", &mut |_| Ok(None)).unwrap_err();
        assert!(matches!(fault, TransferError::Policy { line: 2, .. }));
    }
}
