//! Checking one object: its bytes against its name, and its structure.
//!
//! Metadata is returned parsed, so that nothing is read twice.

use super::Damage;
use crate::error::{RepoError, Result};
use crate::objects::ContentReader;
use crate::repo::Repo;
use ostler_format::{Checksum, Commit, DirMeta, DirTree, ObjectName, ObjectType};

/// Reads an object of metadata; its bytes, or what is wrong.
fn metadata(repo: &Repo, name: &ObjectName) -> Result<Result<Vec<u8>, Damage>> {
    let bytes = match repo.load_metadata(name) {
        Ok(bytes) => bytes,
        Err(error) => return damage_of(error).map(Err),
    };
    let actual = Checksum::of(&bytes);
    Ok(if actual == name.checksum {
        Ok(bytes)
    } else {
        Err(Damage::Checksum { actual })
    })
}

pub(crate) fn commit(repo: &Repo, checksum: &Checksum) -> Result<Result<Commit, Damage>> {
    let name = ObjectName::new(*checksum, ObjectType::Commit);
    Ok(metadata(repo, &name)?
        .and_then(|bytes| Commit::parse(&bytes).map_err(|error| Damage::Malformed(error.to_string()))))
}

pub(crate) fn dirtree(repo: &Repo, checksum: &Checksum) -> Result<Result<DirTree, Damage>> {
    let name = ObjectName::new(*checksum, ObjectType::DirTree);
    Ok(metadata(repo, &name)?
        .and_then(|bytes| DirTree::parse(&bytes).map_err(|error| Damage::Malformed(error.to_string()))))
}

pub(crate) fn dirmeta(repo: &Repo, checksum: &Checksum) -> Result<Option<Damage>> {
    let name = ObjectName::new(*checksum, ObjectType::DirMeta);
    Ok(metadata(repo, &name)?
        .and_then(|bytes| DirMeta::parse(&bytes).map_err(|error| Damage::Malformed(error.to_string())))
        .err())
}

/// Checks a content object.
pub(crate) fn content(repo: &Repo, checksum: &Checksum) -> Result<Option<Damage>> {
    match repo.open_content(checksum).and_then(ContentReader::digest) {
        Ok(actual) => Ok((actual != *checksum).then_some(Damage::Checksum { actual })),
        Err(error) => damage_of(error).map(Some),
    }
}

/// Looks at a content object without reading all of it: that it is there, its header, and its size where it is known. Where
/// that is another it is read after all: the same content can be compressed to different sizes.
pub(crate) fn content_quickly(repo: &Repo, checksum: &Checksum, size: Option<u64>) -> Result<Option<Damage>> {
    if let Some(size) = size {
        let name = ObjectName::new(*checksum, ObjectType::File);
        match repo.object_size(&name) {
            Ok(found) if found != size => return content(repo, checksum),
            Ok(_) => {}
            Err(error) => return damage_of(error).map(Some),
        }
    }
    match repo.open_content(checksum) {
        Ok(_) => Ok(None),
        Err(error) => damage_of(error).map(Some),
    }
}

/// Checks an object of any type that is checked.
pub(crate) fn object(repo: &Repo, name: &ObjectName) -> Result<Option<Damage>> {
    let checksum = &name.checksum;
    Ok(match name.kind {
        ObjectType::Commit => commit(repo, checksum)?.err(),
        ObjectType::DirTree => dirtree(repo, checksum)?.err(),
        ObjectType::DirMeta => dirmeta(repo, checksum)?,
        _ => content(repo, checksum)?,
    })
}

/// Tells damage from what keeps us from looking.
fn damage_of(error: RepoError) -> Result<Damage> {
    match error {
        error if error.is_not_found() => Ok(Damage::Missing),
        RepoError::Corrupt { detail, .. } => Ok(Damage::Malformed(detail)),
        RepoError::Format { source, .. } => Ok(Damage::Malformed(source.to_string())),
        other => Err(other),
    }
}
