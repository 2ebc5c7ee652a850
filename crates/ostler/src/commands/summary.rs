//! `summary`: makes the summary anew, or prints it.

use super::settle::Settle;
use super::signing::Signing;
use crate::context::Context;
use crate::dates;
use crate::exit;
use crate::key_value;
use crate::program::Program;
use crate::sizes::format_size;
use crate::ui::{Ui, printable};
use crate::variant_text;
use anyhow::Context as _;
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{DeltaList, MAX_METADATA_SIZE, Summary, SummaryRef};
use ostler_repo::summary::size_note;
use ostler_repo::{Repo, RepoError, SummaryOptions, commit_metadata, update_summary};
use serde::Serialize;
use std::collections::BTreeMap;

/// The arguments of `summary`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo summary -u
  ostler --repo=/srv/repo summary --view
  ostler --repo=/srv/repo summary -u --add-metadata='example.title=\"Nightly\"'
  ostler --repo=/srv/repo summary -u --gpg-sign=release@example.org
  ostler --repo=/srv/repo summary -u --sign-from-file=secret.key

Without a key the new summary is unsigned, and the signature of the old one goes. Name all keys in one call: \
each update begins with no signature.")]
pub(crate) struct Args {
    /// Make the summary anew from the refs
    #[arg(short, long)]
    update: bool,
    /// Print the summary
    #[arg(short, long)]
    view: bool,
    /// Print the summary as GVariant text
    #[arg(long)]
    raw: bool,
    /// Print the keys of the summary's metadata
    #[arg(long)]
    list_metadata_keys: bool,
    /// Print the value of a metadata key
    #[arg(long, value_name = "KEY")]
    print_metadata_key: Option<String>,
    /// With -u: add a value in GVariant text form to the metadata
    #[arg(short = 'm', long, value_name = "KEY=VALUE")]
    add_metadata: Vec<String>,
    /// With -u: drop the keys of the old summary that are not OSTree's own; else they are kept (those of Flatpak, for example)
    #[arg(long, requires = "update")]
    reset: bool,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    settle: Settle,
    // In place of the global option, whose short form is --view here.
    #[arg(id = "verbose", long, hide = true)]
    _verbose: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    if args.update {
        return update(context, args, &repo);
    }
    let ui = context.ui();
    if args.raw {
        let text = variant_text::of_bytes(variant_text::SUMMARY, &bytes_of(&repo)?, true)?;
        return variant_text::print(ui, "summary", text);
    }
    if args.list_metadata_keys {
        return variant_text::print_keys(ui, &summary_of(&repo)?.metadata);
    }
    if let Some(key) = &args.print_metadata_key {
        let summary = summary_of(&repo)?;
        let value = variant_text::entry(&summary.metadata, key)?;
        return variant_text::print(ui, key, variant_text::of_value(value.clone(), true));
    }
    if args.view {
        return view(ui, &summary_of(&repo)?);
    }
    Err(exit::usage("No option specified; use -u to update summary"))
}

fn update(context: &Context, args: &Args, repo: &Repo) -> anyhow::Result<()> {
    let mut metadata = VarDict::new();
    for pair in &args.add_metadata {
        let (key, value) = key_value::variant(pair)?;
        metadata.insert(key, value);
    }
    let options = SummaryOptions {
        now: context.environment().now(),
        metadata,
        keep_unknown: !args.reset,
        signers: args.signing.signers(context, None)?,
        settle: args.settle.time(),
    };
    let root = repo.root();
    let signed = root
        .stat("summary.sig")
        .map_err(RepoError::io("look at", root.path_of("summary.sig")))?;
    if signed.is_some() && options.signers.is_empty() && context.program() == Program::Ostler {
        context
            .ui()
            .note("the summary was signed, and is not any more: --gpg-sign and --sign-from-file sign it");
    }
    let _commit = commit_metadata(repo, &options, dates::of_new_commit(context.environment())?)?;
    if let Some(note) = size_note(update_summary(repo, &options)?) {
        context.ui().note(&note);
    }
    Ok(())
}

fn bytes_of(repo: &Repo) -> anyhow::Result<Vec<u8>> {
    let root = repo.root();
    root.read_if_exists("summary", MAX_METADATA_SIZE)
        .map_err(RepoError::io("read", root.path_of("summary")))?
        .context("the repository has no summary")
}

