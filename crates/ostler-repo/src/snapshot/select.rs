//! What a snapshot consists of: refs, commits, objects.

use super::SnapshotOptions;
use crate::error::{RepoError, Result};
use crate::refs::RefKey;
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType, RefName, Refspec};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is to be copied.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) refs: BTreeMap<RefKey, Checksum>,
    /// Those of the refs that stand for others.
    pub(super) aliases: BTreeMap<RefName, RefName>,
    pub(super) commits: BTreeSet<Checksum>,
    /// Parents that are not copied.
    pub(super) ends: BTreeSet<Checksum>,
    pub(super) objects: Vec<ObjectName>,
}

impl Selected {
    /// Reads the source; the caller holds its shared lock.
    pub(super) fn choose(source: &Repo, options: &SnapshotOptions<'_>) -> Result<Self> {
        let mut survey = source.survey_all_refs()?;
        if let Some(select) = options.select {
            survey.retain(select);
        }
        let refs = survey.into_sound()?;
        if options.select.is_some() && refs.is_empty() {
            return Err(RepoError::not_found("a ref of the given names"));
        }
        let head = |name: &RefName| RefKey::Refspec(Refspec::local(name.clone()));
        let mut aliases = source.list_aliases()?;
        aliases.retain(|alias, name| refs.contains_key(&head(alias)) && refs.contains_key(&head(name)));
        let (commits, ends) = history(source, &refs, options.depth)?;
        let objects = objects(source, &refs, &commits)?;
        Ok(Self {
            refs,
            aliases,
            commits,
            ends,
            objects,
        })
    }
}

/// Returns the commits of refs with their parents, and the parents that are not among them. History ends at a parent that
/// is missing or partial, as everywhere.
fn history(
    source: &Repo,
    refs: &BTreeMap<RefKey, Checksum>,
    depth: Option<u64>,
) -> Result<(BTreeSet<Checksum>, BTreeSet<Checksum>)> {
    // How many parents were followed from a commit; the largest number stands for all.
    let mut followed: HashMap<Checksum, u64> = HashMap::new();
    let mut ends = BTreeSet::new();
    for (name, tip) in refs {
        if source.is_partial(tip)?.is_some() {
            return Err(RepoError::Refused {
                detail: format!("ref {name} leads to commit {tip}, which is partial"),
            });
        }
        let mut left = depth.unwrap_or(u64::MAX);
        let mut next = Some(*tip);
        while let Some(commit) = next.take() {
            if followed.get(&commit).is_some_and(|before| *before >= left) {
                break;
            }
            let loaded = match source.load_commit(&commit) {
                Err(error) if error.is_not_found() && commit != *tip => {
                    ends.insert(commit);
                    break;
                }
                loaded => loaded?,
            };
            if source.is_partial(&commit)?.is_some() {
                ends.insert(commit);
                break;
            }
            followed.insert(commit, left);
            if left == 0 {
                ends.extend(loaded.parent);
            } else {
                left -= u64::from(depth.is_some());
                next = loaded.parent;
            }
        }
    }
    ends.retain(|commit| !followed.contains_key(commit));
    Ok((followed.into_keys().collect(), ends))
}

/// Returns all objects of commits, with their detached metadata.
fn objects(
    source: &Repo,
    refs: &BTreeMap<RefKey, Checksum>,
    commits: &BTreeSet<Checksum>,
) -> Result<Vec<ObjectName>> {
    let tips: BTreeSet<_> = refs.values().collect();
    let mut objects = source.listed_closure(tips, commits)?;
    for commit in commits {
        let name = ObjectName::new(*commit, ObjectType::CommitMeta);
        if source.has_object(&name)? {
            objects.push(name);
        }
    }
    Ok(objects)
}
