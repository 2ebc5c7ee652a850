//! What can go wrong with one request, and whether it may go away by itself.

use crate::error::TransferError;

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The server refuses, or has failed.
    #[error("Server returned HTTP {0}")]
    Status(u16),
    /// There is no connection, or it was cut; the text says more.
    #[error("{0}")]
    Network(String),
    /// The other end of a TLS connection, or our own certificate, is not trusted.
    #[error("{0}")]
    Tls(String),
    /// A body has more bytes than it may have.
    #[error("it exceeded maximum size of {limit} bytes")]
    TooLarge {
        /// How many are allowed.
        limit: u64,
    },
    /// Hardly anything came for a long time.
    #[error("Operation too slow. Less than {bytes} bytes/sec transferred the last {seconds} seconds")]
    TooSlow {
        /// The limit in bytes a second.
        bytes: u64,
        /// For how long.
        seconds: u64,
    },
    /// The server sends from one place to the next without end, or to one that is not allowed.
    #[error("{0}")]
    Redirect(String),
    /// What came is not what the protocol says; the text says more.
    #[error("{0}")]
    Protocol(String),
    /// A metalink, or a list of mirrors, leads nowhere.
    #[error("{0}")]
    Unusable(String),
    /// A file of this machine cannot be read or written.
    #[error("cannot read or write it")]
    Io(#[from] std::io::Error),
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

impl Fault {
    /// Returns whether the same request may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Network(_) | Self::TooSlow { .. } | Self::Protocol(_) => true,
            _ => false,
        }
    }

    /// Wraps the fault with what was fetched.
    pub(crate) fn of(self, url: impl Into<String>) -> TransferError {
        TransferError::Fetch {
            url: url.into(),
            fault: self,
        }
    }
}

/// That a server has no such file, for callers that need it: it turns into an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// Its URL, without secrets.
    pub url: String,
    /// 403, 404 or 410; 404 for a file of this machine.
    pub status: u16,
}

impl From<NotFound> for TransferError {
    fn from(missing: NotFound) -> Self {
        Fault::Status(missing.status).of(missing.url)
    }
}
