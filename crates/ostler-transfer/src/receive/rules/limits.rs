//! How much a push may bring: the strictest of what the rules for any of its refs say.

use super::file::Source;
use super::size::{self, Size};
use crate::error::{Result, TransferError};
use ostler_format::RefName;
use std::fmt;
use toml::Spanned;

/// Directories may be nested so deep where no rule says otherwise.
const DEFAULT_DEPTH: u64 = 1024;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Bytes of a content object, inflated and as it is sent.
    Object,
    /// Bytes of all objects of a commit, as they are stored.
    Commit,
    /// Bytes that come with a push.
    Push,
    /// Objects of a commit.
    Entries,
    /// Directories within each other.
    Depth,
}

/// As much as may be, for each measure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limits([Option<u64>; Measure::ALL.len()]);

/// The limits of a push, with the refs whose rules they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct PushLimits([Option<(u64, Vec<RefName>)>; Measure::ALL.len()]);

/// The keys of a table `[[require]]` that are limits.
#[derive(Debug, Default)]
pub(super) struct LimitKeys<'a> {
    pub(super) object: Option<&'a Spanned<Size>>,
    pub(super) commit: Option<&'a Spanned<Size>>,
    pub(super) push: Option<&'a Spanned<Size>>,
    pub(super) entries: Option<u64>,
    pub(super) depth: Option<u64>,
}

impl Measure {
    pub(crate) const ALL: [Self; 5] = [Self::Object, Self::Commit, Self::Push, Self::Entries, Self::Depth];

    /// Returns the key that limits it.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Object => "max-object",
            Self::Commit => "max-commit",
            Self::Push => "max-push",
            Self::Entries => "max-entries",
            Self::Depth => "max-depth",
        }
    }

    /// Returns the words behind a number.
    const fn unit(self) -> &'static str {
        match self {
            Self::Object | Self::Commit | Self::Push => "bytes",
            Self::Entries => "entries",
            Self::Depth => "levels of directories",
        }
    }
}

impl LimitKeys<'_> {
    pub(super) fn read(&self, source: &Source<'_>) -> Result<Limits> {
        let bytes = |key: Option<&Spanned<Size>>| key.map(|key| size::read(source, key)).transpose();
        Ok(Limits([
            bytes(self.object)?,
            bytes(self.commit)?,
            bytes(self.push)?,
            self.entries,
            self.depth,
        ]))
    }
}

impl Limits {
    /// Returns the stricter of both, for each measure.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (most, other) in both.0.iter_mut().zip(other.0) {
            *most = [*most, other].into_iter().flatten().min();
        }
        both
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (measure, most) in Measure::ALL.into_iter().zip(self.0) {
            let Some(most) = most else { continue };
            let most = match measure {
                Measure::Object | Measure::Commit | Measure::Push => size::text(most),
                Measure::Entries | Measure::Depth => most.to_string(),
            };
            write!(f, "{between}{} {most}", measure.key())?;
            between = ", ";
        }
        Ok(())
    }
}

impl PushLimits {
    /// Adds the limits of one ref.
    pub(crate) fn add(&mut self, name: &RefName, limits: &Limits) {
        for (strictest, most) in self.0.iter_mut().zip(limits.0) {
            let Some(most) = most else { continue };
            match strictest {
                Some((known, refs)) if *known == most => refs.push(name.clone()),
                Some((known, _)) if *known < most => {}
                _ => *strictest = Some((most, vec![name.clone()])),
            }
        }
    }

    /// Returns as much as may be; `None` where nothing says.
    pub(crate) fn most(&self, measure: Measure) -> Option<u64> {
        let limit = self.0.get(measure as usize).and_then(Option::as_ref);
        let most = limit.map(|(most, _)| *most);
        match measure {
            Measure::Depth => most.or(Some(DEFAULT_DEPTH)),
            _ => most,
        }
    }

    /// Fails if `found` is more of a measure than may be; `what` is what has so much.
    pub(crate) fn check(&self, measure: Measure, found: u64, what: &dyn fmt::Display) -> Result<()> {
        match self.most(measure) {
            Some(most) if found > most => Err(self.exceeded(measure, most, what)),
            _ => Ok(()),
        }
    }

    /// Fails if so many commits together have more of a measure than all of them may: then one of them has too much.
    pub(crate) fn check_all(&self, measure: Measure, found: u64, commits: u64) -> Result<()> {
        match self.most(measure) {
            Some(most) if found > most.saturating_mul(commits.max(1)) => {
                Err(self.exceeded(measure, most, &"a commit of this push"))
            }
            _ => Ok(()),
        }
    }

    fn exceeded(&self, measure: Measure, most: u64, what: &dyn fmt::Display) -> TransferError {
        let refs = self.0.get(measure as usize).and_then(Option::as_ref);
        let refs: Vec<_> = refs.map_or(&[][..], |(_, refs)| refs).iter().take(3).collect();
        let of = refs
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(", ");
        let of = if of.is_empty() {
            "every push".to_owned()
        } else {
            of
        };
        TransferError::TooMuch {
            what: what.to_string(),
            limit: format!("{most} {}", measure.unit()),
            rule: format!("{} for {of}", measure.key()),
        }
    }
}
