//! Publishing to a repository of another machine, which an ostler there guards: as a push of the refs that are selected.
//!
//! What the far end does with its history, its summary and its deltas is said there, by the rules of its own: options about these are refused.

use super::{Args, HELD_BYTES, Selection};
use crate::commands::far::Destination;
use crate::commands::push::{Delivery, to_far_end};
use crate::context::Context;
use crate::exit;
use crate::spans::Span;
use crate::summary_choice::SummaryChoice;
use ostler_format::{Checksum, RefName};
use ostler_repo::{RefScope, Repo};
use ostler_transfer::TransferError;
use ostler_transfer::push::Wanted;
use std::collections::BTreeMap;

/// Returns where the run goes, if that is another machine: what is there as a directory is one, unless a remote has its name.
pub(super) fn destination(args: &Args, source: &Repo) -> anyhow::Result<Option<Destination>> {
    if let Some(text) = args.destination.to_str() {
        Destination::refuse_ambiguous(text, source)?;
    }
    let Some(text) = args.destination.to_str().filter(|_| !args.destination.exists()) else {
        return Ok(None);
    };
    let is_remote = !text.contains(['/', ':']) && source.remote(text).is_some();
    if !is_remote && !text.contains(':') {
        return Ok(None);
    }
    Ok(match Destination::parse(text, source)? {
        Destination::Directory(path) if path == args.destination => None,
        found => Some(found),
    })
}

/// Publishes there.
pub(super) fn run(
    context: &Context,
    args: &Args,
    source: &Repo,
    destination: &Destination,
) -> anyhow::Result<()> {
    if let Some((option, instead)) = unfit(args) {
        return Err(exit::usage(format!(
            "{option} is not for repositories of other machines: {instead}"
        )));
    }
    let selection = Selection::new(&args.refs)?;
    let updates = updates(source, args, &selection)?;
    to_far_end(
        context,
        &Delivery {
            source,
            destination,
            receiver: None,
            named: &args.destination.to_string_lossy(),
            way: &args.way,
            wanted: Wanted {
                updates: &updates,
                drops: args.delete_refs.then_some(&selection),
                force: args.force,
                depth: None,
            },
            limit_rate: None,
            dry_run: args.dry_run,
        },
    )
}

/// Returns what the refs of the far end shall name.
fn updates(
    source: &Repo,
    args: &Args,
    selection: &Selection,
) -> anyhow::Result<BTreeMap<RefName, Option<Checksum>>> {
    let all = source.list_refs(RefScope::Local)?;
    let names = all.keys().map(|refspec| refspec.name.as_str());
    if let (Some(pattern), false) = (selection.unmatched(&names), args.delete_refs) {
        return Err(TransferError::NoSuchRef(pattern.to_owned()).into());
    }
    let selected = all
        .into_iter()
        .filter(|(refspec, _)| selection.takes(&refspec.name));
    let updates: BTreeMap<_, _> = selected
        .map(|(refspec, commit)| (refspec.name, Some(commit)))
        .collect();
    if updates.is_empty() && !args.allow_empty {
        anyhow::bail!(
            "the repository has no refs to publish, and nothing is removed in their place without --allow-empty"
        );
    }
    Ok(updates)
}

/// Returns an option that has no meaning there, with what to do instead.
fn unfit(args: &Args) -> Option<(&'static str, &'static str)> {
    const POLICY: &str =
        "extensions/ostler/policy.toml of the far end says how much it keeps, and which deltas it makes";
    const SUMMARY: &str = "receive.toml of the far end says what becomes of its summary, and who signs it";
    const SWEEP: &str = "the far end sweeps by itself, or by 'ostler sweep'";
    const STREAM: &str = "all goes through one stream, hashed at the far end";
    let given = [
        (
            args.retention.is_given(),
            "--depth, --keep-younger-than or --policy",
            POLICY,
        ),
        (
            !args.deltas.is_empty() || !args.empty_deltas.is_empty(),
            "--deltas or --empty-deltas",
            POLICY,
        ),
        (
            args.no_sweep || args.grace.seconds() != default_grace(),
            "--grace or --no-sweep",
            SWEEP,
        ),
        (!matches!(args.summary, SummaryChoice::Auto), "--summary", SUMMARY),
        (args.signing.is_given(), "a key for the summary", SUMMARY),
        (!args.settle.is_default(), "--settle", SUMMARY),
        (
            args.verify,
            "--verify",
            "'ostler fsck' there reads what it has, and every push mends what it meets",
        ),
        (args.copy, "--copy", STREAM),
        (args.remote_fs, "--remote-fs", STREAM),
        (args.local_fs, "--local-fs", STREAM),
        (args.held_bytes != HELD_BYTES, "--held-bytes", STREAM),
        (args.jobs.is_some(), "--jobs", STREAM),
    ];
    let mut found = given.into_iter().filter(|(is_given, ..)| *is_given);
    found.next().map(|(_, option, instead)| (option, instead))
}

fn default_grace() -> u64 {
    Span::GRACE.parse().map_or(0, Span::seconds)
}
