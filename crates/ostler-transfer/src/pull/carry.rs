//! Static deltas that a mirror carries: as the remote has them, hashed, and before the summary that names them.
//!
//! Only those that lead to a commit which the mirror pulls. The parts of a delta are complete before its superblock, and the delta is
//! seen as a whole; the index of a commit is made anew when all deltas to it are there.
//!
//! A delta that clients could not use is left out, with a note, and what was here under its name goes: the summary, which stays as it
//! was signed, names it all the same, and clients that find nothing there fetch objects, where anything else would end their pull.

use super::progress::PullReporter;
use super::targets::Wanted;
use super::upstream::Upstream;
use crate::error::{Result, TransferError};
use crate::http::{Answer, Client, Destination, Fault, Remote, Request};
use ostler_format::delta::{SignedSuperblock, Superblock};
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
    pub(super) reporter: &'a dyn PullReporter,
}

impl Carrier<'_> {
    /// Brings all deltas to the commits that are pulled which are not here as the remote has them.
    pub(super) fn carry(&self, wanted: &[Wanted]) -> Result<()> {
        let commits: BTreeSet<Checksum> = wanted.iter().map(|wanted| wanted.commit).collect();
        let here: BTreeMap<DeltaName, Checksum> = self.repo.delta_digests()?.0.into_iter().collect();
        for commit in commits {
            let mut changed = false;
            for (name, digest) in self.announced_or_none(&commit)? {
                let old = here.get(&name);
                if old == Some(&digest) {
                    continue;
                }
                changed = true;
                match self.bring(name, digest) {
                    Err(error) if is_about_delta(&error) => self.leave_out(&name, old.is_some(), &error)?,
                    brought => brought?,
                }
            }
            if changed {
                self.repo.reindex_deltas(Some(&commit))?;
            }
        }
        Ok(())
    }

    /// Does without a delta of the remote, and without the one that is here under its name.
    fn leave_out(&self, name: &DeltaName, replaces: bool, error: &TransferError) -> Result<()> {
        let why = error.chain();
        self.reporter
            .note(&format!("static delta {name} is not mirrored: {why}"));
        if replaces {
            self.repo.delete_delta(name)?;
        }
        Ok(())
    }

    /// Returns the deltas to a commit that the remote tells of; none if what it tells cannot be read.
    fn announced_or_none(&self, commit: &Checksum) -> Result<Vec<(DeltaName, Checksum)>> {
        match self.announced(commit) {
            Err(error) if is_about_delta(&error) => {
                let why = error.chain();
                self.reporter
                    .note(&format!("no static delta to {commit} is mirrored: {why}"));
                Ok(Vec::new())
            }
            announced => announced,
        }
    }

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
        if SignedSuperblock::is_signed(&bytes) {
            let what = "a signed static delta, which clients that pull cannot read".to_owned();
            return Err(self.bad(&path, RepoError::Unsupported { what }));
        }
        let superblock = Superblock::parse(&bytes)
            .map_err(|error| self.bad(&path, RepoError::format(format!("static delta {name}"))(error)))?;
        if superblock.name() != name || Checksum::of(&superblock.commit) != name.to {
            let detail = "it leads between other commits";
            return Err(self.bad(&path, RepoError::corrupt(format!("static delta {name}"), detail)));
        }
        let delta = self.repo.receive_delta(name)?;
        self.bring_parts(&delta, &superblock)?;
        Ok(delta.finish(&bytes)?)
    }

    /// Brings the parts that are files, all at once.
    fn bring_parts(&self, delta: &ReceivedDelta<'_>, superblock: &Superblock) -> Result<()> {
        let mut files = Vec::new();
        for (index, part) in superblock.parts.iter().enumerate() {
            let inline = superblock.inline_part(index);
            if inline.map_err(TransferError::format("superblock"))?.is_none() {
                files.push((index, part.size));
            }
        }
        let mut awaited: HashMap<u64, (usize, TempFile)> = HashMap::new();
        for (index, size) in files {
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
                limit: Some(size),
                destination: Destination::File(file),
                fresh: false,
            });
        }
        // All are waited for, also behind one that is bad: the next delta must not meet them.
        let mut taken = Ok(());
        while !awaited.is_empty() {
            let Ok(completion) = self.client.completions().recv() else {
                return Err(TransferError::Interrupted);
            };
            let Some((index, temp)) = awaited.remove(&completion.id) else {
                continue;
            };
            let came = completion
                .result
                .and_then(|answer| self.take_part(delta, superblock, (index, temp), answer));
            taken = taken.and(came);
        }
        taken
    }

    fn take_part(
        &self,
        delta: &ReceivedDelta<'_>,
        superblock: &Superblock,
        (index, mut temp): (usize, TempFile),
        answer: Answer,
    ) -> Result<()> {
        match answer {
            Answer::Memory(body) => temp.write_all(&body).map_err(RepoError::io("write", "a part"))?,
            Answer::File(..) => {}
            Answer::NotFound(missing) => return Err(missing.into()),
        }
        self.check_part(superblock, index, &temp)?;
        Ok(delta.add_part(index, temp)?)
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

/// Returns whether the remote's file is what is wrong, and would be at another try.
fn is_about_delta(error: &TransferError) -> bool {
    match error {
        TransferError::BadBody { .. } | TransferError::Format { .. } => true,
        TransferError::Fetch { fault, .. } => {
            matches!(fault, Fault::Status(_) | Fault::TooLarge { .. }) && !fault.is_passing()
        }
        _ => false,
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
