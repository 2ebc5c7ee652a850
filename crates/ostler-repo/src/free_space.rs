//! The space that a transaction must leave free.
//!
//! The budget is computed once, when the transaction begins: what is available, less what the configuration
//! reserves, in blocks of the file system. Each content object is charged before it is written, by its size
//! before compression and one block; what turns out to be there already is credited. Metadata is exempt.
//! Other writers are not seen: this is a margin, not a promise.

use crate::config::MinFreeSpace;
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What is left to be written, in blocks.
#[derive(Debug)]
pub(crate) struct SpaceBudget {
    rule: MinFreeSpace,
    block_bytes: u64,
    left_blocks: Option<AtomicI64>,
    exceeded: AtomicBool,
}

impl SpaceBudget {
    /// Computes the budget for writing to `repo`.
    pub(crate) fn new(repo: &Repo) -> Result<Self> {
        let rule = repo.config().min_free_space();
        let unlimited = matches!(rule, MinFreeSpace::Percent(0) | MinFreeSpace::Bytes(0));
        let space = repo
            .objects()
            .statvfs()
            .map_err(RepoError::io("look at the free space of", repo.path()))?;
        let block_bytes = space.block_bytes.max(1);
        let reserved = match rule {
            MinFreeSpace::Bytes(bytes) => bytes / block_bytes,
            MinFreeSpace::Percent(percent) => space.blocks / 100 * u64::from(percent),
        };
        let available = if rustix::process::geteuid().is_root() {
            space.free_blocks
        } else {
            space.available_blocks
        };
        let left = i64::try_from(available.saturating_sub(reserved)).unwrap_or(i64::MAX);
        Ok(Self {
            rule,
            block_bytes,
            left_blocks: (!unlimited).then(|| AtomicI64::new(left)),
            exceeded: AtomicBool::new(false),
        })
    }

    /// Returns how many bytes may be written, or `None` where nothing is reserved.
    pub(crate) fn left_bytes(&self) -> Option<u64> {
        let left = self.left_blocks.as_ref()?.load(Ordering::Relaxed);
        Some(
            u64::try_from(left)
                .unwrap_or_default()
                .saturating_mul(self.block_bytes),
        )
    }

    /// Charges a content object of `size` bytes.
    pub(crate) fn charge(&self, size: u64) -> Result<()> {
        let Some(left) = &self.left_blocks else {
            return Ok(());
        };
        let blocks = self.blocks(size);
        if left.fetch_sub(blocks, Ordering::Relaxed) >= blocks {
            return Ok(());
        }
        left.fetch_add(blocks, Ordering::Relaxed);
        self.exceeded.store(true, Ordering::Relaxed);
        let requested = decimal_size(blocks.unsigned_abs().saturating_mul(self.block_bytes));
        let rule = match self.rule {
            MinFreeSpace::Percent(percent) => format!("min-free-space-percent '{percent}%'"),
            MinFreeSpace::Bytes(bytes) => format!("min-free-space-size {}MB", bytes >> 20),
        };
        Err(RepoError::NoSpace {
            detail: format!("{rule} would be exceeded, at least {requested} requested"),
        })
    }

    /// Takes a charge back, for an object that was there already.
    pub(crate) fn credit(&self, size: u64) {
        if let Some(left) = &self.left_blocks {
            left.fetch_add(self.blocks(size), Ordering::Relaxed);
        }
    }

    /// Returns whether a charge was refused.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    fn blocks(&self, size: u64) -> i64 {
        // A quarter of the range: sums of charges by many threads stay within it.
        i64::try_from(size / self.block_bytes + 1)
            .unwrap_or(i64::MAX)
            .min(i64::MAX / 4)
    }
}

/// Returns a size for people, in powers of ten with one digit after the point, as GLib writes it.
fn decimal_size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut unit = 1000;
    for name in ["kB", "MB", "GB", "TB", "PB"] {
        if bytes / unit < 1000 {
            let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
            return format!("{}.{}\u{a0}{name}", tenths / 10, tenths % 10);
        }
        unit *= 1000;
    }
    format!("{}\u{a0}EB", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(rule: MinFreeSpace, left: i64) -> SpaceBudget {
        SpaceBudget {
            rule,
            block_bytes: 4096,
            left_blocks: Some(AtomicI64::new(left)),
            exceeded: AtomicBool::new(false),
        }
    }

    #[test]
    fn a_charge_beyond_the_budget_is_refused_in_the_words_of_libostree() {
        let budget = budget(MinFreeSpace::Percent(3), 2);
        budget.charge(100).unwrap();
        budget.charge(0).unwrap();
        let error = budget.charge(1).unwrap_err().to_string();
        assert!(
            error.contains("min-free-space-percent '3%' would be exceeded, at least 4.1\u{a0}kB requested"),
            "{error}"
        );
        assert!(budget.exceeded());
    }

    #[test]
    fn a_credit_makes_room_again() {
        let budget = budget(MinFreeSpace::Bytes(500 << 20), 3);
        budget.charge(8192).unwrap();
        assert!(budget.charge(0).is_err());
        budget.credit(8192);
        budget.charge(8192).unwrap();
        assert!(budget.charge(u64::MAX).is_err());
    }

    #[test]
    fn sizes_read_as_glib_writes_them() {
        for (bytes, expected) in [
            (999, "999 bytes"),
            (1000, "1.0\u{a0}kB"),
            (1_250_000, "1.3\u{a0}MB"),
        ] {
            assert_eq!(decimal_size(bytes), expected);
        }
    }
}
