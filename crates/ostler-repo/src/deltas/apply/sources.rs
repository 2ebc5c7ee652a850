//! The files that a part reads from: content objects of the commit from which the delta leads, readable by everybody.
//!
//! Which these are is found out when the first is asked for. A source is opened when the first byte of it is needed, so
//! that those of objects which are there already cost nothing.

use super::part::Part;
use super::scratch::{Room, Scratch};
use crate::error::{RepoError, Result};
use crate::transaction::Transaction;
use crate::walk::ClosureDifference;
use ostler_format::Checksum;
use std::cell::OnceCell;
use std::rc::Rc;

/// The permission bit of everybody else to read.
const EVERYBODY_READS: u32 = 0o004;

/// The source that is set, and what can be one.
pub(super) struct Sources<'a> {
    transaction: &'a Transaction<'a>,
    from: Option<Checksum>,
    allowed: OnceCell<Vec<Checksum>>,
    /// Where in the payload the checksum of the source stands.
    set: Option<u64>,
    open: Option<Rc<Scratch>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, from: Option<Checksum>) -> Self {
        Self {
            transaction,
            from,
            allowed: OnceCell::new(),
            set: None,
            open: None,
        }
    }

    /// Sets the source, by the place of its checksum in the payload.
    pub(super) fn set(&mut self, offset: u64) {
        self.set = Some(offset);
        self.open = None;
    }

    /// Returns whether a source is set.
    pub(super) const fn is_set(&self) -> bool {
        self.set.is_some()
    }

    /// Takes the source away.
    pub(super) fn unset(&mut self) {
        self.set = None;
        self.open = None;
    }

    /// Returns the content of the source that is set.
    pub(super) fn open(&mut self, part: &Part) -> Result<Rc<Scratch>> {
        if let Some(open) = &self.open {
            return Ok(Rc::clone(open));
        }
        let offset = self.set.ok_or_else(|| part.invalid("a patch of no file"))?;
        let checksum =
            Checksum::from_slice(&part.read(offset, 32)?).map_err(RepoError::format(part.name()))?;
        if self.allowed()?.binary_search(&checksum).is_err() {
            let detail = format!("it reads from {checksum}, which is not in the commit from which it leads");
            return Err(part.invalid(&detail));
        }
        let open = Rc::new(self.content(part, &checksum)?);
        Ok(Rc::clone(self.open.insert(open)))
    }

    fn content(&self, part: &Part, checksum: &Checksum) -> Result<Scratch> {
        let mut content = self.transaction.open_content(checksum)?;
        let header = content.header();
        if !header.is_regular() || header.mode & EVERYBODY_READS == 0 {
            let detail = format!("it reads from {checksum}, which not everybody may read");
            return Err(part.invalid(&detail));
        }
        let size = content.size();
        if let Some(file) = content.as_file() {
            let file = file.try_clone();
            let failed = |error| content.read_error(error);
            return Ok(Scratch::File(file.map_err(failed)?, size));
        }
        let room = Room::of_transaction(self.transaction)?;
        Scratch::fill(room, &format!("{checksum}.file"), &mut content, size)
    }

    fn allowed(&self) -> Result<&[Checksum]> {
        if let Some(known) = self.allowed.get() {
            return Ok(known);
        }
        let content = match &self.from {
            None => Vec::new(),
            Some(from) => {
                let mut walk = ClosureDifference::new(self.transaction.repo(), Vec::new());
                walk.add(from)?;
                walk.finish().content
            }
        };
        Ok(self.allowed.get_or_init(|| content))
    }
}
