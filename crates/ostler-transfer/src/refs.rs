//! Refs as publishing sees them: those of a repository's own and those that it mirrors for other collections.

use crate::error::{Result, TransferError};
use crate::plan::RefUpdate;
use crate::store::Store;
use ostler_format::{Checksum, CollectionId, CollectionRef, RefName};
use ostler_repo::{RefKey, Repo, Survey};
use std::collections::{BTreeMap, BTreeSet};

/// The largest ref file: 64 digits, a newline, and what other tools may have put behind them.
const REF_LIMIT: u64 = 4096;

/// Returns the path of a ref's file below the root of a repository.
pub(crate) fn path(name: &CollectionRef) -> String {
    match &name.collection {
        None => format!("refs/heads/{}", name.name),
        Some(collection) => format!("refs/mirrors/{collection}/{}", name.name),
    }
}

/// Reads the refs of a local repository that can be published: its own and those that it mirrors.
pub(crate) fn of_repo(repo: &Repo) -> Result<BTreeMap<CollectionRef, Checksum>> {
    Ok(survey_repo(repo)?.into_sound()?)
}

/// As [`of_repo`], and tells those that are damaged.
pub(crate) fn survey_repo(repo: &Repo) -> Result<Survey<CollectionRef>> {
    let own = repo.config().collection_id();
    let Survey { refs, damaged } = repo.survey_all_refs()?;
    let named = |key| published(key, own);
    Ok(Survey {
        refs: (refs.into_iter())
            .filter_map(|(key, commit)| Some((named(key)?, commit)))
            .collect(),
        damaged: (damaged.into_iter())
            .filter_map(|(key, damaged)| Some((named(key)?, damaged)))
            .collect(),
    })
}

/// Returns the name by which a ref is published; `None` for those of remotes.
fn published(key: RefKey, own: Option<&CollectionId>) -> Option<CollectionRef> {
    match key {
        RefKey::Refspec(refspec) if refspec.remote.is_none() => Some(CollectionRef {
            collection: None,
            name: refspec.name,
        }),
        RefKey::Refspec(_) => None,
        RefKey::Collection(mut name) => {
            name.collection = name.collection.filter(|collection| Some(collection) != own);
            Some(name)
        }
    }
}

/// Refs of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoreRefs {
    /// What they name, aliases resolved.
    pub(crate) refs: BTreeMap<CollectionRef, Checksum>,
    /// Those that are symbolic links to others.
    pub(crate) aliases: BTreeMap<CollectionRef, CollectionRef>,
    /// Those whose files name no commit, with the checksums of the files. Aliases of them are not among them.
    pub(crate) damaged: BTreeMap<CollectionRef, Checksum>,
}

/// Reads all published refs of a store, for whoever goes by all of them.
///
/// # Errors
/// [`TransferError::DamagedRef`]: what such a ref leads to is not known.
pub(crate) fn of_store(store: &dyn Store) -> Result<BTreeMap<CollectionRef, Checksum>> {
    let found = survey_store(store)?;
    match found.damaged.into_keys().next() {
        Some(reference) => Err(TransferError::DamagedRef {
            target: store.describe(),
            reference,
        }),
        None => Ok(found.refs),
    }
}

/// Reads all published refs of a store, and which are damaged. Files whose names are not ref names are left alone, as
/// libostree does.
pub(crate) fn survey_store(store: &dyn Store) -> Result<StoreRefs> {
    let mut found = StoreRefs::default();
    collect(store, None, "refs/heads", "", &mut found)?;
    for entry in store
        .list("refs/mirrors")?
        .into_iter()
        .filter(|entry| entry.is_dir)
    {
        if let Ok(collection) = entry.name.parse::<CollectionId>() {
            let root = format!("refs/mirrors/{collection}");
            collect(store, Some(&collection), &root, "", &mut found)?;
        }
    }
    let StoreRefs { aliases, damaged, .. } = &mut found;
    let names: BTreeSet<_> = damaged.keys().cloned().collect();
    damaged.retain(|name, _| aliases.get(name).is_none_or(|target| !names.contains(target)));
    Ok(found)
}

