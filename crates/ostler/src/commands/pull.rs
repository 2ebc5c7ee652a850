//! `pull`: brings commits, and the refs that name them, from a repository that is reached by URLs.

use crate::context::Context;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::network::{self, Connections};
use crate::program::Program;
use crate::sizes::format_size;
use crate::switch;
use crate::trust;
use anyhow::{Context as _, anyhow, bail};
use ostler_format::{Checksum, RemoteName};
use ostler_repo::{PullTarget, Repo};
use ostler_transfer::TransferError;
use ostler_transfer::http::{Remote, RemoteOverrides, RemoteSettings, SummaryCache};
use ostler_transfer::pull::{DeltaUse, PullOptions, PullProgress, PullReporter, PullStats, pull};
use serde::Serialize;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// The arguments of `pull`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
What is pulled becomes visible when all of it is there. A pull that was cut short is gone on with by the next one.

Examples:
  ostler --repo=/srv/repo remote add --no-gpg-verify origin https://example.com/repo
  ostler --repo=/srv/repo pull origin os/stable
  ostler --repo=/srv/repo pull origin os/stable@COMMIT
  ostler --repo=/srv/mirror pull --mirror --depth=-1 origin
  ostler --repo=/srv/mirror pull --mirror --delete-refs --deltas origin")]
pub(crate) struct Args {
    /// Fetch commits without their trees
    #[arg(long)]
    commit_metadata_only: bool,
    /// Keep the summary in this directory between pulls
    #[arg(long, value_name = "DIRECTORY")]
    cache_dir: Option<PathBuf>,
    /// Sync nothing
    #[arg(long)]
    disable_fsync: bool,
    // What it is for, a sync that stalls nobody else, one sync of the file system does as well.
    #[arg(long, hide = true)]
    per_object_fsync: bool,
    /// Use no static deltas
    #[arg(long, conflicts_with = "require_static_deltas")]
    disable_static_deltas: bool,
    /// Refuse commits without a static delta
    #[arg(long)]
    require_static_deltas: bool,
    /// Set the repository's own refs; pull all refs, with the summary, if none are named
    #[arg(long)]
    mirror: bool,
    /// With --mirror and no refs: remove refs that the remote has no more
    #[arg(long, requires = "mirror")]
    delete_refs: bool,
    /// Let --delete-refs remove all refs
    #[arg(long, requires = "delete_refs")]
    allow_empty: bool,
    /// With --mirror and no refs: bring the static deltas to what is pulled, and Flatpak's index of summaries, as well
    #[arg(long, requires = "mirror")]
    deltas: bool,
    /// Pull only this path of the tree (may be repeated); the commit stays partial
    #[arg(long, value_name = "PATH")]
    subpath: Vec<String>,
    /// Hash objects of a remote on this machine too
    #[arg(long)]
    untrusted: bool,
    /// Do not hash content that a mirror stores as it comes
    #[arg(long)]
    http_trusted: bool,
    /// Refuse files whose mode bare-user-only repositories cannot hold
    #[arg(long)]
    bareuseronly_files: bool,
    /// Only tell what would be transferred (takes --require-static-deltas)
    #[arg(long)]
    dry_run: bool,
    /// How many parents to pull with each commit; -1 for all
    #[arg(long, default_value_t = 0, value_parser = switch::integer, allow_negative_numbers = true)]
    depth: i64,
    /// Pull from this URL in place of the configured one
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Add a header to all requests (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    http_header: Vec<String>,
    /// How often progress is shown, in milliseconds; 0 for the default
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, value_parser = switch::integer)]
    update_frequency: i64,
    /// How often a request is tried again after a passing fault
    #[arg(long, value_name = "N", default_value_t = 5)]
    network_retries: u32,
    /// Try nothing again
    #[arg(long)]
    disable_retry_on_network_errors: bool,
    /// Give up below this many bytes a second
    #[arg(long, value_name = "N")]
    low_speed_limit_bytes: Option<u64>,
    /// For how many seconds a transfer may be below that
    #[arg(long, value_name = "N")]
    low_speed_time_seconds: Option<u64>,
    /// The most requests in flight
    #[arg(long, value_name = "N")]
    max_outstanding_fetcher_requests: Option<usize>,
    /// Take objects from this repository on this machine first (may be repeated)
    #[arg(short = 'L', long, value_name = "REPO")]
    localcache_repo: Vec<PathBuf>,
    /// Refuse commits that are older than what their refs have
    #[arg(short = 'T', long)]
    timestamp_check: bool,
    /// Refuse commits that are older than this one
    #[arg(long, value_name = "REV")]
    timestamp_check_from_rev: Option<String>,
    /// Take commits that are not bound to their refs
    #[arg(long)]
    disable_verify_bindings: bool,
    #[arg(long, hide = true, value_name = "TEXT")]
    append_user_agent: Option<String>,
    /// The remote, or REMOTE:REF
    #[arg(value_name = "REMOTE")]
    remote: String,
    /// REF, COMMIT or REF@COMMIT [default: the branches of the remote's configuration; with --mirror all refs]
    #[arg(value_name = "REF")]
    targets: Vec<String>,
}

