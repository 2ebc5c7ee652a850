//! HTTP over an OSTree repository: what `ostree pull` and browsers may read, and nothing else; and over any directory,
//! with faults for tests.
//!
//! The caller sees a blocking interface; the asynchronous runtime lives in one thread behind [`Server`].
//! Nothing is cached between requests and nothing is locked: objects never change, and everything that does
//! change is replaced by a rename, so that an opened file is always one whole state of it.

mod body;
mod demands;
mod error;
mod faults;
mod listing;
mod log;
mod open;
mod public;
mod range;
mod respond;
mod server;
mod shelf;
mod stall;
mod tree;

pub use demands::Demands;
pub use error::{Result, ServeError};
pub use faults::{Chance, Faults};
pub use log::Log;
pub use public::{Lifetime, PublicPath};
pub use server::{Server, TreeOptions, serve, serve_source, serve_tree};
pub use shelf::Source;
