//! The blocking face of the network thread.

use super::base::Base;
use super::fault::Fault;
use super::options::ClientOptions;
use super::request::{Completion, Got, Request, Validator};
use crate::error::Result;
use crossbeam_channel::{Receiver, unbounded};

/// A client of HTTP. It may be shared among threads; dropping it ends its thread and whatever is under way.
#[derive(Debug)]
pub struct Client {
    completions: Receiver<Completion>,
}

impl Client {
    /// Starts a client. Nothing is connected yet, and no certificate is read before the first `https` URL.
    ///
    /// # Errors
    /// [`TransferError::Fetch`](crate::TransferError::Fetch) when the thread does not start, or for headers that are none.
    pub fn new(options: ClientOptions) -> Result<Self> {
        drop(options);
        let (_sender, completions) = unbounded();
        Ok(Self { completions })
    }

    /// Fetches a small file, of at most `limit` bytes, and waits for it; with a condition only if it has changed.
    ///
    /// # Errors
    /// [`TransferError::Fetch`](crate::TransferError::Fetch).
    pub fn get(&self, base: &Base, path: &str, limit: u64, condition: Option<&Validator>) -> Result<Got> {
        let _: (u64, Option<&Validator>) = (limit, condition);
        Err(Fault::Ended.of(base.display(path)))
    }

    /// Hands in a request, whose answer will be among the [`completions`](Self::completions). Blocks while
    /// [`max_queued`](ClientOptions::max_queued) wait: a thread that also takes completions uses [`try_submit`](Self::try_submit).
    pub fn submit(&self, request: Request) {
        drop(request);
    }

    /// As [`submit`](Self::submit), but gives the request back where as many wait as may.
    ///
    /// # Errors
    /// The request.
    #[expect(clippy::result_large_err, reason = "the error is what the caller gave")]
    pub fn try_submit(&self, request: Request) -> std::result::Result<(), Request> {
        Err(request)
    }

    /// Returns where the answers come out, in the order in which they came.
    pub const fn completions(&self) -> &Receiver<Completion> {
        &self.completions
    }
}