#[derive(Serialize)]
struct Record {
    metadata_objects: u64,
    content_objects: u64,
    local_metadata_objects: u64,
    local_content_objects: u64,
    delta_parts: u64,
    transferred_bytes: u64,
    content_written_bytes: u64,
    refs: u64,
    deleted_refs: u64,
    seconds: u64,
}

#[derive(Serialize)]
struct DryRun {
    delta_parts: u64,
    compressed_bytes: u64,
    uncompressed_bytes: u64,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.dry_run && !args.require_static_deltas {
        bail!("--dry-run requires --require-static-deltas");
    }
    let (name, targets) = targets(args)?;
    let repo = context.open_synced(!args.disable_fsync)?;
    let settings = settings(context, &repo, &name)?;
    let connections = Connections {
        headers: &args.http_header,
        user_agent_suffix: args.append_user_agent.as_deref(),
        retries: Some(if args.disable_retry_on_network_errors {
            0
        } else {
            args.network_retries
        }),
        low_speed_bytes: args.low_speed_limit_bytes,
        low_speed_seconds: args.low_speed_time_seconds,
        max_in_flight: args.max_outstanding_fetcher_requests,
    };
    let client = network::client(context, &repo, &settings, &connections)?;
    let overrides = RemoteOverrides {
        url: args.url.clone(),
    };
    let remote = Remote::resolve(&settings, &overrides, &client)?;
    let trust = trust::of_remote(context, &repo, settings.name.as_ref())?;
    let caches = args.localcache_repo.iter().map(|path| context.open_at(path));
    let caches: Vec<Repo> = caches.collect::<anyhow::Result<_>>()?;
    let kept = summary_cache(args, &repo, &settings)?;
    let kept = kept.map(|kept| kept.failing_when_bad(context.environment().fails_at_bad_cache));
    let options = PullOptions {
        summary_cache: kept.as_ref(),
        pause: &pause,
        allow_split_xattrs: context.environment().write_split_xattrs,
        ..options(args, &repo, &settings, &caches)?
    };
    let watcher = Watcher::new(context)?;
    let begun = Instant::now();
    let stats = context.ui().while_counting(
        || watcher.shown(),
        || pull(&repo, &remote, &client, &trust, &targets, &options, &watcher),
    );
    let stats = match stats {
        Err(TransferError::Interrupted) => {
            context
                .ui()
                .note("what has arrived stays out of sight; the same command goes on from there");
            return Err(exit::Interrupted.into());
        }
        stats => stats?,
    };
    report(context, args, &stats, begun.elapsed().as_secs())
}

/// Reads the name of the remote and what is to be pulled, which may be in one argument.
fn targets(args: &Args) -> anyhow::Result<(String, Vec<PullTarget>)> {
    let read = |text: &str| {
        let target = text.parse::<PullTarget>();
        target.with_context(|| format!("cannot pull '{}'", text.escape_debug()))
    };
    if args.targets.is_empty()
        && !args.remote.contains("://")
        && let Some((remote, name)) = args.remote.split_once(':')
    {
        return Ok((remote.to_owned(), vec![read(name)?]));
    }
    let targets = args.targets.iter().map(|text| read(text));
    Ok((args.remote.clone(), targets.collect::<anyhow::Result<_>>()?))
}

/// Reads what the configuration says of the remote. A URL is none: nothing would say whose signatures are trusted.
fn settings(context: &Context, repo: &Repo, name: &str) -> anyhow::Result<RemoteSettings> {
    if name.contains(':') {
        let name = name.escape_debug();
        return Err(match context.program() {
            Program::Ostree => anyhow!("Invalid refspec {name}"),
            Program::Ostler => exit::usage(format!(
                "'{name}' is no remote: 'remote add NAME URL' makes one, and says whose signatures it must have"
            )),
        });
    }
    let remote =
        RemoteName::new(name).with_context(|| format!("Invalid remote name {}", name.escape_debug()))?;
    let settings = RemoteSettings::of(repo, &remote)?;
    if let Some(backend) = &settings.custom_backend {
        bail!("remote '{remote}' uses custom backend '{backend}', which pulls for itself");
    }
    settings.require_configured()?;
    Ok(settings)
}

