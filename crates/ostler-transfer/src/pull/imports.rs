//! Objects from repositories on this machine: the remote itself, if it is one, else those that are given to save transfers.
//!
//! What a cache has is hashed before it is taken; what it has damaged is as good as absent. The remote's own objects are believed
//! unless that is declined, as with a local pull, or a signature is asked for, which says nothing of bytes that nobody hashed.

use super::crew::{Crew, Need};
use super::progress::count;
use crate::error::Result;
use ostler_format::{ObjectName, ObjectType};
use ostler_repo::{Repo, RepoError, Trust};

impl Crew<'_> {
    /// Takes a need from a repository on this machine, or asks the network for it.
    pub(super) fn import(&self, need: Need) -> Result<()> {
        let Some(name) = need.object() else {
            self.fetch(need);
            return Ok(());
        };
        if let Some(source) = self.scene.source {
            return self.import_from_source(&need, &name, source);
        }
        // Detached metadata may have changed since the cache got it.
        let caches = match need {
            Need::Detached(_) => &[],
            _ => self.scene.options.local_caches,
        };
        for cache in caches {
            if !cache.has_object(&name)? {
                continue;
            }
            match self.import_object(&need, &name, cache, Trust::Verify) {
                Err(crate::TransferError::Repo(error)) if error.is_damage() => {}
                imported => return imported,
            }
        }
        self.fetch(need);
        Ok(())
    }

    fn import_from_source(&self, need: &Need, name: &ObjectName, source: &Repo) -> Result<()> {
        let signed = self.scene.trust.commit_required() || self.scene.trust.summary_required();
        let trust = if self.scene.options.untrusted || signed {
            Trust::Verify
        } else {
            Trust::Trusted
        };
        match need {
            Need::Detached(task) => match source.load_detached(&task.checksum) {
                Err(error @ RepoError::Format { .. }) => self.detached_unreadable(task, error.into()),
                loaded => self.detached_arrived(task, loaded?),
            },
            Need::Commit(task) if !task.is_target && !source.has_object(name)? => Ok(()),
            _ => self.import_object(need, name, source, trust),
        }
    }

    fn import_object(&self, need: &Need, name: &ObjectName, from: &Repo, trust: Trust) -> Result<()> {
        if let Need::Commit(task) = need {
            let bytes = from.load_metadata(name)?;
            if trust == Trust::Verify {
                ostler_repo::verify_archived(name, &bytes)?;
            }
            count(&self.counters.local_metadata, 1);
            return self.commit_arrived(task, bytes);
        }
        if self.scene.options.bareuseronly_files && name.kind == ObjectType::File {
            check_mode(name, from)?;
        }
        self.scene.transaction.import_object(name, from, trust)?;
        let counter = match name.kind {
            ObjectType::File => &self.counters.local_content,
            _ => &self.counters.local_metadata,
        };
        count(counter, 1);
        match need {
            Need::Tree(task) => self.scan_stored(task),
            _ => Ok(()),
        }
    }
}

fn check_mode(name: &ObjectName, from: &Repo) -> Result<()> {
    let content = from.open_content(&name.checksum)?;
    Ok(ostler_repo::check_bare_user_only(
        &name.checksum,
        content.header(),
    )?)
}
