//! What the far end has asked for and has not got yet.
//!
//! The far end is not trusted more than a pusher is there: it may ask for what the offered commits consist of, and for nothing else
//! that the source has; it may ask again, since objects can be damaged on disks, but not without end. What waits here takes
//! memory, so it has a limit as well, and so has what waits between the thread that listens and the one that sends.

use super::cargo::Cargo;
use crate::error::{Result, TransferError};
use ostler_format::{ObjectName, ObjectType};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often everything that was offered may be asked for: as often as a receiver of ours tries, twice over.
const TIMES: u64 = 16;

/// Requests that were read and not looked at yet, as the two threads count them.
#[derive(Debug, Default)]
pub(super) struct Unread(AtomicUsize);

impl Unread {
    /// Counts requests that come, if there is room for them.
    pub(super) fn add(&self, count: usize, most: usize) -> Result<()> {
        if self.0.fetch_add(count, Ordering::Relaxed).saturating_add(count) > most {
            return Err(too_many());
        }
        Ok(())
    }
}

/// Requests in the order in which they are served.
#[derive(Debug)]
pub(super) struct Requests<'a> {
    cargo: &'a Cargo<'a>,
    unread: &'a Unread,
    metadata: VecDeque<ObjectName>,
    content: VecDeque<ObjectName>,
    /// How many have come in all.
    count: u64,
}

impl<'a> Requests<'a> {
    /// Starts with none.
    pub(super) fn new(cargo: &'a Cargo<'a>, unread: &'a Unread) -> Self {
        Self {
            cargo,
            unread,
            metadata: VecDeque::new(),
            content: VecDeque::new(),
            count: 0,
        }
    }

    /// Takes requests that [`Unread`] has counted.
    pub(super) fn take(&mut self, names: Vec<ObjectName>) -> Result<()> {
        self.unread.0.fetch_sub(names.len(), Ordering::Relaxed);
        self.count += names.len() as u64;
        let most = self.cargo.most();
        if self.count > TIMES.saturating_mul(most as u64) || self.waiting() + names.len() > most {
            return Err(too_many());
        }
        for name in names {
            if !self.cargo.is_offered(&name)? {
                return Err(TransferError::Protocol(format!(
                    "it asks for {name}, which was not offered"
                )));
            }
            match name.kind {
                ObjectType::File => self.content.push_back(name),
                _ => self.metadata.push_back(name),
            }
        }
        Ok(())
    }

    /// Returns what to send next. Trees go first: they tell the far end what else it lacks.
    pub(super) fn next(&mut self) -> Option<ObjectName> {
        self.metadata.pop_front().or_else(|| self.content.pop_front())
    }

    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    fn waiting(&self) -> usize {
        self.metadata.len() + self.content.len()
    }
}

fn too_many() -> TransferError {
    TransferError::Protocol("it asks for more objects than there are, again and again".into())
}
