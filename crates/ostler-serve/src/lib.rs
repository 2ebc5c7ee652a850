//! HTTP over an OSTree repository: what `ostree pull` and browsers may read, and nothing else.
//!
//! The caller sees a blocking interface; the asynchronous runtime lives in one thread behind [`Server`].
//! Nothing is cached between requests and nothing is locked: objects never change, and everything that does
//! change is replaced by a rename, so that an opened file is always one whole state of it.

mod body;
mod error;
mod open;
mod public;
mod respond;
mod server;

pub use error::{Result, ServeError};
pub use public::{Lifetime, PublicPath};
pub use server::{Server, serve};
