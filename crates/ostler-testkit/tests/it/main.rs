//! The testkit keeps its own promises.
#![cfg(test)]

mod debian;
mod disk;
mod faults;
mod oracle;
mod serving;
