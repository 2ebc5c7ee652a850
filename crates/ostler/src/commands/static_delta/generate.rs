//! `static-delta generate`.

use super::{keys, threads, usage};
use crate::commands::signing::{Secret, SignCommand};
use crate::context::Context;
use crate::dates;
use crate::program::Program;
use crate::sizes::format_size;
use crate::ui::Ui;
use ostler_format::delta::ByteOrder;
use ostler_format::{Checksum, DeltaName};
use ostler_repo::Repo;
use ostler_repo::deltas::{DeltaOptions, DeltaReporter, DeltaStats, MEGABYTE, PartSummary};
use ostler_repo::sign::Engine;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The arguments of `static-delta generate`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta generate os/stable
  ostler --repo=/srv/repo static-delta generate --from=os/old --to=os/new
  ostler --repo=/srv/repo static-delta generate --empty --inline \\
    --min-fallback-size=0 --filename=./install.delta os/stable
  ostler --repo=/srv/repo static-delta generate --filename=./os.delta --inline \\
    --sign-command=ed25519='ssh signer sign-os' os/stable

A delta that is there already is replaced in one step; clients see the old one
or the new one. A signed one is for apply-offline: clients that pull
cannot read it.")]
pub(crate) struct Args {
    /// Lead from this revision [default: the parent of the other]
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// Lead from nothing
    #[arg(long)]
    empty: bool,
    /// Put the parts into the superblock
    #[arg(long)]
    inline: bool,
    /// Lead to this revision
    #[arg(long = "to", value_name = "REV")]
    to_option: Option<String>,
    /// Make no patches of files
    #[arg(long)]
    disable_bsdiff: bool,
    /// Do nothing if the delta is there
    #[arg(short = 'n', long)]
    if_not_exists: bool,
    /// Byte order of sizes: l (little) or B (big)
    #[arg(long, value_name = "ORDER")]
    set_endianness: Option<String>,
    /// The byte order that this machine does not have
    #[arg(long)]
    swap_endianness: bool,
    /// Leave new files above this size to be fetched as objects; 0 leaves none
    #[arg(long, value_name = "MB", default_value_t = 4)]
    min_fallback_size: u64,
    /// Make patches of files that are smaller than this together
    #[arg(long, value_name = "MB", default_value_t = 128)]
    max_bsdiff_size: u64,
    /// Begin another part when one would exceed this
    #[arg(long, value_name = "MB", default_value_t = 32)]
    max_chunk_size: u64,
    /// Write the superblock to this file, and parts beside it
    #[arg(long, value_name = "PATH")]
    filename: Option<PathBuf>,
    /// Sign with this secret key, which everybody can see in the list of processes; repeatable
    #[arg(long, value_name = "KEY")]
    sign: Vec<Secret>,
    /// Sign with the secret keys in this file
    #[arg(long, value_name = "FILE")]
    keys_file: Option<PathBuf>,
    /// Kind of the signatures: ed25519, spki or dummy [default: ed25519]
    #[arg(long, value_name = "TYPE")]
    sign_type: Option<String>,
    #[command(flatten)]
    command: SignCommand,
    /// Lead to this revision
    #[arg(value_name = "TO")]
    to: Option<String>,
}

/// What was made, as JSON.
#[derive(Serialize)]
struct Made {
    from: Option<String>,
    to: String,
    parts: usize,
    compressed_bytes: u64,
    uncompressed_bytes: u64,
    loose_bytes: u64,
    fallbacks: usize,
    rollsum_objects: usize,
    bsdiff_objects: usize,
}

/// Runs it.
pub(super) fn run(context: &Context, repo: &Repo, args: &Args) -> anyhow::Result<()> {
    if args.to.is_some() && args.to_option.is_some() && context.program() != Program::Ostree {
        return Err(usage("Cannot specify both --to=REV and TO"));
    }
    let to = args.to_option.as_ref().or(args.to.as_ref());
    let to = to.ok_or_else(|| usage("TO revision must be specified"))?;
    if args.empty && args.from.is_some() {
        return Err(usage("Cannot specify both --empty and --from=REV"));
    }
    let options = options(context, args)?;
    let from = match &args.from {
        Some(from) => Some(repo.resolve_rev(from)?),
        None if args.empty => None,
        None => Some(repo.resolve_rev(&format!("{to}^"))?),
    };
    let to = repo.resolve_rev(to)?;
    let ui = context.ui();
    let name = DeltaName { from, to };
    if args.if_not_exists && repo.list_deltas()?.contains(&name) {
        return ui.line(format_args!("Delta {name} already exists."));
    }
    if !ui.json() {
        ui.line("Generating static delta:")?;
        match &from {
            Some(from) => ui.line(format_args!("  From: {from}"))?,
            None => ui.line("  From: empty")?,
        }
        ui.line(format_args!("  To:   {to}"))?;
        ui.flush()?;
    }
    let counts = Counts::default();
    let make = || repo.generate_delta(from.as_ref(), &to, &options, &counts);
    let stats = ui.while_counting(|| counts.shown(), make)?;
    report(ui, from.as_ref(), &to, &stats)
}

