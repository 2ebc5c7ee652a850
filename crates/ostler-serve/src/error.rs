//! Why a server could not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The result of starting a server.
pub type Result<T, E = ServeError> = std::result::Result<T, E>;

/// Why a server could not start. What goes wrong later concerns one request and is its HTTP status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The directory to serve cannot be opened.
    #[error("cannot open repository {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The directory has no `objects` in it.
    #[error("{} is not a repository: it has no objects directory", path.display())]
    NotRepository {
        /// The directory.
        path: PathBuf,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// The thread or its runtime cannot be started.
    #[error("cannot start the server thread")]
    Start {
        /// The reason.
        source: io::Error,
    },
}
