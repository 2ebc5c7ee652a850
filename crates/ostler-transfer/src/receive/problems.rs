//! What is wrong with rules that can be read: programs and keys that are not there, a log that cannot be written.

use super::rules::ReceiveRules;
use super::{audit, hooks};
use crate::error::TransferError;
use ostler_repo::sign::{Interruption, TrustPaths};
use std::path::Path;

/// Returns what would keep pushes from being taken, though the file of rules can be read. Nothing is written.
pub fn problems(rules: &ReceiveRules, trust: &TrustPaths) -> Vec<String> {
    let mut problems = hooks::problems(rules);
    let keys = rules
        .sign()
        .iter()
        .map(|rule| rule.signers(&Interruption::default()));
    problems.extend(keys.filter_map(Result::err).map(|error| error.chain()));
    problems.extend(rules.key_problems(trust));
    problems.extend(rules.audit().and_then(log_problem));
    problems
}

fn log_problem(path: &Path) -> Option<String> {
    if path.exists() {
        return audit::check(path).err().map(|error| TransferError::chain(&error));
    }
    let holder = path.parent()?;
    let text = || {
        format!(
            "the audit log cannot be made: there is no directory {}",
            holder.display()
        )
    };
    (!holder.is_dir()).then(text)
}
