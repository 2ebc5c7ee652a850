//! Publishing: from a local repository to where clients pull it.
//!
//! A [`Snapshot`] says what is published, an [`Inventory`] what the target holds, a [`Policy`] what may change; from these
//! a [`Plan`] is computed, which is a value, and [`publish`] carries it out over a [`Store`].

mod added;
mod carry;
mod channel;
mod check;
mod claims;
mod counterpart;
mod deltas;
mod detached;
mod error;
mod execute;
mod flight;
mod generation;
mod history;
pub mod http;
mod inventory;
mod kept;
mod lists;
mod live;
mod overtaken;
mod past;
mod pin;
mod plan;
mod planner;
mod policy;
mod publish;
pub mod pull;
pub mod push;
pub mod receive;
mod refs;
mod report;
mod retention;
mod retire;
mod rollback;
mod snapshot;
mod store;
mod summaries;
mod summary;
mod sweep;

pub use claims::Lost;
pub use counterpart::{Counterpart, DroppedRef};
pub use deltas::{DeltaOrigins, DeltaRule};
pub use error::{Damage, Refusal, Result, TransferError};
pub use generation::Generation;
pub use inventory::Inventory;
pub use past::{Past, RefDifference, present_refs, ref_differences, set_pinned};
pub use plan::{Addition, CarriedFile, DetachedUpdate, Plan, RefUpdate, SummaryPlan, Tally};
pub use policy::{Policy, RefMove, Signing, SummaryPolicy};
pub use publish::{Outcome, PublishOptions, publish};
pub use report::{Again, Reporter, Silent};
pub use retention::{Keep, ReadList, Retention, Rule, parse_span};
pub use retire::Retirement;
pub use rollback::{RollbackOptions, RollbackOutcome, rollback};
pub use snapshot::{Selection, Snapshot};
pub use store::{
    Body, Clock, DirStore, Edit, Entry, Expect, Hook, Item, Lease, MemoryStore, MountedStore, Overwrite,
    Removed, Stamp, Step, Store,
};
pub use sweep::{SweepOptions, Swept, is_due, sweep};
