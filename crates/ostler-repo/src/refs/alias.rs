//! Aliases: symbolic links in `refs/heads` that stand for another ref there.
//!
//! The link is relative and stays within `refs/heads`. An alias lists and resolves as an ordinary ref does;
//! writing a ref under its name replaces it.

use super::change::{Change, New};
use super::list::names_below;
use super::{Expected, Place, Space};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind};
use crate::repo::Repo;
use crate::summary::update_if_configured;
use ostler_format::{RefName, Refspec};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// How many aliases of aliases the kernel follows.
const MAX_HOPS: usize = 40;

impl Repo {
    /// Returns the aliases with the refs that they stand for, which may not exist. A link that leads out of `refs/heads` is
    /// none, but a [damaged ref](super::DamagedRef).
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn list_aliases(&self) -> Result<BTreeMap<RefName, RefName>> {
        let mut aliases = BTreeMap::new();
        if let Some(dir) = self.open_space(&Space::Heads)? {
            for (name, kind) in names_below(&dir, "")? {
                if kind != FileKind::Symlink {
                    continue;
                }
                match alias_target(&dir, &name) {
                    Ok(target) => aliases.extend(target.map(|target| (name, target))),
                    Err(error) if error.is_damage() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(aliases)
    }

    /// Makes `alias` stand for the ref `target`, which must exist.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] for a missing target; [`RepoError::Invalid`] for an alias of itself;
    /// otherwise as [`edit_refs`](Self::edit_refs).
    pub fn set_alias(&self, alias: &RefName, target: &RefName, expected: Expected) -> Result<()> {
        let turn = self.lock_refs()?;
        if self.read_ref(&Refspec::local(target.clone()))?.is_none() {
            return Err(RepoError::not_found(format!("ref {target}")));
        }
        let heads = self
            .open_space(&Space::Heads)?
            .ok_or_else(|| RepoError::not_found("refs/heads"))?;
        let mut hop = Some(target.clone());
        for _ in 0..MAX_HOPS {
            let Some(name) = hop else { break };
            if name == *alias {
                return Err(RepoError::invalid(
                    format!("alias {alias}"),
                    "it would stand for itself",
                ));
            }
            hop = alias_target(&heads, &name)?;
        }
        let change = Change {
            place: Place {
                space: Space::Heads,
                name: alias.clone(),
            },
            expected,
            value: New::Alias(target.clone()),
        };
        self.apply_changes(&[change], &[])?;
        drop(turn);
        update_if_configured(self).map(drop)
    }
}

/// Returns the link text for an alias: as many `..` as the alias has directories, then the target.
pub(super) fn link_text(alias: &RefName, target: &RefName) -> PathBuf {
    let up = alias.as_str().matches('/').count();
    let mut text = PathBuf::new();
    text.extend(std::iter::repeat_n("..", up));
    text.push(target.as_str());
    text
}

/// Returns what an alias stands for; `None` where there is no alias.
fn alias_target(heads: &Dir, name: &RefName) -> Result<Option<RefName>> {
    let path = || heads.path_of(name.as_str());
    let stat = heads
        .stat(name.as_str())
        .map_err(RepoError::io("look at", path()))?;
    if stat.is_none_or(|stat| stat.kind != FileKind::Symlink) {
        return Ok(None);
    }
    let link = heads
        .read_link(name.as_str())
        .map_err(RepoError::io("read link", path()))?;
    let target = within(name, &link).and_then(|target| RefName::new(&target).ok());
    match target {
        Some(target) => Ok(Some(target)),
        None => Err(RepoError::DamagedRef {
            reference: name.to_string(),
            mirrored: false,
            detail: format!(
                "an alias of '{}', which is not a ref in refs/heads",
                link.display().to_string().escape_debug()
            ),
        }),
    }
}

/// Follows the link of an alias by its text alone.
fn within(alias: &RefName, link: &Path) -> Option<String> {
    let mut parts: Vec<&str> = alias.as_str().split('/').collect();
    parts.pop();
    for component in link.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_texts_lead_back_to_their_targets() {
        for (alias, target, text) in [
            ("a", "b", "b"),
            ("al/ias", "app", "../app"),
            ("x/y/z", "x/w", "../../x/w"),
        ] {
            let (alias, target) = (RefName::new(alias).unwrap(), RefName::new(target).unwrap());
            let link = link_text(&alias, &target);
            assert_eq!(link, Path::new(text));
            assert_eq!(within(&alias, &link).as_deref(), Some(target.as_str()));
        }
        let alias = RefName::new("a/b").unwrap();
        assert_eq!(within(&alias, Path::new("../../config")), None);
        assert_eq!(within(&alias, Path::new("/etc/passwd")), None);
    }
}
