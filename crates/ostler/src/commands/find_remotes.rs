//! `find-remotes`: looks for repositories that have certain refs, and pulls from them.
//!
//! What is pulled comes from whatever medium was put in. So it is hashed object by object, and commits must carry the
//! signatures that the configuration of the remote asks for. Summaries need not: those of media are never signed.

use crate::collection_refs::{self, shown};
use crate::context::Context;
use crate::ui::{Ui, printable};
use crate::{dates, exit, mounts, trust};
use anyhow::bail;
use ostler_format::{Checksum, CollectionRef};
use ostler_repo::Repo;
use ostler_repo::finder::{Finder, Found, configured, find, mounted};
use ostler_repo::pull_local::{PullLocalOptions, PullTarget, pull_local_with};
use ostler_repo::sign::{SignVerify, Trust, TrustSettings};
use serde::Serialize;
use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

/// The arguments of `find-remotes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looked at are remotes with a file:// URL and a collection, and media that are mounted.

Examples:
  ostler --repo=/srv/repo find-remotes org.example.Os os/stable
  ostler --repo=/srv/repo find-remotes --finders=mount --pull org.example.Os os/stable")]
pub(crate) struct Args {
    #[arg(long, hide = true, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Sync nothing
    #[arg(long)]
    disable_fsync: bool,
    /// Where to look: config, mount, or both with a comma between
    #[arg(long, default_value = "config,mount")]
    finders: String,
    /// Look in this directory as if a medium were mounted there, and in no other (may be repeated)
    #[arg(long, value_name = "PATH")]
    mount: Vec<PathBuf>,
    /// Pull what was found
    #[arg(long)]
    pull: bool,
    /// Pull into the refs of the collections, not into those of remotes
    #[arg(long)]
    mirror: bool,
    /// A collection and a ref in it, and so on
    #[arg(value_name = "COLLECTION-ID REF")]
    refs: Vec<String>,
}

/// A repository as JSON.
#[derive(Serialize)]
struct Record {
    uri: String,
    finder: &'static str,
    remote: String,
    last_modified: Option<u64>,
    refs: Vec<(String, Option<String>)>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let refs = collection_refs::parse(&args.refs)?;
    let finders = finders(&args.finders)?;
    if args.mirror && !args.pull {
        return Err(exit::usage("When --mirror is specified, --pull must also be"));
    }
    let repo = context.open_synced(!args.disable_fsync)?;
    let mut candidates = Vec::new();
    if finders.contains(&Finder::Config) {
        candidates.extend(configured(&repo)?);
    }
    if finders.contains(&Finder::Mount) {
        let mounts = if args.mount.is_empty() {
            mounts::of_media()?
        } else {
            args.mount.clone()
        };
        candidates.extend(mounted(&repo, &mounts)?);
    }
    let wanted: BTreeSet<CollectionRef> = refs.into_iter().collect();
    let results = find(candidates, &wanted)?;
    print(context.ui(), &results, &wanted)?;
    if args.pull && !results.is_empty() {
        pull(context, args, &repo, &results)?;
    }
    Ok(())
}

fn finders(text: &str) -> anyhow::Result<Vec<Finder>> {
    if text.is_empty() {
        return Err(exit::usage(
            "List of finders in --finders option must not be empty",
        ));
    }
    let mut finders = Vec::new();
    for name in text.split(',') {
        let finder = match name {
            "config" => Some(Finder::Config),
            "mount" => Some(Finder::Mount),
            "lan" => bail!("the finder ‘lan’ does not exist here: the network is not looked at"),
            _ => None,
        };
        let Some(finder) = finder.filter(|finder| !finders.contains(finder)) else {
            let name = printable(name);
            return Err(exit::usage(format!(
                "Unknown or duplicate finder type given in --finders option: ‘{name}’"
            )));
        };
        finders.push(finder);
    }
    Ok(finders)
}

/// Returns the name and the number by which stock shows a finder.
fn described(finder: Finder) -> (&'static str, u32) {
    match finder {
        Finder::Config => ("OstreeRepoFinderConfig", 100),
        Finder::Mount => ("OstreeRepoFinderMount", 50),
    }
}

