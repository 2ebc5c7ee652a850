//! Resolving what people write for a commit: REV.
//!
//! In this order, as libostree does it:
//! 1. any number of `^` at the end: so many parents up;
//! 2. 64 hexadecimal digits: that checksum, there or not;
//! 3. hexadecimal digits only: the one commit object that begins with them, here or in a parent repository.
//!    This comes **before** refs, so a ref `beef` is hidden by a commit `beef…`;
//! 4. `remote:ref`;
//! 5. a ref of the repository itself, `remote/ref` as a path, the ref in any remote;
//! 6. 4 and 5 in the parent repository.

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType, RefName, Refspec, RemoteName};

impl Repo {
    /// Returns the commit that a REV means. That it is a commit which exists is checked only as far as finding
    /// it needs.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] when nothing fits; [`RepoError::Ambiguous`] when several commits begin with it;
    /// [`RepoError::InvalidName`] for what can be no REV; [`RepoError::NoParent`]; what loading a commit may answer where there is a `^`.
    pub fn resolve_rev(&self, rev: &str) -> Result<Checksum> {
        let base = rev.trim_end_matches('^');
        let mut commit = self.resolve_base(base)?;
        for _ in base.len()..rev.len() {
            let parent = self.load_commit(&commit)?.parent;
            commit = parent.ok_or(RepoError::NoParent { commit })?;
        }
        Ok(commit)
    }

    /// Returns the commit objects, of this repository and its parents, whose checksums begin with `prefix`.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn commits_with_prefix(&self, prefix: &str) -> Result<Vec<Checksum>> {
        let mut found = Vec::new();
        let mut next = Some(self);
        while let Some(repo) = next {
            repo.add_commits_with_prefix(prefix, &mut found)?;
            next = repo.parent();
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn add_commits_with_prefix(&self, prefix: &str, found: &mut Vec<Checksum>) -> Result<()> {
        let io = |error| RepoError::io("list", self.objects().path())(error);
        let directories = match prefix.get(..2) {
            Some(directory) => vec![directory.to_owned()],
            None => (0..=u8::MAX)
                .map(|byte| format!("{byte:02x}"))
                .filter(|directory| directory.starts_with(prefix))
                .collect(),
        };
        for directory in directories {
            let Some(dir) = self.objects().open_dir_if_exists(&directory).map_err(io)? else {
                continue;
            };
            for entry in dir.entries().map_err(io)? {
                let name = entry.name.to_str();
                let object = name.and_then(|name| ObjectName::from_loose(&directory, name));
                if let Some(object) = object
                    && object.kind == ObjectType::Commit
                    && object.checksum.to_hex().as_str().starts_with(prefix)
                {
                    found.push(object.checksum);
                }
            }
        }
        Ok(())
    }

    fn resolve_base(&self, base: &str) -> Result<Checksum> {
        if let Ok(checksum) = Checksum::from_hex(base) {
            return Ok(checksum);
        }
        if !base.is_empty()
            && base
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            match self.commits_with_prefix(base)?.as_slice() {
                [] => {}
                [one] => return Ok(*one),
                [..] => {
                    let what = format!("Refspec {base}");
                    return Err(RepoError::Ambiguous { what });
                }
            }
        }
        let shown = base.escape_debug();
        let refspec = base.parse().map_err(|source| RepoError::InvalidName {
            what: format!("refspec {shown}"),
            source,
        })?;
        let mut next = Some(self);
        while let Some(repo) = next {
            if let Some(checksum) = repo.resolve_refspec(&refspec)? {
                return Ok(checksum);
            }
            next = repo.parent();
        }
        Err(RepoError::not_found(format!("Refspec '{shown}'")))
    }

    /// Looks a ref up in this repository: as written, and a name without remote also in all remotes.
    fn resolve_refspec(&self, refspec: &Refspec) -> Result<Option<Checksum>> {
        if let Some(checksum) = self.read_ref(refspec)? {
            return Ok(Some(checksum));
        }
        if refspec.remote.is_some() {
            return Ok(None);
        }
        if let Some((remote, name)) = refspec.name.as_str().split_once('/')
            && let (Ok(remote), Ok(name)) = (RemoteName::new(remote), RefName::new(name))
        {
            let remote = Some(remote);
            if let Some(checksum) = self.read_ref(&Refspec { remote, name })? {
                return Ok(Some(checksum));
            }
        }
        for remote in self.tracked_remotes()? {
            let (remote, name) = (Some(remote), refspec.name.clone());
            if let Some(checksum) = self.read_ref(&Refspec { remote, name })? {
                return Ok(Some(checksum));
            }
        }
        Ok(None)
    }
}
