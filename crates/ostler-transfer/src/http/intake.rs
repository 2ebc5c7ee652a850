//! Where a body goes while it comes: into memory, and above 256 KiB into a file if the caller gave one.
//!
//! The limit of the request holds at every byte. What lies in memory is taken from a budget over all requests. Half of it is for the
//! first 256 KiB of each, reserved before a request starts; the other half for metadata that is larger, of which one grows at a time.
//! So whoever waits for memory waits for bodies that are complete, and those the caller takes away.

use super::fault::Fault;
use super::request::{Answer, Body};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body that is kept in memory where there is a file for larger ones.
pub(crate) const SMALL: usize = 256 << 10;

/// The unit of the budget in bytes: the counter of a semaphore is 32 bits wide.
const UNIT: usize = 1 << 10;

/// The memory for the bodies of all requests.
#[derive(Debug)]
pub(crate) struct Memory {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// How many units there are of each.
    half: usize,
    growing: Arc<Semaphore>,
}

impl Memory {
    /// Returns a budget of so many bytes, but enough for eight small bodies.
    pub(crate) fn new(bytes: usize) -> Self {
        // Whole small bodies, so that all of it can be held.
        let half = (bytes / 2 / SMALL).clamp(4, 1 << 16) * (SMALL / UNIT);
        Self {
            small: Arc::new(Semaphore::new(half)),
            large: Arc::new(Semaphore::new(half)),
            half,
            growing: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Waits for the memory of a small body.
async fn reserve(half: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let units = u32::try_from(SMALL / UNIT).unwrap_or(u32::MAX);
    // It is never closed.
    Arc::clone(half).acquire_many_owned(units).await.ok()
}

/// The body of one answer while it comes.
#[derive(Debug)]
pub(crate) struct Intake {
    bytes: Vec<u8>,
    file: Option<File>,
    spilled: bool,
    length: u64,
    limit: u64,
    /// Without one the body counts for nothing.
    memory: Option<Arc<Memory>>,
    held: Option<OwnedSemaphorePermit>,
    more: Option<OwnedSemaphorePermit>,
    growing: Option<OwnedSemaphorePermit>,
}

impl Intake {
    /// Prepares for a body that counts towards `memory`.
    pub(crate) async fn counted(memory: &Arc<Memory>, file: Option<File>, limit: Option<u64>) -> Self {
        let held = reserve(&memory.small).await;
        Self {
            memory: Some(Arc::clone(memory)),
            held,
            ..Self::uncounted(file, limit)
        }
    }

    /// Prepares for a body that somebody waits for.
    pub(crate) fn uncounted(file: Option<File>, limit: Option<u64>) -> Self {
        Self {
            bytes: Vec::new(),
            file,
            spilled: false,
            length: 0,
            limit: limit.unwrap_or(u64::MAX),
            memory: None,
            held: None,
            more: None,
            growing: None,
        }
    }

    /// Returns how many bytes have come.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Refuses a body by the size that is announced.
    pub(crate) const fn expect(&self, total: u64) -> Result<(), Fault> {
        if total > self.limit {
            return Err(Fault::TooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// Returns whether the next `more` bytes have to wait for others.
    pub(crate) fn must_wait(&self, more: usize) -> bool {
        self.file.is_none() && self.memory.is_some() && self.room() < self.bytes.len() + more
    }

    /// How many bytes there is memory for: any number, once all is held that there is for large bodies.
    fn room(&self) -> usize {
        let more = self.more.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        match &self.memory {
            Some(memory) if more < memory.half => SMALL + more * UNIT,
            _ => usize::MAX,
        }
    }

    /// Waits for memory for `more` bytes.
    pub(crate) async fn make_room(&mut self, more: usize) {
        let Some(memory) = self.memory.clone() else {
            return;
        };
        if self.growing.is_none() {
            self.growing = Arc::clone(&memory.growing).acquire_owned().await.ok();
        }
        while self.must_wait(more) {
            let next = reserve(&memory.large).await;
            match (self.more.as_mut(), next) {
                (Some(held), Some(next)) => held.merge(next),
                (None, Some(next)) => self.more = Some(next),
                (_, None) => return,
            }
        }
    }

    /// Takes the next bytes.
    pub(crate) fn take(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        let length = self.length.saturating_add(chunk.len() as u64);
        self.expect(length)?;
        if let (Some(file), true) = (&mut self.file, self.spilled || length > SMALL as u64) {
            if !self.spilled {
                file.write_all(&self.bytes)?;
                self.bytes = Vec::new();
                self.spilled = true;
            }
            file.write_all(chunk)?;
        } else {
            self.reserve(chunk.len());
            self.bytes.extend_from_slice(chunk);
        }
        self.length = length;
        Ok(())
    }

    /// Makes room in memory for bytes that are allowed: twice as much each time, but no more than may come.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
            let wanted = self.bytes.capacity().saturating_mul(2).min(most).max(needed);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }

    /// Forgets what came, to begin anew.
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        self.bytes.clear();
        self.length = 0;
        if let (Some(file), true) = (&mut self.file, self.spilled) {
            file.set_len(0)?;
            file.rewind()?;
        }
        self.spilled = false;
        Ok(())
    }

    /// Returns the bytes of a body in memory.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the whole body, which keeps only the memory that it needs.
    pub(crate) fn finish(self) -> Answer {
        if let (Some(file), true) = (self.file, self.spilled) {
            return Answer::File(file, self.length);
        }
        let mut held = self.held;
        let needed = self.bytes.len() / UNIT + 1;
        if let Some(held) = &mut held
            && let Some(spare) = held.num_permits().checked_sub(needed)
        {
            drop(held.split(spare));
        }
        let mut bytes = self.bytes;
        bytes.shrink_to_fit();
        Answer::Memory(Body::new(bytes, [held, self.more]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn answer(intake: Intake) -> Vec<u8> {
        match intake.finish() {
            Answer::Memory(body) => body.into_vec(),
            Answer::File(mut file, length) => {
                let mut bytes = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len() as u64, length);
                bytes
            }
            Answer::NotFound(missing) => panic!("{missing:?}"),
        }
    }

    #[test]
    fn large_bodies_go_into_the_file_and_small_ones_do_not() {
        for length in [0, 1, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL] {
            let mut intake = Intake::uncounted(Some(tempfile::tempfile().unwrap()), None);
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            for chunk in bytes.chunks(7_777) {
                intake.take(chunk).unwrap();
            }
            assert_eq!(intake.spilled, length > SMALL);
            intake.restart().unwrap();
            for chunk in bytes.chunks(100_000) {
                intake.take(chunk).unwrap();
            }
            assert_eq!(answer(intake), bytes, "{length}");
        }
    }

    #[test]
    fn the_limit_holds_at_the_byte() {
        let mut intake = Intake::uncounted(None, Some(10));
        intake.take(&[0; 10]).unwrap();
        assert!(matches!(intake.take(&[0]), Err(Fault::TooLarge { limit: 10 })));
        assert!(intake.expect(11).is_err());
    }

    #[test]
    fn no_more_memory_is_taken_than_may_be_filled() {
        let mut intake = Intake::uncounted(None, Some(100_000));
        for _ in 0..100 {
            intake.take(&[0; 1000]).unwrap();
            assert!(intake.bytes.capacity() <= 100_000);
        }
        assert!(intake.take(&[0]).is_err());
    }

    #[test]
    fn memory_comes_back_when_bodies_go() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let memory = Arc::new(Memory::new(0));
        let all = memory.half;
        runtime.block_on(async {
            let mut intake = Intake::counted(&memory, None, None).await;
            intake.take(&[0; 1000]).unwrap();
            let body = intake.finish();
            assert_eq!(memory.small.available_permits(), all - 1);
            let mut large = Intake::counted(&memory, None, None).await;
            for _ in 0..40 {
                if large.must_wait(SMALL) {
                    large.make_room(SMALL).await;
                }
                large.take(&vec![0; SMALL]).unwrap();
            }
            drop((body, large));
            assert_eq!(memory.small.available_permits(), all);
            assert_eq!(memory.large.available_permits(), all);
        });
    }
}