fn print(ui: &Ui, results: &[Found], wanted: &BTreeSet<CollectionRef>) -> anyhow::Result<()> {
    if ui.json() {
        return results.iter().try_for_each(|found| ui.object(&record(found)));
    }
    if results.is_empty() {
        return ui.line("No results.");
    }
    for (index, found) in results.iter().enumerate() {
        print_one(ui, index, found)?;
    }
    let has = |name: &&CollectionRef| results.iter().any(|found| commit_of(found, name).is_some());
    let (there, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(has);
    ui.line(format_args!("{}/{} refs were found.", there.len(), wanted.len()))?;
    if !missing.is_empty() {
        ui.line("Refs not found in any remote:")?;
    }
    missing
        .into_iter()
        .try_for_each(|name| ui.line(format_args!(" - {}", shown(name))))
}

fn print_one(ui: &Ui, index: usize, found: &Found) -> anyhow::Result<()> {
    let (name, priority) = described(found.candidate.finder);
    let path = found.candidate.path.display().to_string();
    ui.line(format_args!("Result {index}: file://{}", printable(&path)))?;
    ui.line(format_args!(" - Finder: {name}"))?;
    ui.line(format_args!(
        " - Keyring: {}.trustedkeys.gpg",
        found.candidate.remote
    ))?;
    ui.line(format_args!(" - Priority: {priority}"))?;
    if let Some(time) = found.last_modified {
        ui.line(format_args!(
            " - Summary last modified: {}",
            dates::found_date(time)
        ))?;
    }
    ui.line(" - Refs:")?;
    for (name, commit) in &found.refs {
        let commit = commit.map_or_else(|| "(not found)".to_owned(), |commit| commit.to_string());
        ui.line(format_args!("    - {} = {commit}", shown(name)))?;
    }
    ui.line("")
}

fn record(found: &Found) -> Record {
    let refs = found.refs.iter();
    Record {
        uri: format!("file://{}", found.candidate.path.display()),
        finder: described(found.candidate.finder).0,
        remote: found.candidate.remote.to_string(),
        last_modified: found.last_modified,
        refs: refs
            .map(|(name, commit)| (shown(name), commit.map(|commit| commit.to_string())))
            .collect(),
    }
}

fn commit_of(found: &Found, name: &CollectionRef) -> Option<Checksum> {
    found.refs.get(name).copied().flatten()
}

/// Pulls each ref from the first repository from which that works.
fn pull(context: &Context, args: &Args, repo: &Repo, results: &[Found]) -> anyhow::Result<()> {
    let mut left: BTreeSet<CollectionRef> = results
        .iter()
        .flat_map(|found| found.refs.iter().filter(|(_, commit)| commit.is_some()))
        .map(|(name, _)| name.clone())
        .collect();
    let all = left.len();
    for found in results {
        let targets: Vec<PullTarget> = left
            .iter()
            .filter_map(|name| Some((name, commit_of(found, name)?)))
            .map(|(name, commit)| PullTarget::Collection(name.clone(), Some(commit)))
            .collect();
        if targets.is_empty() {
            continue;
        }
        match pull_from(context, args, repo, found, &targets) {
            Ok(()) => left.retain(|name| commit_of(found, name).is_none()),
            Err(error) => context
                .ui()
                .note(&format!("{}: {error:#}", found.candidate.path.display())),
        }
    }
    if !left.is_empty() {
        let names: Vec<String> = left.iter().map(shown).collect();
        bail!("Failed to pull some refs from the remotes: {}", names.join(", "));
    }
    if context.ui().json() {
        return Ok(());
    }
    context
        .ui()
        .line(format_args!("Pulled {all}/{all} refs successfully."))
}

fn pull_from(
    context: &Context,
    args: &Args,
    repo: &Repo,
    found: &Found,
    targets: &[PullTarget],
) -> anyhow::Result<()> {
    let remote = &found.candidate.remote;
    let settings = TrustSettings {
        gpg_verify_summary: false,
        sign_verify_summary: SignVerify::No,
        ..TrustSettings::of_remote(repo, remote)?
    };
    let trust = Trust::with_settings(repo, Some(remote), &settings, &trust::paths(context))?;
    let source = context.open_at(&found.candidate.path)?;
    let options = PullLocalOptions {
        remote: (!args.mirror).then(|| remote.clone()),
        untrusted: true,
        threads: thread::available_parallelism().map_or(1, NonZero::get),
        ..PullLocalOptions::default()
    };
    pull_local_with(repo, &source, targets, &options, &trust, &mut |_, _| {})?;
    Ok(())
}
