//! The static deltas of a repository: which there are, the digests of their superblocks, the index of each
//! target commit.
//!
//! ```text
//! deltas/XX/REST/superblock           a delta from scratch to the commit XXREST
//! deltas/XX/REST-TARGET/superblock    a delta between two commits
//! delta-indexes/XX/REST.index         all deltas to XXREST: `a{sv}` {ostree.static-deltas: name -> ay digest}
//! ```
//!
//! A delta exists when its superblock does: that is written last. An index is replaced in one step, and only
//! when its bytes change, so that caches keep it as long as it is right.

mod apply;
mod generate;
mod offline;
mod receive;
mod stored;
mod workers;

pub use apply::{PartStats, PartSurvey, apply_inline_part, apply_part, has_part, survey_part};
pub(crate) use generate::PREFIX;
pub use generate::{DEFAULT_MEMORY_BYTES, DeltaOptions, DeltaReporter, DeltaStats, MEGABYTE, PartSummary};
pub use receive::ReceivedDelta;
pub use stored::StoredDelta;

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::keyfile::KeyFile;
use crate::lock::LockKind;
use crate::repo::{DIR_MODE, FILE_MODE, Repo};
use ostler_format::delta::SignedSuperblock;
use ostler_format::{
    Checksum, DeltaList, DeltaName, Hasher, Summary, delta_index_path, parse_delta_index_path,
};
use std::collections::BTreeMap;
use std::io::Read as _;

/// An index holds 100 bytes for each delta to one commit.
const MAX_INDEX_BYTES: u64 = 128 << 20;

impl Repo {
    /// Returns the static deltas, sorted.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn list_deltas(&self) -> Result<Vec<DeltaName>> {
        let mut names = Vec::new();
        for (directory, holder) in subdirectories(self.root(), "deltas")? {
            for entry in entries(&holder)? {
                let superblock = format!("{entry}/superblock");
                let stat = holder
                    .stat(&superblock)
                    .map_err(RepoError::io("look at", holder.path_of(&superblock)))?;
                names.extend(stat.and_then(|_| DeltaName::from_path(&directory, &entry)));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the deltas to a commit that clients are told of: by its index, or by the summary.
    ///
    /// # Errors
    /// [`RepoError::Format`] for an index or a summary that cannot be read; [`RepoError::Io`].
    pub(crate) fn announced_deltas(&self, to: &Checksum) -> Result<Vec<DeltaName>> {
        let mut lists = Vec::new();
        let index = delta_index_path(to);
        if let Some(bytes) = self.read_list(&index)? {
            lists.push(DeltaList::parse_index(&bytes).map_err(RepoError::format(index))?);
        }
        if let Some(bytes) = self.read_list("summary")? {
            let summary = Summary::parse(&bytes).map_err(RepoError::format("summary"))?;
            if let Some(value) = summary.metadata.get(DeltaList::KEY) {
                lists.push(DeltaList::from_value(value).map_err(RepoError::format("summary"))?);
            }
        }
        let names = lists.into_iter().flat_map(|list| list.0).map(|(name, _)| name);
        Ok(names.filter(|name| name.to == *to).collect())
    }

    fn read_list(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.root()
            .read_if_exists(path, MAX_INDEX_BYTES)
            .map_err(RepoError::io("read", self.root().path_of(path)))
    }

    /// Returns the deltas that clients may be told of, with the digests of their superblocks, sorted: not the signed ones, which clients that
    /// pull cannot read.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn delta_digests(&self) -> Result<DeltaList> {
        self.digests_of(|_| true)
    }

    fn digests_of(&self, wanted: impl Fn(&DeltaName) -> bool) -> Result<DeltaList> {
        let mut digests = DeltaList::default();
        for name in self.list_deltas()?.into_iter().filter(wanted) {
            let path = format!("{}/superblock", name.path());
            // A delta that is deleted meanwhile is one that need not be announced.
            if let Some(digest) = digest_of(self.root(), &path)? {
                digests.0.push((name, digest));
            }
        }
        Ok(digests)
    }

    /// Brings the delta indexes in line with `digests`: that of one target commit, or all, where indexes of
    /// targets without deltas are deleted.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn write_delta_indexes(&self, digests: &DeltaList, only: Option<&Checksum>) -> Result<()> {
        let mut targets: BTreeMap<Checksum, DeltaList> = BTreeMap::new();
        for (name, digest) in &digests.0 {
            targets.entry(name.to).or_default().0.push((*name, *digest));
        }
        let concerned = |target: &Checksum| only.is_none_or(|only| only == target);
        for (target, deltas) in targets.iter().filter(|(target, _)| concerned(target)) {
            self.replace_index(target, &deltas.to_index())?;
        }
        for (directory, holder) in subdirectories(self.root(), "delta-indexes")? {
            for file in entries(&holder)? {
                let target = parse_delta_index_path(&directory, &file);
                if target.is_some_and(|target| concerned(&target) && !targets.contains_key(&target)) {
                    holder
                        .unlink(&file)
                        .map_err(RepoError::io("remove", holder.path_of(&file)))?;
                }
            }
        }
        Ok(())
    }

    /// Writes the index of a target commit anew, with the deltas to it that are wanted; without any it is empty.
    fn index_deltas_to(&self, to: &Checksum, wanted: impl Fn(&DeltaName) -> bool) -> Result<()> {
        let digests = self.digests_of(|name| name.to == *to && wanted(name))?;
        self.replace_index(to, &digests.to_index())
    }