/// Reads what the refs of a store name that it tracks of remotes. Those are not published, and keep what they lead to.
pub(crate) fn of_remotes(store: &dyn Store) -> Result<Vec<Checksum>> {
    let mut tips = Vec::new();
    let mut pending = vec!["refs/remotes".to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in store.list(&dir)? {
            let path = format!("{dir}/{}", entry.name);
            if entry.is_dir {
                pending.push(path);
            } else if let Some(bytes) = store.get(&path, REF_LIMIT)? {
                // What is no ref is in nobody's way: copying tools leave such files.
                tips.extend(parse(&bytes));
            }
        }
    }
    Ok(tips)
}

/// Reads the refs below one directory; explicit stack, since depth is the target's to choose.
fn collect(
    store: &dyn Store,
    collection: Option<&CollectionId>,
    root: &str,
    start: &str,
    found: &mut StoreRefs,
) -> Result<()> {
    let mut pending = vec![start.to_owned()];
    while let Some(prefix) = pending.pop() {
        let dir = if prefix.is_empty() {
            root.to_owned()
        } else {
            format!("{root}/{prefix}")
        };
        for entry in store.list(&dir)? {
            let name = if prefix.is_empty() {
                entry.name.clone()
            } else {
                format!("{prefix}/{}", entry.name)
            };
            let Ok(valid) = name.parse::<RefName>() else {
                continue;
            };
            if entry.is_dir {
                pending.push(name);
                continue;
            }
            let key = CollectionRef {
                collection: collection.cloned(),
                name: valid,
            };
            if let Some(target) = entry.link.and_then(|link| alias_target(&name, &link)) {
                let target = CollectionRef {
                    collection: collection.cloned(),
                    name: target,
                };
                found.aliases.insert(key.clone(), target);
            }
            if let Some(bytes) = store.get(&path(&key), REF_LIMIT)? {
                match parse(&bytes) {
                    Some(commit) => drop(found.refs.insert(key, commit)),
                    None => drop(found.damaged.insert(key, Checksum::of(&bytes))),
                }
            }
        }
    }
    Ok(())
}

/// Returns what all refs name after updates; an alias follows the ref that it leads to.
pub(crate) fn after(
    before: &BTreeMap<CollectionRef, Checksum>,
    aliases: &BTreeMap<CollectionRef, CollectionRef>,
    updates: &[RefUpdate],
) -> BTreeMap<CollectionRef, Checksum> {
    let mut after = before.clone();
    for update in updates {
        match update.new {
            Some(new) => after.insert(update.name.clone(), new),
            None => after.remove(&update.name),
        };
    }
    for (alias, target) in aliases {
        match after.get(target).copied() {
            Some(commit) => after.insert(alias.clone(), commit),
            None => after.remove(alias),
        };
    }
    after
}

/// Returns the ref that a relative symbolic link leads to from the ref `name`.
fn alias_target(name: &str, link: &str) -> Option<RefName> {
    let mut parts: Vec<_> = name.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    parts.join("/").parse().ok()
}

/// Returns the commit that a ref file names, if it does.
fn parse(bytes: &[u8]) -> Option<Checksum> {
    let text = std::str::from_utf8(bytes).ok()?;
    Checksum::from_hex(text.trim_end()).ok()
}

/// Returns the content of a ref file.
pub(crate) fn content(commit: &Checksum) -> Vec<u8> {
    format!("{commit}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_leads_to_the_ref_that_its_link_says() {
        for (name, link, target) in [
            ("stable", "os/9", Some("os/9")),
            ("al/ias", "../app", Some("app")),
            ("al/ias", "./app", Some("al/app")),
            ("stable", "../config", None),
            ("stable", "/etc/passwd", None),
        ] {
            assert_eq!(
                alias_target(name, link).map(|name| name.to_string()).as_deref(),
                target
            );
        }
    }
}