fn options<'a>(
    args: &Args,
    repo: &Repo,
    settings: &RemoteSettings,
    caches: &'a [Repo],
) -> anyhow::Result<PullOptions<'a>> {
    let depth = match u64::try_from(args.depth) {
        Ok(depth) => Some(depth),
        Err(_) if args.depth == -1 => None,
        Err(_) => bail!("--depth is neither a number of parents nor -1: {}", args.depth),
    };
    let from = args.timestamp_check_from_rev.as_deref();
    let from: Option<Checksum> = from.map(|rev| repo.resolve_rev(rev)).transpose()?;
    Ok(PullOptions {
        tracking: settings.name.clone(),
        mirror: args.mirror,
        depth,
        subpaths: args.subpath.clone(),
        commit_metadata_only: args.commit_metadata_only,
        http_trusted: args.http_trusted,
        untrusted: args.untrusted,
        bareuseronly_files: args.bareuseronly_files,
        deltas: match (args.require_static_deltas, args.disable_static_deltas) {
            (true, _) => DeltaUse::Required,
            (_, true) => DeltaUse::Disabled,
            _ => DeltaUse::Allowed,
        },
        dry_run: args.dry_run,
        verify_bindings: !args.disable_verify_bindings,
        timestamp_check: args.timestamp_check,
        timestamp_check_from: from,
        local_caches: caches,
        delete_refs: args.delete_refs,
        allow_empty: args.allow_empty,
        carry_deltas: args.deltas,
        threads: thread::available_parallelism().map_or(1, NonZero::get),
        ..PullOptions::default()
    })
}

/// Returns where the summary of a configured remote is kept.
fn summary_cache(
    args: &Args,
    repo: &Repo,
    settings: &RemoteSettings,
) -> anyhow::Result<Option<SummaryCache>> {
    match &settings.name {
        Some(name) => Ok(SummaryCache::of(repo, name.as_str(), args.cache_dir.as_deref())?),
        None => Ok(None),
    }
}

/// Waits longer each time: a server is between two writes, or a cache keeps one file longer than the other.
pub(super) fn pause(number: u32) {
    thread::sleep(Duration::from_millis(250) * (1 << number.min(4)));
}

/// Shows how far the pull is, and sees to it that signals end it.
pub(super) struct Watcher<'a> {
    context: &'a Context,
    interrupt: Interrupt,
    progress: Mutex<PullProgress>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(context: &'a Context) -> anyhow::Result<Self> {
        Ok(Self {
            context,
            interrupt: Interrupt::watch()?,
            progress: Mutex::default(),
        })
    }

    pub(super) fn shown(&self) -> String {
        let progress = self.progress.lock().map(|progress| *progress).unwrap_or_default();
        format!(
            "Receiving objects: {}/{} {}",
            progress.done,
            progress.wanted,
            format_size(progress.transferred_bytes)
        )
    }
}

impl PullReporter for Watcher<'_> {
    fn progress(&self, progress: &PullProgress) {
        if let Ok(mut slot) = self.progress.lock() {
            *slot = *progress;
        }
    }

    fn note(&self, text: &str) {
        self.context.ui().note(text);
    }

    fn interrupted(&self) -> bool {
        self.interrupt.is_set()
    }
}

fn report(context: &Context, args: &Args, stats: &PullStats, seconds: u64) -> anyhow::Result<()> {
    let ui = context.ui();
    let deltas = &stats.deltas;
    if args.dry_run {
        let record = DryRun {
            delta_parts: deltas.parts,
            compressed_bytes: deltas.compressed_bytes,
            uncompressed_bytes: deltas.uncompressed_bytes,
        };
        return ui.either(
            &record,
            format_args!(
                "Delta update: 0/{} parts, 0 bytes/{}, {} total uncompressed",
                deltas.parts,
                format_size(deltas.compressed_bytes),
                format_size(deltas.uncompressed_bytes)
            ),
        );
    }
    let record = Record {
        metadata_objects: stats.metadata_objects,
        content_objects: stats.content_objects,
        local_metadata_objects: stats.local_metadata_objects,
        local_content_objects: stats.local_content_objects,
        delta_parts: deltas.fetched_parts,
        transferred_bytes: stats.transferred_bytes,
        content_written_bytes: stats.content_written_bytes,
        refs: stats.refs,
        deleted_refs: stats.deleted_refs,
        seconds,
    };
    ui.either(&record, summary_line(stats, seconds))
}

/// Returns what stock says at the end of a pull.
fn summary_line(stats: &PullStats, seconds: u64) -> String {
    let written = format_size(stats.content_written_bytes);
    let locally = match (stats.local_metadata_objects, stats.local_content_objects) {
        (0, 0) => String::new(),
        (metadata, content) => format!(" ({metadata} meta, {content} content local)"),
    };
    if stats.is_local {
        return format!(
            "{} metadata, {} content objects imported; {written} content written",
            stats.local_metadata_objects, stats.local_content_objects
        );
    }
    let transferred = match stats.transferred_bytes {
        bytes @ 0..1024 => format!("{bytes} B"),
        bytes => format!("{} KiB", bytes / 1024),
    };
    let objects = match stats.deltas.fetched_parts {
        0 => format!(
            "{} metadata, {} content objects fetched{locally}",
            stats.metadata_objects, stats.content_objects
        ),
        parts => format!(
            "{parts} delta parts, {} loose fetched{locally}",
            stats.metadata_objects + stats.content_objects
        ),
    };
    format!("{objects}; {transferred} transferred in {seconds} seconds; {written} content written")
}
