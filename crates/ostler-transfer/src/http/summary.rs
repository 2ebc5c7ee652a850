//! The summary of a remote and its signatures, which are two files that must fit each other.
//!
//! Both are kept as libostree keeps them (`tmp/cache/summaries/REMOTE` and `REMOTE.sig`, entity tag in the attribute `user.etag`,
//! `Last-Modified` as the modification time), and asked for on condition that they have changed: first the signatures; if those are
//! the kept ones, so is the summary. Only a pair that was checked, and has signatures, is kept.
//!
//! Between a server's two writes, and behind caches that keep one file longer than the other, the pair does not fit. Then both are
//! fetched again, past all caches and kept files, a few times with growing pauses.

use super::client::Client;
use super::remote::Remote;
use super::request::{Got, Validator};
use crate::error::{Result, TransferError};
use ostler_format::{Checksum, MAX_METADATA_SIZE, Summary};
use ostler_repo::fs::Dir;
use ostler_repo::{Repo, RepoError};
use rustix::fs::{Timespec, Timestamps, XattrFlags, fgetxattr, fsetxattr, futimens};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

const SUMMARY: &str = "summary";
const SIGNATURES: &str = "summary.sig";

/// The attribute of a kept file that holds its entity tag.
const ETAG: &str = "user.etag";

/// The longest entity tag that is kept.
const MAX_ETAG: usize = 1024;

/// A summary and its signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SummaryPair {
    /// `summary`, if there is one.
    pub summary: Option<Vec<u8>>,
    /// `summary.sig`, if there is one.
    pub signatures: Option<Vec<u8>>,
}

/// Checks a summary by its signatures, if it has any.
pub type Check<'a> = dyn Fn(&[u8], Option<&[u8]>) -> Result<()> + 'a;

/// How a summary is fetched.
pub struct SummaryOptions<'a> {
    /// Where it is kept; without it, nowhere.
    pub cache: Option<&'a SummaryCache>,
    /// Checks the summary by the signatures, as far as that is asked for.
    pub check: &'a Check<'a>,
    /// How often a pair that does not fit is fetched in all.
    pub tries: u32,
    /// Waits before try number 1, 2, ….
    pub pause: &'a dyn Fn(u32),
}

impl fmt::Debug for SummaryOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SummaryOptions")
            .field("cache", &self.cache)
            .field("tries", &self.tries)
            .finish_non_exhaustive()
    }
}

/// Fetches the summary of a remote and its signatures, and checks that they fit. What is not there is `None`; whether that may be,
/// the caller knows.
///
/// # Errors
/// [`TransferError::Fetch`]; [`TransferError::SummaryPair`] if the pair does not fit after all tries; what `check` returns, and
/// [`TransferError::Format`], where there are no signatures to fetch again; [`TransferError::Repo`] when the pair cannot be kept.
pub fn fetch_summary(client: &Client, remote: &Remote, options: &SummaryOptions<'_>) -> Result<SummaryPair> {
    let fetched = Fetched::conditionally(client, remote, options.cache)?;
    let Some(first) = check(&fetched.pair, remote, options) else {
        if let Some(cache) = options.cache {
            cache.keep(&fetched)?;
        }
        return Ok(fetched.pair);
    };
    if fetched.pair.signatures.is_none() {
        return Err(first);
    }
    if fetched.is_kept && options.cache.is_some_and(|cache| cache.fails_when_bad) {
        return Err(TransferError::Remote(
            "OSTREE_REPO_TEST_ERROR_INVALID_CACHE specified".to_owned(),
        ));
    }
    let mut last = (fetched.pair, first);
    for number in 1..options.tries {
        (options.pause)(number);
        let fetched = Fetched::anew(client, remote)?;
        match check(&fetched.pair, remote, options) {
            None => {
                if let Some(cache) = options.cache {
                    cache.keep(&fetched)?;
                }
                return Ok(fetched.pair);
            }
            Some(error) => last = (fetched.pair, error),
        }
    }
    let (pair, error) = last;
    Err(TransferError::SummaryPair {
        url: remote.url.display(SUMMARY),
        summary: digest(pair.summary.as_deref()),
        signatures: digest(pair.signatures.as_deref()),
        tries: options.tries.max(1),
        source: Box::new(error),
    })
}

