//! How a run tells its caller where it is. Libraries never print.

use crate::plan::Plan;
use ostler_format::ObjectName;

/// Receives what happens during a run. All methods have empty defaults; they are called from several threads.
pub trait Reporter: Send + Sync {
    /// A plan was computed; the run carries it out next.
    fn planned(&self, _plan: &Plan) {}

    /// Bytes of an item were stored; `bytes` as the source has them.
    fn stored(&self, _bytes: u64) {}

    /// All items of the plan are stored; what is left is to settle and to flip.
    fn flipping(&self) {}

    /// The target changed meanwhile, or lacks objects: the run computes again.
    fn again(&self, _reason: &Again) {}

    /// Something worth knowing that does not stop the run.
    fn note(&self, _text: &str) {}
}

/// Why a run computes its plan again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// A ref of the target, or a file that the plan stands on, is not what the plan was computed against.
    Moved(String),
    /// The target lacks objects that it claims to have, or has damaged ones; they are sent.
    Holes(Vec<ObjectName>),
}

/// A reporter that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {}
