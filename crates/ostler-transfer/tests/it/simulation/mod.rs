//! Simulation: the real publish, sweep, rollback and pin, and model clients, over one store in memory, step by step in an
//! order that a seed decides; some of them crash. After every step the laws ([`laws::Laws`]) are checked.
//!
//! [`world`] makes the commits, [`stage`] decides who goes on, [`seat`] is the store as one of them sees it, [`actors`] and
//! [`client`] are what they do, [`play`] puts a whole play together. [`random`] plays many of them, [`exhaustive`] every
//! order of a small one, and [`broken`] shows that a broken rule is found.

mod actors;
mod broken;
mod client;
mod exhaustive;
mod laws;
mod play;
mod random;
mod seat;
mod stage;
mod trace;
mod world;

/// The grace period of all plays, in seconds.
const GRACE: u64 = 1000;
