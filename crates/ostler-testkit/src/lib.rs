//! What the tests of all crates stand on: fixtures, stock tools as the oracle, and faults.
//!
//! - [`command`]: programs in an environment of our own making.
//! - [`stock`], [`nginx`], [`client`]: stock ostree makes, serves (by nginx) and pulls repositories.
//! - [`faulty_server`], [`proxy`], [`socks`], [`certificates`]: a web server that goes wrong as it is told, proxies, and TLS.
//! - [`sshd`]: an ssh server for one key and one command.
//! - [`tree`], [`random`]: file trees, odd ones and large ones, the same on every run.
//! - [`listing`], [`oracle`]: what a tree holds; whether a repository is whole and clean.
//! - [`strace`]: a program killed or refused at its n-th system call, for every n.
//! - [`damage`]: files that are cut short, changed or gone.
//! - [`disk`]: a file system of its own whose power can be cut.
//! - [`debian`]: two versions of a real operating system.
//!
//! Everything here panics with a message that says what to do, because its callers are tests. A tool that
//! is missing is such a panic: a test that cannot ask the oracle has failed.
#![expect(
    clippy::panic,
    reason = "the callers are tests: a fixture that cannot be made fails the test"
)]

mod acceptor;
pub mod certificates;
pub mod client;
pub mod command;
pub mod damage;
pub mod debian;
pub mod disk;
pub mod faulty_server;
pub mod gpg;
pub mod listing;
pub mod name_server;
pub mod nginx;
pub mod oracle;
pub mod proxy;
pub mod random;
pub mod socks;
pub mod sshd;
pub mod sshfs;
pub mod stock;
pub mod strace;
pub mod tree;
