//! Flatpak's index of summaries, which a mirror carries with all that it names: `summary.idx`, its signatures, and the files in
//! `summaries/`.
//!
//! Only an index that agrees with the summary is carried: the summary lists each ref that the index leads to, at the same commit, so that
//! it is pulled. The compressed summaries are hashed; what makes one from an earlier one is taken as it is, since clients hash what they
//! make. All of it is small and stays in memory until the refs move: it is fetched with the summary, not when a server may have the next one.

use crate::error::{Result, TransferError};
use crate::http::{Client, Remote};
use crate::summaries::{DIR, INDEX, Named};
use flate2::read::MultiGzDecoder;
use ostler_format::{Checksum, MAX_METADATA_SIZE, Subset, Summary, SummaryIndex};
use ostler_repo::flip::{Edit, Expect};
use ostler_repo::sign::Trust;
use ostler_repo::{Repo, RepoError};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

/// The signatures of the index. Clients prefer those that have its checksum in their name.
const SIGNATURES: &str = "summary.idx.sig";
/// The most bytes that all files of an index may have, compressed.
const LIMIT: u64 = 128 << 20;

/// What a remote has.
#[derive(Debug, Default)]
pub(super) enum Index {
    /// It was not asked.
    #[default]
    Unknown,
    /// No index.
    Absent,
    /// One that agrees with the summary.
    Whole(IndexFiles),
    /// One that does not, and why.
    Differs(String),
}

/// An index with all that it names.
#[derive(Debug)]
pub(super) struct IndexFiles {
    index: Vec<u8>,
    /// Of the index; none if it is not signed.
    signatures: Option<Vec<u8>>,
    /// By their paths.
    named: BTreeMap<String, Vec<u8>>,
}

/// Fetches the index of a remote.
pub(super) struct Fetcher<'a> {
    pub(super) remote: &'a Remote,
    pub(super) client: &'a Client,
    pub(super) trust: &'a Trust,
    pub(super) summary: &'a Summary,
    /// Bytes that were fetched.
    pub(super) bytes: u64,
}

impl Fetcher<'_> {
    /// Fetches the index and what it names.
    pub(super) fn fetch(&mut self) -> Result<Index> {
        let Some(index) = self.get(INDEX)? else {
            return Ok(Index::Absent);
        };
        let own = format!("{DIR}/{}.idx.sig", Checksum::of(&index));
        let (by_name, plain) = (self.get(&own)?, self.get(SIGNATURES)?);
        let signatures = by_name.clone().or(plain);
        if let Err(error) = self.trust.check_summary(&index, signatures.as_deref()) {
            return Ok(Index::Differs(error.to_string()));
        }
        let parsed =
            SummaryIndex::parse(&index).map_err(TransferError::format(self.remote.url.display(INDEX)))?;
        let mut named = BTreeMap::new();
        named.extend(by_name.map(|bytes| (own, bytes)));
        for subset in &parsed.subsets {
            if let Some(difference) = self.fetch_subset(subset, &mut named)? {
                return Ok(Index::Differs(difference));
            }
        }
        Ok(Index::Whole(IndexFiles {
            index,
            signatures,
            named,
        }))
    }

    /// Fetches the files of a subset; returns what does not agree, if anything.
    fn fetch_subset(
        &mut self,
        subset: &Subset,
        named: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<Option<String>> {
        let path = format!("{DIR}/{}.gz", subset.checksum);
        let Some(compressed) = self.get(&path)? else {
            return Ok(Some(format!("{path} is not there")));
        };
        let summary = self.inflate(&path, &compressed, &subset.checksum)?;
        if let Some(name) = self.unlisted(&summary)? {
            return Ok(Some(format!("{name} is at another commit there")));
        }
        named.insert(path, compressed);
        for earlier in &subset.history {
            let path = format!("{DIR}/{earlier}-{}.delta", subset.checksum);
            if let Some(bytes) = self.get(&path)? {
                named.insert(path, bytes);
            }
        }
        Ok(None)
    }

    fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        let left = LIMIT.saturating_sub(self.bytes);
        let got = self.client.get(&self.remote.url, path, left, None)?;
        let bytes = got.into_optional();
        self.bytes += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(bytes)
    }

    fn inflate(&self, path: &str, compressed: &[u8], checksum: &Checksum) -> Result<Vec<u8>> {
        let bad = |detail: String| TransferError::BadBody {
            url: self.remote.url.display(path),
            source: RepoError::corrupt("summary of a subset", detail),
        };
        let mut bytes = Vec::new();
        MultiGzDecoder::new(compressed)
            .take(MAX_METADATA_SIZE + 1)
            .read_to_end(&mut bytes)
            .map_err(|fault| bad(fault.to_string()))?;
        let found = Checksum::of(&bytes);
        if found == *checksum {
            return Ok(bytes);
        }
        Err(bad(format!("its checksum is {found}")))
    }

    /// Returns a ref of the summary of a subset that the summary of all does not list at the same commit.
    fn unlisted(&self, bytes: &[u8]) -> Result<Option<String>> {
        let format = || TransferError::format(self.remote.url.display(INDEX));
        let subset = Summary::parse(bytes).map_err(format())?;
        let all = self.summary.all_refs().map_err(format())?;
        let listed: BTreeSet<_> = all.iter().map(|(key, commit)| (&key.name, commit)).collect();
        let mut refs = subset.refs.iter();
        let unlisted = refs.find(|entry| !listed.contains(&(&entry.name, &entry.checksum)));
        Ok(unlisted.map(|entry| entry.name.to_string()))
    }
}