/// Returns what is wrong with a pair. What is no summary fits nothing, also where no signature is asked for: kept, it would be taken for
/// the remote's as long as its signatures stay the same.
fn check(pair: &SummaryPair, remote: &Remote, options: &SummaryOptions<'_>) -> Option<TransferError> {
    let summary = pair.summary.as_deref()?;
    let parse = || Summary::parse(summary).map_err(TransferError::format(remote.url.display(SUMMARY)));
    let checked = (options.check)(summary, pair.signatures.as_deref());
    checked.and_then(|()| parse().map(drop)).err()
}

fn digest(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "none".to_owned(), |bytes| Checksum::of(bytes).to_string())
}

/// A pair, and by which to ask for each again; `None` where it came from what was kept.
#[derive(Debug, Default)]
struct Fetched {
    pair: SummaryPair,
    validators: [Option<Validator>; 2],
    /// Whether all of it is what was kept.
    is_kept: bool,
}

impl Fetched {
    /// Fetches what has changed.
    fn conditionally(client: &Client, remote: &Remote, cache: Option<&SummaryCache>) -> Result<Self> {
        let kept = match cache {
            Some(cache) if remote.summary.is_none() => cache.load()?,
            _ => None,
        };
        let condition = |index: usize| kept.as_ref().and_then(|kept| kept.validators[index].as_ref());
        let mut fetched = Self::default();
        match client.get(&remote.url, SIGNATURES, MAX_METADATA_SIZE, condition(1))? {
            Got::NotModified => return Ok(kept.unwrap_or_default().unchanged()),
            Got::NotFound(_) => {}
            Got::Body { bytes, validator } => {
                if let Some(kept) = kept
                    .as_ref()
                    .filter(|kept| kept.pair.signatures.as_ref() == Some(&bytes))
                {
                    return Ok(kept.unchanged());
                }
                fetched.pair.signatures = Some(bytes);
                fetched.validators[1] = Some(validator);
            }
        }
        if let Some(summary) = &remote.summary {
            fetched.pair.summary = Some(summary.clone());
            fetched.validators = [None, None];
            return Ok(fetched);
        }
        match client.get(&remote.url, SUMMARY, MAX_METADATA_SIZE, condition(0))? {
            Got::NotModified => {
                let [validator, _] = kept
                    .as_ref()
                    .map(|kept| kept.validators.clone())
                    .unwrap_or_default();
                fetched.pair.summary = kept.and_then(|kept| kept.pair.summary);
                fetched.validators[0] = validator;
            }
            Got::NotFound(_) => {}
            Got::Body { bytes, validator } => {
                fetched.pair.summary = Some(bytes);
                fetched.validators[0] = Some(validator);
            }
        }
        Ok(fetched)
    }

    /// Fetches both past all caches.
    fn anew(client: &Client, remote: &Remote) -> Result<Self> {
        let mut fetched = Self::default();
        if let Got::Body { bytes, validator } =
            client.get_fresh(&remote.url, SIGNATURES, MAX_METADATA_SIZE)?
        {
            fetched.pair.signatures = Some(bytes);
            fetched.validators[1] = Some(validator);
        }
        if let Got::Body { bytes, validator } = client.get_fresh(&remote.url, SUMMARY, MAX_METADATA_SIZE)? {
            fetched.pair.summary = Some(bytes);
            fetched.validators[0] = Some(validator);
        }
        Ok(fetched)
    }

    fn unchanged(&self) -> Self {
        Self {
            pair: self.pair.clone(),
            validators: [None, None],
            is_kept: true,
        }
    }
}

/// Where the summary of a remote is kept.
#[derive(Debug, Clone)]
pub struct SummaryCache {
    directory: Dir,
    name: String,
    fails_when_bad: bool,
}

impl SummaryCache {
    /// Returns the place for a remote: in `summaries` below `cache_dir`, or else below `tmp/cache` of the repository. `None` where that
    /// may not be written to.
    ///
    /// # Errors
    /// [`TransferError::Repo`] when the directories cannot be made.
    pub fn of(repo: &Repo, remote: &str, cache_dir: Option<&Path>) -> Result<Option<Self>> {
        let (holder, below) = match cache_dir {
            Some(path) => (
                Dir::open(path).map_err(io_error("open", path))?,
                PathBuf::from("summaries"),
            ),
            None if repo.is_writable() => (repo.tmp()?.clone(), PathBuf::from("cache/summaries")),
            None => return Ok(None),
        };
        let made = holder
            .ensure_dir(&below, 0o775)
            .and_then(|_new| holder.open_dir(&below));
        let directory = made.map_err(io_error("make", &holder.path_of(&below)))?;
        Ok(Some(Self {
            directory,
            name: remote.to_owned(),
            fails_when_bad: false,
        }))
    }

