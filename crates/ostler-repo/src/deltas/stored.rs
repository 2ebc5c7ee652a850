//! A delta that lies somewhere: in the repository, in a directory, in a file.
//!
//! Signed or not, what stands in it is read; whether the signatures are good is for [`StoredDelta::check`] to say.

use super::apply::{PartSurvey, survey_part};
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use crate::sign::{Engine, Trust, Valid};
use ostler_format::DeltaName;
use ostler_format::delta::{SignedSuperblock, Superblock};
use ostler_format::gvariant::VarDict;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest superblock that is read: parts may lie in it, and it need not come over the net.
const LIMIT: u64 = 1 << 30;
const SUPERBLOCK: &str = "superblock";

/// A delta that was found, its superblock read.
#[derive(Debug)]
pub struct StoredDelta {
    superblock: Superblock,
    bytes: Vec<u8>,
    signatures: Option<VarDict>,
    /// Where its parts are.
    files: Dir,
}

impl StoredDelta {
    /// Reads a delta of the repository; `None` where there is no such.
    ///
    /// # Errors
    /// [`RepoError::Format`] for a superblock that makes no sense; [`RepoError::Io`].
    pub fn of_repo(repo: &Repo, name: &DeltaName) -> Result<Option<Self>> {
        let path = name.path();
        let files = repo.root().open_dir_if_exists(&path);
        let files = files.map_err(RepoError::io("open", repo.root().path_of(&path)))?;
        let Some(files) = files else { return Ok(None) };
        let bytes = files.read_if_exists(SUPERBLOCK, LIMIT);
        match bytes.map_err(RepoError::io("read", files.path_of(SUPERBLOCK)))? {
            Some(bytes) => Self::of_bytes(bytes, files).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a delta at a path: a directory with a superblock and parts, or a file that is the superblock.
    ///
    /// # Errors
    /// As [`of_repo`](Self::of_repo).
    pub fn at(path: &Path) -> Result<Self> {
        let (directory, name) = if path.is_dir() {
            (path, SUPERBLOCK.as_ref())
        } else {
            let name = path
                .file_name()
                .ok_or_else(|| RepoError::not_found(path.display().to_string()))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            (parent.unwrap_or(Path::new(".")), name)
        };
        let files = Dir::open(directory).map_err(RepoError::io("open", directory))?;
        let bytes = files.read(name, LIMIT);
        let bytes = bytes.map_err(RepoError::io("read", files.path_of(name)))?;
        Self::of_bytes(bytes, files)
    }

    fn of_bytes(bytes: Vec<u8>, files: Dir) -> Result<Self> {
        let failed = || RepoError::format(format!("superblock in {}", files.path().display()));
        let (bytes, signatures) = if SignedSuperblock::is_signed(&bytes) {
            let signed = SignedSuperblock::parse(&bytes).map_err(failed())?;
            (signed.superblock, Some(signed.signatures))
        } else {
            (bytes, None)
        };
        Ok(Self {
            superblock: Superblock::parse_up_to(&bytes, LIMIT).map_err(failed())?,
            bytes,
            signatures,
            files,
        })
    }

    /// Returns the superblock.
    pub const fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Returns whether the superblock carries signatures.
    pub const fn is_signed(&self) -> bool {
        self.signatures.is_some()
    }

    /// Returns how many signatures of an engine the superblock carries.
    pub fn signature_count(&self, engine: Engine) -> usize {
        let signatures = self.signatures.as_ref();
        let own = signatures.and_then(|all| ostler_format::signatures(all, engine.key()).ok());
        own.map_or(0, |own| own.len())
    }

    /// Checks the signatures of the superblock.
    ///
    /// # Errors
    /// As [`Trust::check_delta`].
    pub fn check(&self, trust: &Trust) -> Result<Vec<Valid>> {
        trust.check_delta(&self.bytes, self.signatures.as_ref())
    }

    /// Opens the file of a part; `None` where the part lies in the superblock.
    ///
    /// # Errors
    /// [`RepoError::Format`] for a part in the superblock that makes no sense; [`RepoError::Io`].
    pub fn part_file(&self, index: usize) -> Result<Option<File>> {
        let inline = self.superblock.inline_part(index);
        if inline.map_err(RepoError::format("superblock"))?.is_some() {
            return Ok(None);
        }
        let name = index.to_string();
        let file = self.files.open_file(&name);
        file.map(Some)
            .map_err(RepoError::io("open", self.files.path_of(&name)))
    }

    /// Reads a part and counts what is in it, with the help of a temporary file in `tmp`.
    ///
    /// # Errors
    /// As [`survey_part`].
    pub fn survey(&self, tmp: &Dir, index: usize) -> Result<PartSurvey> {
        let mut file = self.part_file(index)?;
        let file = file.as_mut().map(|file| -> &mut dyn Read { file });
        survey_part(tmp, &self.superblock, index, file)
    }
}
