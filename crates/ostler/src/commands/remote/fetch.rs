//! The summary of a remote, checked as the remote's settings ask for.

use crate::context::Context;
use crate::network::{self, Connections};
use crate::trust;
use crate::ui::printable;
use anyhow::Context as _;
use ostler_format::RemoteName;
use ostler_repo::Repo;
use ostler_transfer::http::{
    Remote, RemoteOverrides, RemoteSettings, SummaryCache, SummaryOptions, SummaryPair, fetch_summary,
};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How often a summary and signatures that do not fit are fetched.
const TRIES: u32 = 3;

/// The pause before the first of them; each is longer by as much.
const PAUSE: Duration = Duration::from_millis(500);

/// Which remote, and where its summary is kept.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Keep the summary in this directory between calls
    #[arg(long, value_name = "DIRECTORY")]
    cache_dir: Option<PathBuf>,
    /// Name of the remote, or URL of a repository
    #[arg(value_name = "NAME")]
    pub(super) name: String,
}

/// What a remote has of a summary.
pub(super) struct Fetched {
    pub(super) pair: SummaryPair,
    /// The remote, where it is a configured one.
    pub(super) remote: Option<RemoteName>,
}

impl Source {
    /// Fetches the summary; `None` where the remote has none and needs none.
    pub(super) fn summary(&self, context: &Context) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.fetch(context, &context.open()?)?.pair.summary)
    }

    /// Fetches the summary with its signatures.
    pub(super) fn fetch(&self, context: &Context, repo: &Repo) -> anyhow::Result<Fetched> {
        let settings = if self.name.contains("://") {
            RemoteSettings::of_url(&self.name)
        } else {
            let name = RemoteName::new(&self.name);
            let name = name.with_context(|| format!("Invalid remote name {}", printable(&self.name)))?;
            RemoteSettings::of(repo, &name)?
        };
        let client = network::client(context, repo, &settings, &Connections::default())?;
        let remote = Remote::resolve(&settings, &RemoteOverrides::default(), &client)?;
        let trust = trust::of_remote(context, repo, settings.name.as_ref())?;
        let cache = match &settings.name {
            Some(name) => SummaryCache::of(repo, name.as_str(), self.cache_dir.as_deref().map(Path::new))?,
            None => None,
        };
        let options = SummaryOptions {
            cache: cache.as_ref(),
            check: &|summary, signatures| {
                trust.check_summary(summary, signatures)?;
                Ok(())
            },
            tries: TRIES,
            pause: &|number| thread::sleep(PAUSE * number),
        };
        let pair = fetch_summary(&client, &remote, &options)?;
        match trust.missing_summary() {
            Some(error) if pair.summary.is_none() => Err(error.into()),
            _ => Ok(Fetched {
                pair,
                remote: settings.name,
            }),
        }
    }
}