    /// Lets a kept pair that does not fit be an error, as libostree does with `OSTREE_REPO_TEST_ERROR=invalid-cache`, in place of
    /// fetching it again: for tests of what is kept.
    #[must_use]
    pub fn failing_when_bad(self, fails: bool) -> Self {
        Self {
            fails_when_bad: fails,
            ..self
        }
    }

    fn signatures_name(&self) -> String {
        format!("{}.sig", self.name)
    }

    /// Reads the pair, if both are there.
    fn load(&self) -> Result<Option<Fetched>> {
        let summary = self.load_file(&self.name)?;
        let signatures = self.load_file(&self.signatures_name())?;
        let (Some((summary, of_summary)), Some((signatures, of_signatures))) = (summary, signatures) else {
            return Ok(None);
        };
        Ok(Some(Fetched {
            pair: SummaryPair {
                summary: Some(summary),
                signatures: Some(signatures),
            },
            validators: [Some(of_summary), Some(of_signatures)],
            is_kept: true,
        }))
    }

    fn load_file(&self, name: &str) -> Result<Option<(Vec<u8>, Validator)>> {
        let path = self.directory.path_of(name);
        let read = || {
            let file = match self.directory.open_file(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other?,
            };
            let mut bytes = Vec::new();
            (&file).take(MAX_METADATA_SIZE + 1).read_to_end(&mut bytes)?;
            let modified = u64::try_from(rustix::fs::fstat(&file)?.st_mtime);
            let validator = Validator {
                etag: etag_of(&file),
                modified: modified.ok().filter(|seconds| *seconds > 0),
            };
            // What is longer than any summary is none of ours.
            Ok((bytes.len() as u64 <= MAX_METADATA_SIZE).then_some((bytes, validator)))
        };
        read().map_err(io_error("read", &path))
    }

    /// Writes what is new of a pair that fits.
    fn keep(&self, fetched: &Fetched) -> Result<()> {
        let (Some(summary), Some(signatures)) = (&fetched.pair.summary, &fetched.pair.signatures) else {
            return Ok(());
        };
        let signatures_name = self.signatures_name();
        let [of_summary, of_signatures] = &fetched.validators;
        for (name, bytes, validator) in [
            (&self.name, summary, of_summary),
            (&signatures_name, signatures, of_signatures),
        ] {
            if let Some(validator) = validator {
                let path = self.directory.path_of(name);
                self.keep_file(name, bytes, validator)
                    .map_err(io_error("write", &path))?;
            }
        }
        Ok(())
    }

    fn keep_file(&self, name: &str, bytes: &[u8], validator: &Validator) -> io::Result<()> {
        let mut temp = self.directory.temp_file(0o644)?;
        temp.write_all(bytes)?;
        temp.set_mode(0o644)?;
        if let Some(etag) = validator.etag.as_deref().filter(|etag| etag.len() <= MAX_ETAG) {
            // On a file system without attributes the time has to do.
            fsetxattr(temp.file(), ETAG, etag.as_bytes(), XattrFlags::empty()).unwrap_or_default();
        }
        let time = Timespec {
            tv_sec: validator
                .modified
                .and_then(|seconds| i64::try_from(seconds).ok())
                .unwrap_or(0),
            tv_nsec: 0,
        };
        futimens(
            temp.file(),
            &Timestamps {
                last_access: time,
                last_modification: time,
            },
        )?;
        self.directory.replace_with_temp(temp, name)
    }
}

fn etag_of(file: &File) -> Option<String> {
    let mut buffer = vec![0; MAX_ETAG];
    let length = fgetxattr(file, ETAG, &mut buffer).ok()?;
    buffer.truncate(length);
    String::from_utf8(buffer).ok()
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> TransferError + 'a {
    move |error| TransferError::Repo(RepoError::io(action, path)(error))
}