fn options(context: &Context, args: &Args) -> anyhow::Result<DeltaOptions> {
    let bytes = |megabytes: u64| megabytes.saturating_mul(MEGABYTE);
    let order = match args.set_endianness.as_deref() {
        None | Some("l") => ByteOrder::Little,
        Some("B") => ByteOrder::Big,
        Some(other) => return Err(usage(&format!("Invalid endianness '{other}'"))),
    };
    if args.set_endianness.is_some() && args.swap_endianness {
        return Err(usage(
            "Cannot specify both --set-endianness and --swap-endianness",
        ));
    }
    let mut signers = keys::signers(
        context,
        args.sign_type.as_deref(),
        &args.sign,
        args.keys_file.as_deref(),
    )?;
    signers.extend(args.command.signers(context, None)?);
    if signers.iter().any(|signer| signer.engine() == Engine::Gpg) {
        return Err(usage("a static delta carries no signatures of GPG"));
    }
    Ok(DeltaOptions {
        min_fallback_bytes: bytes(args.min_fallback_size),
        max_bsdiff_bytes: bytes(args.max_bsdiff_size),
        max_chunk_bytes: bytes(args.max_chunk_size),
        bsdiff: !args.disable_bsdiff,
        inline: args.inline,
        byte_order: if args.swap_endianness {
            order.swapped()
        } else {
            order
        },
        timestamp: dates::of_new_commit(context.environment())?,
        filename: args.filename.clone(),
        signers,
        threads: threads(),
        ..DeltaOptions::default()
    })
}

/// How far the making is.
#[derive(Default)]
struct Counts {
    files: [AtomicUsize; 2],
    parts: [AtomicUsize; 2],
}

impl Counts {
    fn shown(&self) -> String {
        let read = |counts: &[AtomicUsize; 2]| counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        match (read(&self.files), read(&self.parts)) {
            ([_, 0], _) => "looking for what is new".to_owned(),
            ([done, files], [_, 0]) => format!("comparing files: {done}/{files}"),
            (_, [done, parts]) => format!("compressing parts: {done}/{parts}"),
        }
    }
}

impl DeltaReporter for Counts {
    fn encoded(&self, done: usize, total: usize) {
        store(&self.files, done, total);
    }

    fn packed(&self, done: usize, total: usize) {
        store(&self.parts, done, total);
    }
}

fn store(counts: &[AtomicUsize; 2], done: usize, total: usize) {
    let [shown_done, shown_total] = counts;
    shown_done.fetch_max(done, Ordering::Relaxed);
    shown_total.store(total, Ordering::Relaxed);
}

/// Tells what came out: on standard output as JSON, else on standard error in the words of stock.
fn report(ui: &Ui, from: Option<&Checksum>, to: &Checksum, stats: &DeltaStats) -> anyhow::Result<()> {
    let sum = |of: fn(&PartSummary) -> u64| stats.parts.iter().map(of).sum::<u64>();
    let compressed_bytes = sum(|part| part.compressed_bytes);
    let uncompressed_bytes = sum(|part| part.uncompressed_bytes);
    if ui.json() {
        return ui.object(&Made {
            from: from.map(ToString::to_string),
            to: to.to_string(),
            parts: stats.parts.len(),
            compressed_bytes,
            uncompressed_bytes,
            loose_bytes: stats.loose_bytes,
            fallbacks: stats.fallbacks.len(),
            rollsum_objects: stats.rollsum_objects,
            bsdiff_objects: stats.bsdiff_objects,
        });
    }
    let mut lines = vec![
        format!("modified: {}", stats.modified_objects),
        format!(
            "new reachable: metadata={} content regular={} symlink={}",
            stats.new_metadata_objects, stats.new_regular_objects, stats.new_symlink_objects
        ),
        format!(
            "rollsum for {}/{} modified",
            stats.rollsum_objects, stats.modified_objects
        ),
    ];
    for (checksum, size) in &stats.fallbacks {
        lines.push(format!("fallback for {checksum} ({})", format_size(*size)));
    }
    for (number, part) in (1..).zip(&stats.parts) {
        lines.push(format!(
            "part {number} n:{} compressed:{} uncompressed:{}",
            part.objects, part.compressed_bytes, part.uncompressed_bytes
        ));
    }
    lines.push(format!(
        "uncompressed={uncompressed_bytes} compressed={compressed_bytes} loose={}",
        stats.loose_bytes
    ));
    lines.push(format!(
        "rollsum={} objects, {} bytes",
        stats.rollsum_objects, stats.rollsum_bytes
    ));
    lines.push(format!("bsdiff={} objects", stats.bsdiff_objects));
    for line in lines {
        ui.note(&line);
    }
    Ok(())
}
