//! `refs --delete`: removes refs; all that were asked for, or on a conflict none; damaged ones as well.

use super::Args;
use super::list::Prefix;
use crate::exit;
use anyhow::bail;
use ostler_format::{Checksum, CollectionId, RefName, Refspec};
use ostler_repo::Repo;
use ostler_repo::refs::{DamagedRef, Expected, RefEdit, RefKey, RefScope};
use std::collections::BTreeMap;

pub(super) fn run(repo: &Repo, args: &Args) -> anyhow::Result<()> {
    if args.prefixes.is_empty() {
        return Err(exit::usage("At least one PREFIX is required when deleting refs"));
    }
    let edits = if args.collections {
        of_collections(repo, args)?
    } else {
        of_refs(repo, args)?
    };
    Ok(repo.edit_refs(&edits)?)
}

fn of_collections(repo: &Repo, args: &Args) -> anyhow::Result<Vec<RefEdit>> {
    let wanted = args
        .prefixes
        .iter()
        .map(|text| Ok(CollectionId::new(text)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(repo
        .survey_collection_refs()?
        .into_all()
        .into_iter()
        .filter(|(name, _)| name.collection.as_ref().is_some_and(|id| wanted.contains(id)))
        .map(|(name, value)| removal(name, value))
        .collect())
}

fn of_refs(repo: &Repo, args: &Args) -> anyhow::Result<Vec<RefEdit>> {
    let refs = repo.survey_refs(RefScope::All)?.into_all();
    let mut doomed = BTreeMap::new();
    for prefix in &args.prefixes {
        let prefix = Prefix::parse(prefix)?;
        doomed.extend(
            prefix
                .matches(&refs)
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    for (alias, target) in repo.list_aliases()? {
        let named = |name: &RefName| doomed.contains_key(&Refspec::local(name.clone()));
        if named(&target) && !named(&alias) {
            bail!("Ref '{target}' has an active alias: '{alias}'");
        }
    }
    Ok(doomed
        .into_iter()
        .map(|(name, value)| removal(name, value))
        .collect())
}

/// Removes a ref that is as it was listed; a damaged one, unless it names a commit by now.
fn removal(name: impl Into<RefKey>, value: Result<Checksum, DamagedRef>) -> RefEdit {
    RefEdit::remove(name, value.map_or(Expected::NoCommit, Expected::Is))
}
