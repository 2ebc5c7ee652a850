//! Pushes by the binary: to a directory, and through a real ssh server.

mod local;
mod ssh;
mod tunnel;
