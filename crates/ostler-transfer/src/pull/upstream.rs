//! What a remote says of itself: its summary, or where there is none its configuration.

use super::index::{Fetcher, Index};
use super::options::{DeltaUse, PullOptions};
use crate::error::{Result, TransferError};
use crate::http::{Client, Remote, SummaryOptions, fetch_summary};
use ostler_format::{DeltaList, Summary};
use ostler_repo::sign::Trust;
use ostler_repo::{Config, PullTarget, RepoError};

/// The most bytes that are read of a configuration.
const MAX_CONFIG: u64 = 1 << 20;

/// How often a summary and signatures that do not fit are fetched in all.
const SUMMARY_TRIES: u32 = 4;

/// What a remote says of itself.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    pub(super) summary: Option<Summary>,
    /// The bytes of the summary, and those of its signatures.
    pub(super) files: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// The deltas that the summary lists.
    pub(super) deltas: DeltaList,
    pub(super) indexed_deltas: bool,
    pub(super) tombstones: bool,
    /// Flatpak's index of summaries, where it is to be carried.
    pub(super) index: Index,
    /// Bytes that all this took.
    pub(super) transferred_bytes: u64,
}

impl Upstream {
    /// Asks a remote. Its summary is not needed where all commits are named and it says itself that deltas are found without.
    pub(super) fn read(
        remote: &Remote,
        client: &Client,
        trust: &Trust,
        targets: &[PullTarget],
        options: &PullOptions<'_>,
    ) -> Result<Self> {
        let mut upstream = Self::default();
        let named = !targets.is_empty() && targets.iter().all(is_named);
        if named {
            let config = upstream.read_config(remote, client, remote.url.local_path().is_none())?;
            let deltas = options.deltas != DeltaUse::Disabled;
            if !deltas || config.is_none_or(|config| config.indexed_deltas()) {
                return Ok(upstream);
            }
        }
        upstream.read_summary(remote, client, trust, options)?;
        if options.mirror && options.carry_deltas && targets.is_empty() {
            upstream.read_index(remote, client, trust, options)?;
        }
        if upstream.summary.is_none() && options.mirror && targets.is_empty() {
            let detail = "Fetching all refs was requested in mirror mode, but remote repository does not have a summary";
            return Err(RepoError::Refused {
                detail: detail.to_owned(),
            }
            .into());
        }
        Ok(upstream)
    }

    /// Returns whether there is a summary.
    pub(super) fn has_summary(&self) -> bool {
        self.summary.is_some()
    }

    /// Reads the configuration that a remote serves.
    pub(super) fn read_config(
        &mut self,
        remote: &Remote,
        client: &Client,
        required: bool,
    ) -> Result<Option<Config>> {
        let got = client.get(&remote.url, "config", MAX_CONFIG, None)?;
        let bytes = if required {
            Some(got.into_required()?)
        } else {
            got.into_optional()
        };
        let Some(bytes) = bytes else { return Ok(None) };
        self.transferred_bytes += bytes.len() as u64;
        let config = Config::parse(&bytes)?;
        self.indexed_deltas = config.indexed_deltas();
        self.tombstones = config.tombstone_commits();
        if remote.url.local_path().is_none() {
            check_mode(config.mode().as_str(), config.mode().is_archive())?;
        }
        Ok(Some(config))
    }

    fn read_summary(
        &mut self,
        remote: &Remote,
        client: &Client,
        trust: &Trust,
        options: &PullOptions<'_>,
    ) -> Result<()> {
        let check = |summary: &[u8], signatures: Option<&[u8]>| {
            trust.check_summary(summary, signatures)?;
            Ok(())
        };
        let fetching = SummaryOptions {
            cache: options.summary_cache,
            check: &check,
            tries: SUMMARY_TRIES,
            pause: options.pause,
        };
        let pair = fetch_summary(client, remote, &fetching)?;
        let Some(bytes) = pair.summary else {
            return trust.missing_summary().map_or(Ok(()), |error| Err(error.into()));
        };
        self.transferred_bytes += bytes.len() as u64 + pair.signatures.as_ref().map_or(0, Vec::len) as u64;
        let summary = Summary::parse(&bytes).map_err(TransferError::format(remote.url.display("summary")))?;
        self.take_summary(remote, client, &summary)?;
        self.summary = Some(summary);
        self.files = Some((bytes, pair.signatures));
        Ok(())
    }

    /// Fetches the index of summaries. One that does not agree with the summary is fetched again with it: a server has replaced one of them.
    fn read_index(
        &mut self,
        remote: &Remote,
        client: &Client,
        trust: &Trust,
        options: &PullOptions<'_>,
    ) -> Result<()> {
        for number in 1..=SUMMARY_TRIES {
            let Some(summary) = &self.summary else { break };
            let mut fetcher = Fetcher {
                remote,
                client,
                trust,
                summary,
                bytes: 0,
            };
            let index = fetcher.fetch()?;
            self.transferred_bytes += fetcher.bytes;
            self.index = index;
            if !matches!(self.index, Index::Differs(_)) || number == SUMMARY_TRIES {
                break;
            }
            (options.pause)(number);
            self.read_summary(remote, client, trust, options)?;
        }
        Ok(())
    }

    fn take_summary(&mut self, remote: &Remote, client: &Client, summary: &Summary) -> Result<()> {
        let metadata = &summary.metadata;
        let local = remote.url.local_path().is_some();
        let mode = metadata.get_str(Summary::MODE);
        let tombstones = metadata.get_bool(Summary::TOMBSTONE_COMMITS);
        match (mode, tombstones) {
            (Some(mode), Some(tombstones)) => {
                if !local {
                    check_mode(mode, matches!(mode, "archive" | "archive-z2"))?;
                }
                self.tombstones = tombstones;
            }
            // An old summary, which does not say.
            _ => drop(self.read_config(remote, client, !local)?),
        }
        self.indexed_deltas |= metadata.get_bool(Summary::INDEXED_DELTAS).unwrap_or(false);
        if let Some(list) = metadata.get(DeltaList::KEY) {
            self.deltas =
                DeltaList::from_value(list).map_err(TransferError::format(remote.url.display("summary")))?;
        }
        Ok(())
    }
}

/// Returns whether a target names its commit.
fn is_named(target: &PullTarget) -> bool {
    match target {
        PullTarget::Commit(_) | PullTarget::RefAt(..) => true,
        PullTarget::Collection(_, commit) => commit.is_some(),
        PullTarget::Ref(_) => false,
    }
}

fn check_mode(mode: &str, is_archive: bool) -> Result<()> {
    if is_archive {
        return Ok(());
    }
    let detail = format!("Can't pull from archives with mode \"{mode}\"");
    Err(RepoError::Refused { detail }.into())
}
