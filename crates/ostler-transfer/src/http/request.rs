//! What is asked of a [`Client`](super::Client), and what it answers.

use super::base::Base;
use super::fault::NotFound;
use crate::error::TransferError;
use std::fs::File;
use std::ops::Deref;
use tokio::sync::OwnedSemaphorePermit;

/// One file to fetch.
#[derive(Debug)]
pub struct Request {
    /// Comes back with the answer.
    pub id: u64,
    /// The repository.
    pub base: Base,
    /// The path of the file below it.
    pub path: String,
    /// How many bytes the file may have; it is refused as soon as more come.
    pub limit: Option<u64>,
    /// Where a large body goes.
    pub destination: Destination,
    /// Asks all caches on the way to ask the server: for a second try at a file that was not what it should be.
    pub fresh: bool,
}

/// Where the body of an answer goes. Bodies of at most 256 KiB always stay in memory.
#[derive(Debug)]
pub enum Destination {
    /// Into memory, whatever its size: metadata, for which there is a limit.
    Memory,
    /// Into this file, which is empty and open for writing (and reading, if the caller wants to read it then).
    File(File),
}

/// The answer to one [`Request`].
#[derive(Debug)]
pub struct Completion {
    /// The number that the request was given.
    pub id: u64,
    /// What came.
    pub result: Result<Answer, TransferError>,
}

/// What a server has at a path.
#[derive(Debug)]
pub enum Answer {
    /// A body in memory.
    Memory(Body),
    /// A body in the file of the request, positioned at its end, and its length.
    File(File, u64),
    /// There is no such file (404, 410), or we may not know of it (403).
    NotFound(NotFound),
}

/// A body in memory. It counts towards the memory that the client may use until it is dropped, or taken out.
#[derive(Debug, Default)]
pub struct Body {
    bytes: Vec<u8>,
    held: [Option<OwnedSemaphorePermit>; 2],
}

impl Body {
    /// Puts a body together with its share of the client's memory.
    pub(crate) const fn new(bytes: Vec<u8>, held: [Option<OwnedSemaphorePermit>; 2]) -> Self {
        Self { bytes, held }
    }

    /// Takes the bytes out, which then no longer count.
    pub fn into_vec(self) -> Vec<u8> {
        drop(self.held);
        self.bytes
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a server said of a file, by which it can tell later whether it has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validator {
    /// The header `ETag`, as it was sent.
    pub etag: Option<String>,
    /// The header `Last-Modified`, in seconds since the epoch.
    pub modified: Option<u64>,
}

/// The answer to a conditional request for a small file.
#[derive(Debug)]
pub enum Got {
    /// The file.
    Body {
        /// All of it.
        bytes: Vec<u8>,
        /// By which to ask again.
        validator: Validator,
    },
    /// It is what the validator stands for.
    NotModified,
    /// There is none.
    NotFound(NotFound),
}

impl Got {
    /// Returns the bytes of a file that may be missing.
    pub fn into_optional(self) -> Option<Vec<u8>> {
        match self {
            Self::Body { bytes, .. } => Some(bytes),
            Self::NotModified | Self::NotFound(_) => None,
        }
    }

    /// Returns the bytes of a file that must be there.
    ///
    /// # Errors
    /// [`TransferError::Fetch`] with the server's status where it is not.
    pub fn into_required(self) -> Result<Vec<u8>, TransferError> {
        match self {
            Self::Body { bytes, .. } => Ok(bytes),
            Self::NotFound(missing) => Err(missing.into()),
            Self::NotModified => Ok(Vec::new()),
        }
    }
}