fn summary_of(repo: &Repo) -> anyhow::Result<Summary> {
    Summary::parse(&bytes_of(repo)?).context("cannot read the summary")
}

/// A ref as JSON.
#[derive(Serialize)]
struct RefRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'a str>,
    #[serde(rename = "ref")]
    name: &'a str,
    commit: String,
    commit_size: u64,
    timestamp: Option<u64>,
    version: Option<&'a str>,
}

/// The metadata as JSON: each value in the text form of GVariant.
#[derive(Serialize)]
struct MetadataRecord<'a> {
    last_modified: Option<u64>,
    metadata: BTreeMap<&'a str, String>,
}

/// Prints a summary for people.
pub(crate) fn view(ui: &Ui, summary: &Summary) -> anyhow::Result<()> {
    let own = summary.metadata.get_str(Summary::COLLECTION_ID);
    for entry in &summary.refs {
        print_ref(ui, own, entry)?;
    }
    for (collection, entries) in summary.collection_map()?.iter() {
        for entry in entries {
            print_ref(ui, Some(collection.as_str()), entry)?;
        }
    }
    if ui.json() {
        return ui.object(&MetadataRecord {
            last_modified: summary.last_modified(),
            metadata: summary
                .metadata
                .iter()
                .map(|(key, value)| (key, value.print(true)))
                .collect(),
        });
    }
    for (key, value) in summary.metadata.iter() {
        print_entry(ui, "", key, value)?;
    }
    Ok(())
}

fn print_ref(ui: &Ui, collection: Option<&str>, entry: &SummaryRef) -> anyhow::Result<()> {
    let name = entry.name.as_str();
    if ui.json() {
        return ui.object(&RefRecord {
            collection,
            name,
            commit: entry.checksum.to_string(),
            commit_size: entry.commit_size,
            timestamp: entry.timestamp(),
            version: entry.metadata.get_str(SummaryRef::VERSION),
        });
    }
    match collection {
        Some(collection) => ui.line(format_args!("* ({}, {name})", printable(collection)))?,
        None => ui.line(format_args!("* {name}"))?,
    }
    ui.line(format_args!(
        "    Latest Commit ({}):",
        format_size(entry.commit_size)
    ))?;
    ui.line(format_args!("      {}", entry.checksum))?;
    for (key, value) in entry.metadata.iter() {
        print_entry(ui, "    ", key, value)?;
    }
    ui.line("")
}

/// Prints one entry of metadata: with its meaning if we know the key, else as it is.
fn print_entry(ui: &Ui, indent: &str, key: &str, value: &Value) -> anyhow::Result<()> {
    let words = match key {
        SummaryRef::TIMESTAMP => Some(("Timestamp", date_of(value))),
        SummaryRef::VERSION => Some(("Version", string_of(value))),
        Summary::MODE => Some(("Repository Mode", string_of(value))),
        Summary::LAST_MODIFIED => Some(("Last-Modified", date_of(value))),
        Summary::EXPIRES => Some(("Expires", date_of(value))),
        Summary::TOMBSTONE_COMMITS => Some(("Has Tombstone Commits", yes_or_no(value))),
        Summary::COLLECTION_ID => Some(("Collection ID", string_of(value))),
        Summary::COLLECTION_MAP => Some(("Collection Map", Some("(printed above)".to_owned()))),
        DeltaList::KEY => Some(("Static Deltas", None)),
        _ => None,
    };
    let plain = || value.print(false);
    match words {
        Some((title, text)) => {
            let text = text.unwrap_or_else(plain);
            ui.line(format_args!("{indent}{title} ({key}): {}", printable(&text)))
        }
        None => ui.line(format_args!(
            "{indent}{}: {}",
            printable(key),
            printable(&plain())
        )),
    }
}

/// Times are stored big-endian.
fn date_of(value: &Value) -> Option<String> {
    value
        .as_u64()
        .map(|seconds| dates::summary_date(seconds.swap_bytes()))
}

fn string_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn yes_or_no(value: &Value) -> Option<String> {
    value
        .as_bool()
        .map(|yes| if yes { "Yes" } else { "No" }.to_owned())
}