impl Index {
    /// Returns what makes a mirror have the index of its remote: the files that the index names, the index, its signatures; and what
    /// neither it nor the one before names goes, for clients may have fetched that one.
    pub(super) fn edits(&self, repo: &Repo) -> Result<Vec<Edit>> {
        let (index, signatures, named) = match self {
            Self::Unknown | Self::Differs(_) => return Ok(Vec::new()),
            Self::Absent => (None, None, &BTreeMap::new()),
            Self::Whole(files) => (Some(&files.index), files.signatures.as_ref(), &files.named),
        };
        let before = read(repo, INDEX)?;
        let mut edits = Vec::new();
        for (path, bytes) in named {
            edits.extend(edit(repo, path, Some(bytes))?);
        }
        edits.extend(edit(repo, INDEX, index)?);
        edits.extend(edit(repo, SIGNATURES, signatures)?);
        let mut unneeded = names(repo)?;
        for index in [index, before.as_ref()].into_iter().flatten() {
            let needed = Named::by(index).among(unneeded.iter().cloned());
            for (name, _) in needed.into_iter().filter(|(_, needed)| *needed) {
                unneeded.remove(&name);
            }
        }
        for (name, _) in Named::by(&[]).among(unneeded.into_iter()) {
            edits.extend(edit(repo, &format!("{DIR}/{name}"), None)?);
        }
        Ok(edits)
    }
}

/// Returns the edit that gives a file these bytes, if it has others.
pub(super) fn edit(repo: &Repo, path: &str, new: Option<&Vec<u8>>) -> Result<Option<Edit>> {
    let old = read(repo, path)?;
    Ok((old.as_ref() != new).then(|| Edit {
        path: path.to_owned(),
        expect: old
            .as_deref()
            .map_or(Expect::Absent, |old| Expect::Bytes(Checksum::of(old))),
        new: new.cloned(),
    }))
}

fn read(repo: &Repo, path: &str) -> Result<Option<Vec<u8>>> {
    let failed = RepoError::io("read", repo.root().path_of(path));
    Ok(repo
        .root()
        .read_if_exists(path, MAX_METADATA_SIZE)
        .map_err(failed)?)
}

/// Returns the names of the files in `summaries/`.
fn names(repo: &Repo) -> Result<BTreeSet<String>> {
    let failed = |fault| RepoError::io("list", repo.root().path_of(DIR))(fault);
    let dir = match repo.root().open_dir(DIR) {
        Ok(dir) => dir,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(fault) => return Err(failed(fault).into()),
    };
    let entries = dir.entries().map_err(failed)?.into_iter();
    Ok(entries
        .filter_map(|entry| entry.name.into_string().ok())
        .collect())
}
