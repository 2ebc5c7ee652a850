//! Detached metadata: signatures and other notes beside a commit, which may be added or changed long after the
//! commit was published.
//!
//! Carried for every commit of the selected history that the target has. A signature that only the target has (a server may add its
//! own) stays: lists of signatures are united, the source's first. What the target has and nobody can read is replaced.

use crate::check::in_parallel;
use crate::error::{Damage, Result, TransferError};
use crate::history::History;
use crate::inventory::detached_path;
use crate::plan::DetachedUpdate;
use crate::planner::{Planner, Published};
use crate::store::{Edit, Expect};
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::signatures::Engine;
use ostler_format::{Checksum, FormatError, ObjectName, ObjectType, parse_detached};
use ostler_repo::RepoError;

/// The largest file of detached metadata, in bytes: the limit of clients.
const LIMIT: u64 = 128 << 20;

/// Returns what to add or change at the target.
pub(crate) fn updates(
    planner: &Planner<'_>,
    history: &History,
    published: &Published<'_>,
) -> Result<Vec<DetachedUpdate>> {
    let commits: Vec<_> = history.commits().copied().collect();
    let mut found = in_parallel(planner.store, &commits, |commit| {
        let name = ObjectName::new(*commit, ObjectType::CommitMeta);
        let wanted = own(planner, &name)?;
        Ok(wanted.map(|wanted| (*commit, update(planner, *commit, wanted))))
    })?;
    found.sort_unstable_by_key(|(commit, _)| *commit);
    let mut updates = Vec::new();
    let mut damaged = Vec::new();
    for (commit, update) in found {
        match update {
            Ok(Some(update)) if published.has(&commit)? => updates.push(update),
            Err(TransferError::CorruptSource(found)) if published.has(&commit)? => damaged.extend(found),
            Ok(_) | Err(TransferError::CorruptSource(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if damaged.is_empty() {
        Ok(updates)
    } else {
        Err(TransferError::CorruptSource(damaged))
    }
}

/// Returns how the target's detached metadata of a commit changes, if it does.
fn update(planner: &Planner<'_>, commit: Checksum, wanted: Vec<u8>) -> Result<Option<DetachedUpdate>> {
    let own = parse_detached(&wanted).map_err(|fault| {
        let name = ObjectName::new(commit, ObjectType::CommitMeta);
        Damage::wrap(name, RepoError::format("it")(fault))
    })?;
    let old = if planner.inventory.is_empty {
        None
    } else {
        planner.store.get(&detached_path(&commit), LIMIT)?
    };
    let mut replaces_damaged = false;
    let new = match &old {
        Some(there) if *there == wanted => return Ok(None),
        None => wanted,
        Some(there) => {
            if let Ok(there) = parse_detached(there) {
                united(own, &there).to_bytes()
            } else {
                replaces_damaged = true;
                wanted
            }
        }
    };
    let changes = old.as_ref() != Some(&new);
    Ok(changes.then_some(DetachedUpdate {
        commit,
        old,
        new,
        replaces_damaged,
    }))
}

/// Returns the bytes of the source's detached metadata; an empty file is as good as none.
fn own(planner: &Planner<'_>, name: &ObjectName) -> Result<Option<Vec<u8>>> {
    match planner.source.load_metadata(name) {
        Ok(bytes) => Ok((!bytes.is_empty()).then_some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the edit of the flip that carries an update out.
pub(crate) fn edit(update: &DetachedUpdate) -> Edit {
    let expect = match &update.old {
        Some(old) => Expect::Bytes(Checksum::of(old)),
        None => Expect::Absent,
    };
    Edit {
        path: detached_path(&update.commit),
        expect,
        new: Some(update.new.clone()),
    }
}

/// Returns the signatures that may be added to a commit long after it was published, in the order of their engines.
pub(crate) fn signatures_of(detached: &VarDict) -> Result<Vec<(Engine, &[u8])>, FormatError> {
    let mut all = Vec::new();
    for engine in [Engine::Gpg, Engine::Ed25519, Engine::Spki] {
        let own = ostler_format::signatures(detached, engine.key())?;
        all.extend(own.into_iter().map(|signature| (engine, signature)));
    }
    Ok(all)
}

/// Returns the source's metadata with what only the target has added behind it.
pub(crate) fn united(mut source: VarDict, target: &VarDict) -> VarDict {
    for (key, there) in target.iter() {
        let Some(own) = source.get(key) else {
            source.insert(key, there.clone());
            continue;
        };
        if let (Value::Array(kind, own), Value::Array(other_kind, there)) = (own, there)
            && kind == other_kind
        {
            let extra = there.iter().filter(|item| !own.contains(item));
            let all = own.iter().chain(extra).cloned().collect();
            source.insert(key, Value::Array(kind.clone(), all));
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::gvariant::Type;

    fn signatures(all: &[&[u8]]) -> Vec<u8> {
        let list = all.iter().map(|one| Value::Bytes(one.to_vec())).collect();
        let mut dict = VarDict::new();
        dict.insert("ostree.gpgsigs", Value::Array(Type::parse("ay").unwrap(), list));
        dict.to_bytes()
    }

    fn united_bytes(source: &[u8], target: &[u8]) -> Vec<u8> {
        let dict = |bytes| VarDict::from_bytes(bytes).unwrap();
        united(dict(source), &dict(target)).to_bytes()
    }

    #[test]
    fn signatures_of_both_sides_are_kept_once_and_the_sources_come_first() {
        let united = united_bytes(
            &signatures(&[b"new", b"both"]),
            &signatures(&[b"both", b"server"]),
        );
        assert_eq!(united, signatures(&[b"new", b"both", b"server"]));
    }

    #[test]
    fn a_note_that_only_the_target_has_stays() {
        let mut target = VarDict::new();
        target.insert("server.note", Value::Str("seen".into()));
        let united = united_bytes(&signatures(&[b"new"]), &target.to_bytes());
        let united = VarDict::from_bytes(&united).unwrap();
        assert_eq!(united.get("server.note"), Some(&Value::Str("seen".into())));
        assert!(united.get("ostree.gpgsigs").is_some());
    }
}
