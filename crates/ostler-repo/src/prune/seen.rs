//! Whether a directory of objects can have changed since it was listed.
//!
//! Every name that comes or goes sets the modification time of the directory. That time is no finer than a tick of the
//! kernel, or a second or two on some file systems; so it tells a later change only where it lay far enough back when
//! the directory was listed, by the clock of the file system itself. Of file systems that may live on another machine, whose
//! times are kept here for a while, nothing is concluded at all.

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::objects::prefixes::directory_name;
use crate::repo::Repo;
use crate::staging::time_of;

/// Seconds after which a change shows in times of whole seconds.
const COARSE: i64 = 2;

/// The same in nanoseconds for finer times: ten ticks of the slowest kernel.
const FINE: i128 = 100_000_000;

/// When a listing began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// `None` where times tell nothing.
    begun: Option<(i64, u32)>,
}

/// What a directory was like just before it was listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nobody knows, or it was changed so late that another change need not show.
    #[default]
    Unsure,
    /// It was not there.
    Absent,
    /// It had this modification time.
    At((i64, u32)),
}

impl Clock {
    /// Returns the time of now.
    pub(super) fn now(repo: &Repo) -> Result<Self> {
        let tells = repo
            .objects()
            .tells_changes()
            .map_err(RepoError::io("look at the file system of", repo.objects().path()))?;
        if !tells {
            return Ok(Self::unknown());
        }
        let tmp = repo.tmp()?;
        let begun = time_of(tmp).map_err(RepoError::io("make a file in", tmp.path()))?;
        Ok(Self { begun: Some(begun) })
    }

    /// Returns the clock of those who list for the last time.
    pub(super) fn unknown() -> Self {
        Self { begun: None }
    }

    /// Looks at the directory of a prefix.
    pub(super) fn look(self, repo: &Repo, prefix: u8) -> Result<Seen> {
        let Some(begun) = self.begun else {
            return Ok(Seen::Unsure);
        };
        Ok(match time(repo, prefix)? {
            None => Seen::Absent,
            Some(time) if is_past(time, begun) => Seen::At(time),
            Some(_) => Seen::Unsure,
        })
    }
}

impl Repo {
    /// Returns for each first byte of a checksum a stamp that is another one after objects which begin so have come or gone;
    /// `None` where nothing tells. Objects whose stamp is there and the same, then and now, are as they were.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn object_stamps(&self) -> Result<Vec<Option<(i64, u32)>>> {
        let clock = Clock::now(self)?;
        let stamp = |prefix| {
            Ok(match clock.look(self, prefix)? {
                Seen::Unsure => None,
                Seen::Absent => Some((i64::MIN, 0)),
                Seen::At(time) => Some(time),
            })
        };
        (0..=u8::MAX).map(stamp).collect()
    }
}

impl Seen {
    /// Returns whether the directory is for certain as it was.
    pub(super) fn still_holds(self, repo: &Repo, prefix: u8) -> Result<bool> {
        Ok(match self {
            Self::Unsure => false,
            Self::Absent => time(repo, prefix)?.is_none(),
            Self::At(before) => time(repo, prefix)? == Some(before),
        })
    }
}

/// Returns whether a change after `now` gets another time than `time`.
fn is_past(time: (i64, u32), now: (i64, u32)) -> bool {
    if time.1 == 0 || now.1 == 0 {
        return now.0.saturating_sub(time.0) > COARSE;
    }
    let nanoseconds = |(seconds, rest): (i64, u32)| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    nanoseconds(now) - nanoseconds(time) > FINE
}

/// Returns the modification time of the directory of a prefix.
fn time(repo: &Repo, prefix: u8) -> Result<Option<(i64, u32)>> {
    let failed = |error| {
        let path = repo.objects().path_of(directory_name(prefix).as_str());
        RepoError::io("look at", path)(error)
    };
    let dir = repo.object_dirs().get(prefix).map_err(failed)?;
    let stat = dir.map(Dir::stat_self).transpose().map_err(failed)?;
    Ok(stat.map(|stat| stat.mtime))
}

#[cfg(test)]
mod tests {
    use super::is_past;

    #[test]
    fn a_time_counts_only_when_a_change_would_show_beside_it() {
        let now = (1000, 500_000_000);
        assert!(is_past((1000, 399_999_999), now));
        assert!(!is_past((1000, 400_000_000), now));
        assert!(is_past((999, 600_000_001), (1000, 1)) == (400_000_000 > 100_000_000));
        // Whole seconds, of the file or of the clock.
        assert!(!is_past((998, 0), now) && is_past((997, 0), now));
        assert!(!is_past((998, 5), (1000, 0)) && is_past((997, 5), (1000, 0)));
        // The future tells nothing.
        assert!(!is_past((2000, 1), now));
    }
}
