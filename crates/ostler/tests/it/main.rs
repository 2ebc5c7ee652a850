//! The binary from outside: the same words as stock ostree, and what is ours alone.

mod fixture;
mod output;
mod programs;
mod reading;
mod usage;
mod writing;
