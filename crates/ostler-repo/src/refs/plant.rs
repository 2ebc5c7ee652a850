//! Writing the refs of a repository that nobody sees yet: without locks, comparisons and syncs.

use super::Place;
use super::alias::link_text;
use crate::error::{RepoError, Result};
use crate::refs::RefKey;
use crate::repo::{DIR_MODE, FILE_MODE, Repo};
use ostler_format::{Checksum, RefName, Refspec};
use std::collections::BTreeMap;
use std::path::Path;

impl Repo {
    /// Writes refs, those among `aliases` as symbolic links.
    pub(crate) fn plant_refs(
        &self,
        refs: &BTreeMap<RefKey, Checksum>,
        aliases: &BTreeMap<RefName, RefName>,
    ) -> Result<()> {
        let tmp = self.tmp()?;
        for (key, commit) in refs {
            let path = Place::of(key, self.config()).path();
            let alias = match key {
                RefKey::Refspec(Refspec { remote: None, name }) => aliases.get(name).map(|to| (name, to)),
                _ => None,
            };
            let root = self.root();
            let write = || {
                root.ensure_dir(path.parent().unwrap_or(Path::new("refs")), DIR_MODE)?;
                match alias {
                    Some((name, target)) => root.symlink(link_text(name, target), &path),
                    None => root.replace_via(tmp, &path, format!("{commit}\n").as_bytes(), FILE_MODE, false),
                }
            };
            write().map_err(RepoError::io("write", root.path_of(&path)))?;
        }
        Ok(())
    }
}
