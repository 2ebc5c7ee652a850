//! The binary from outside: the same words as stock ostree, and what is ours alone.
#![cfg(test)]

mod archives;
mod commit_faults;
mod commit_options;
mod commit_random;
mod demo;
mod fixture;
mod installed_tests;
mod interop;
mod lock;
mod maintaining;
mod memory;
mod os_tree;
mod output;
mod programs;
mod prune;
mod publish_carry;
mod publish_damage;
mod publish_faults;
mod publish_power;
mod publish_races;
mod publish_recovery;
mod publish_scene;
mod pull_local;
mod reading;
mod readme;
mod refs_faults;
mod remotes;
mod rollback;
mod rollback_faults;
mod snapshot;
mod sweep;
mod usage;
mod usb;
mod words;
mod writing;
