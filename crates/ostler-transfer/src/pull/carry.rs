//! Static deltas that a mirror carries: as the remote has them, hashed, and before the summary that names them.
//!
//! Only those that lead to a commit which the mirror pulls. The parts of a delta are complete before its superblock, and the delta is
//! seen as a whole; the index of a commit is made anew when all deltas to it are there.

use super::targets::Wanted;
use super::upstream::Upstream;
use crate::error::{Result, TransferError};
use crate::http::{Answer, Client, Destination, Remote, Request};
use ostler_format::delta::Superblock;
use ostler_format::{Checksum, DeltaList, DeltaName, Hasher, MAX_METADATA_SIZE, delta_index_path};
use ostler_repo::deltas::ReceivedDelta;
use ostler_repo::fs::TempFile;
use ostler_repo::{Repo, RepoError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read as _, Seek as _, Write as _};

/// Carries deltas from a remote.
pub(super) struct Carrier<'a> {
    pub(super) repo: &'a Repo,
    pub(super) remote: &'a Remote,
    pub(super) client: &'a Client,
    pub(super) upstream: &'a Upstream,
}

impl Carrier<'_> {
    /// Brings all deltas to the commits that are pulled which are not here as the remote has them.
    pub(super) fn carry(&self, wanted: &[Wanted]) -> Result<()> {
        let commits: BTreeSet<Checksum> = wanted.iter().map(|wanted| wanted.commit).collect();
        let here: BTreeMap<DeltaName, Checksum> = self.repo.delta_digests()?.0.into_iter().collect();
        for commit in commits {
            let mut changed = false;
            for (name, digest) in self.announced(&commit)? {
                if here.get(&name) != Some(&digest) {
                    self.bring(name, digest)?;
                    changed = true;
                }
            }
            if changed {
                self.repo.reindex_deltas(Some(&commit))?;
            }
        }
        Ok(())
    }

    /// Returns the deltas to a commit that the remote tells of.
    fn announced(&self, commit: &Checksum) -> Result<Vec<(DeltaName, Checksum)>> {
        let listed = if self.upstream.indexed_deltas {
            let path = delta_index_path(commit);
            let got = self
                .client
                .get(&self.remote.content, &path, MAX_METADATA_SIZE, None)?;
            match got.into_optional() {
                Some(bytes) => DeltaList::parse_index(&bytes)
                    .map_err(TransferError::format(self.remote.content.display(&path)))?,
                None => DeltaList::default(),
            }
        } else {
            self.upstream.deltas.clone()
        };
        Ok(listed
            .0
            .into_iter()
            .filter(|(name, _)| name.to == *commit)
            .collect())
    }

    fn bring(&self, name: DeltaName, digest: Checksum) -> Result<()> {
        let path = format!("{}/superblock", name.path());
        let got = self
            .client
            .get(&self.remote.content, &path, MAX_METADATA_SIZE, None)?;
        let bytes = got.into_required()?;
        let found = Checksum::of(&bytes);
        if found != digest {
            let detail = format!("Invalid checksum for static delta: expected {digest}, found {found}");
            return Err(self.bad(&path, RepoError::corrupt(format!("static delta {name}"), detail)));
        }
        let superblock = Superblock::parse(&bytes)
            .map_err(|error| self.bad(&path, RepoError::format(format!("static delta {name}"))(error)))?;
        let delta = self.repo.receive_delta(name)?;
        self.bring_parts(&delta, &superblock)?;
        Ok(delta.finish(&bytes)?)
    }

    /// Brings the parts that are files, all at once.
    fn bring_parts(&self, delta: &ReceivedDelta<'_>, superblock: &Superblock) -> Result<()> {
        let mut awaited: HashMap<u64, (usize, TempFile)> = HashMap::new();
        for (index, part) in superblock.parts.iter().enumerate() {
            let inline = superblock.inline_part(index);
            if inline.map_err(TransferError::format("superblock"))?.is_some() {
                continue;
            }
            let temp = delta.part()?;
            let file = temp
                .file()
                .try_clone()
                .map_err(RepoError::io("share", "a part"))?;
            let id = index as u64;
            awaited.insert(id, (index, temp));
            self.client.submit(Request {
                id,
                base: self.remote.content.clone(),
                path: format!("{}/{index}", superblock.name().path()),
                limit: Some(part.size),
                destination: Destination::File(file),
                fresh: false,
            });
        }
        while !awaited.is_empty() {
            let Ok(completion) = self.client.completions().recv() else {
                return Err(TransferError::Interrupted);
            };
            let Some((index, mut temp)) = awaited.remove(&completion.id) else {
                continue;
            };
            match completion.result? {
                Answer::Memory(body) => temp.write_all(&body).map_err(RepoError::io("write", "a part"))?,
                Answer::File(..) => {}
                Answer::NotFound(missing) => return Err(missing.into()),
            }
            self.check_part(superblock, index, &temp)?;
            delta.add_part(index, temp)?;
        }
        Ok(())
    }

    fn check_part(&self, superblock: &Superblock, index: usize, temp: &TempFile) -> Result<()> {
        let found = digest_of(temp).map_err(RepoError::io("read", "a part of a static delta"))?;
        let expected = superblock.parts.get(index).map(|part| part.checksum);
        if expected == Some(found) {
            return Ok(());
        }
        let name = superblock.name();
        let path = format!("{}/{index}", name.path());
        let detail = format!("its checksum is {found}, not the one that its superblock names");
        Err(self.bad(
            &path,
            RepoError::corrupt(format!("part {index} of static delta {name}"), detail),
        ))
    }

    fn bad(&self, path: &str, source: RepoError) -> TransferError {
        TransferError::BadBody {
            url: self.remote.content.display(path),
            source,
        }
    }
}

fn digest_of(temp: &TempFile) -> std::io::Result<Checksum> {
    let mut file = temp.file();
    file.rewind()?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