    /// Returns the commits for which there are delta indexes, sorted.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn list_delta_indexes(&self) -> Result<Vec<Checksum>> {
        let mut targets = Vec::new();
        for (directory, holder) in subdirectories(self.root(), "delta-indexes")? {
            let files = entries(&holder)?;
            targets.extend(
                files
                    .iter()
                    .filter_map(|file| parse_delta_index_path(&directory, file)),
            );
        }
        targets.sort_unstable();
        Ok(targets)
    }

    /// Makes those indexes anew that say another digest of a delta than its superblock has: other programs make deltas
    /// again and leave the index as it was. Returns the commits of those indexes.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn mend_delta_indexes(&self) -> Result<Vec<Checksum>> {
        let mut mended = Vec::new();
        for target in self.list_delta_indexes()? {
            let guard = self.lock(LockKind::Shared)?;
            let path = delta_index_path(&target);
            let index = self.read_list(&path)?;
            // What is no index is for whoever publishes it to refuse.
            let Some(Ok(listed)) = index.map(|index| DeltaList::parse_index(&index)) else {
                continue;
            };
            let digests = self.digests_of(|name| name.to == target)?;
            let found: BTreeMap<_, _> = digests.0.iter().copied().collect();
            let is_wrong =
                |(name, digest): &(DeltaName, Checksum)| found.get(name).is_some_and(|found| found != digest);
            if listed.0.iter().any(is_wrong) {
                self.require_writable()?;
                self.replace_index(&target, &digests.to_index())?;
                mended.push(target);
            }
            guard.release()?;
        }
        Ok(mended)
    }

    /// Brings the index of one target commit, or all indexes, in line with the deltas that there are, and notes in the
    /// configuration that deltas are indexed.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`], and what a wrong configuration gives.
    pub fn reindex_deltas(&self, only: Option<&Checksum>) -> Result<()> {
        self.require_writable()?;
        let guard = self.lock(LockKind::Shared)?;
        self.write_delta_indexes(&self.delta_digests()?, only)?;
        if !self.config().indexed_deltas() {
            let set = |config: &mut KeyFile| config.set("core", "indexed-deltas", "true");
            self.edit_config(|config| set(config).map_err(RepoError::format("config")))?;
        }
        guard.release()
    }

    /// Deletes a delta, after it is out of the index of its target commit, if that has one. Of the delta the superblock goes
    /// first: who finds that finds all parts.
    ///
    /// # Errors
    /// [`RepoError::NotFound`], [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn delete_delta(&self, name: &DeltaName) -> Result<()> {
        self.require_writable()?;
        let guard = self.lock(LockKind::Exclusive)?;
        let path = name.path();
        let superblock = format!("{path}/superblock");
        let failed = || RepoError::io("remove", self.root().path_of(&path));
        if self.root().stat(&superblock).map_err(failed())?.is_none() {
            return Err(RepoError::not_found(format!("static delta {name}")));
        }
        if self.list_delta_indexes()?.contains(&name.to) {
            let mut digests = self.delta_digests()?;
            digests.0.retain(|(other, _)| other != name);
            self.write_delta_indexes(&digests, Some(&name.to))?;
        }
        self.root()
            .unlink(&superblock)
            .and_then(|_| self.root().remove_tree(&path))
            .map_err(failed())?;
        guard.release()
    }

    fn replace_index(&self, target: &Checksum, bytes: &[u8]) -> Result<()> {
        let path = delta_index_path(target);
        let full = self.root().path_of(&path);
        let old = self
            .root()
            .read_if_exists(&path, MAX_INDEX_BYTES)
            .map_err(RepoError::io("read", &full))?;
        if old.as_deref() == Some(bytes) {
            return Ok(());
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.root()
                .ensure_dir(parent, DIR_MODE)
                .map_err(RepoError::io("create", self.root().path_of(parent)))?;
        }
        self.root()
            .replace_via(self.tmp()?, &path, bytes, FILE_MODE, self.config().fsync())
            .map_err(RepoError::io("write", full))
    }
}

/// Returns the directories in `path`, with their names; none if it does not exist.
pub(crate) fn subdirectories(root: &Dir, path: &str) -> Result<Vec<(String, Dir)>> {
    let failed = |error| RepoError::io("list", root.path_of(path))(error);
    let Some(dir) = root.open_dir_if_exists(path).map_err(failed)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for name in entries(&dir)? {
        if let Some(below) = dir.open_dir_if_exists(&name).map_err(failed)? {
            found.push((name, below));
        }
    }
    Ok(found)
}

/// Returns the names in a directory; no delta has a name that is not UTF-8.
pub(crate) fn entries(dir: &Dir) -> Result<Vec<String>> {
    let entries = dir.entries().map_err(RepoError::io("list", dir.path()))?;
    Ok(entries
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok())
        .collect())
}

/// Returns the digest of a superblock that clients can read; `None` for one that is signed, and where there is none.
fn digest_of(root: &Dir, path: &str) -> Result<Option<Checksum>> {
    let failed = |error| RepoError::io("read", root.path_of(path))(error);
    let mut file = match root.open_file(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut start = Vec::new();
    file.by_ref()
        .take(SignedSuperblock::MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    if SignedSuperblock::is_signed(&start) {
        return Ok(None);
    }
    let mut hasher = Hasher::new();
    hasher.update(&start);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(Some(hasher.finish())),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
