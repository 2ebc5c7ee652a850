//! The binary from outside: the same words as stock ostree, and what is ours alone.

mod fixture;
mod maintaining;
mod output;
mod programs;
mod reading;
mod usage;
mod writing;
