//! What a sender wants to become of refs.

use super::cursor::{Cursor, put_name, put_optional};
use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::names::RefName;

const DRY_RUN: u8 = 1;

/// Some of the updates of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The updates.
    pub updates: Vec<Update>,
    /// Whether to say only what would become of them. The same in all messages of a push.
    pub dry_run: bool,
    /// Whether another message goes on.
    pub more: bool,
}

/// What is wanted of one ref.
///
/// Shape: length of the name (2), name, whether the ref is there before (1) and its commit (32, if so), whether it is there
/// afterwards (1) and its commit (32, if so), whether it may go back (1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The ref.
    pub name: RefName,
    /// What the far end said that it names: it moves from there or not at all. `None` if it is not there.
    pub old: Option<Checksum>,
    /// What it shall name; `None` if it shall go.
    pub new: Option<Checksum>,
    /// Whether the user has said that it need not be a fast-forward.
    pub force: bool,
}

impl Offer {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let more = cursor.flag()?;
        let flags = cursor.byte()?;
        if flags & !DRY_RUN != 0 {
            return Err(FormatError::invalid("offer", format!("unknown flags {flags}")));
        }
        Ok(Self {
            updates: cursor.all(Update::parse)?,
            dry_run: flags & DRY_RUN != 0,
            more,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.more));
        out.push(if self.dry_run { DRY_RUN } else { 0 });
        for update in &self.updates {
            update.write(out);
        }
    }
}

impl Update {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let update = Self {
            name: cursor.name()?,
            old: cursor.optional_checksum()?,
            new: cursor.optional_checksum()?,
            force: cursor.flag()?,
        };
        if update.old == update.new {
            return Err(FormatError::invalid("offer", "an update that changes nothing"));
        }
        Ok(update)
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_name(out, &self.name);
        put_optional(out, self.old.as_ref());
        put_optional(out, self.new.as_ref());
        out.push(u8::from(self.force));
    }
}
