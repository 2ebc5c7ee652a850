//! `refs --delete`: removes refs; all that were asked for, or on a conflict none.

use super::Args;
use super::list::Prefix;
use crate::exit;
use anyhow::bail;
use ostler_format::{CollectionId, Refspec};
use ostler_repo::Repo;
use ostler_repo::refs::{Expected, RefEdit, RefScope};
use std::collections::BTreeSet;

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
        .list_collection_refs()?
        .into_iter()
        .filter(|(name, _)| name.collection.as_ref().is_some_and(|id| wanted.contains(id)))
        .map(|(name, commit)| RefEdit {
            name: name.into(),
            expected: Expected::Is(commit),
            new: None,
        })
        .collect())
}

fn of_refs(repo: &Repo, args: &Args) -> anyhow::Result<Vec<RefEdit>> {
    let refs = repo.list_refs(RefScope::All)?;
    let mut doomed = BTreeSet::new();
    for prefix in &args.prefixes {
        let prefix = Prefix::parse(prefix)?;
        doomed.extend(
            prefix
                .matches(&refs)
                .map(|(name, commit)| (name.clone(), *commit)),
        );
    }
    for (alias, target) in repo.list_aliases()? {
        let named = |name: &Refspec| doomed.iter().any(|(doomed, _)| doomed == name);
        if named(&target.clone().into()) && !named(&alias.clone().into()) {
            bail!("Ref '{target}' has an active alias: '{alias}'");
        }
    }
    Ok(doomed
        .into_iter()
        .map(|(name, commit)| RefEdit {
            name: name.into(),
            expected: Expected::Is(commit),
            new: None,
        })
        .collect())
}
