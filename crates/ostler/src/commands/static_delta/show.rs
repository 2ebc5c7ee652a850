//! `static-delta show`, line for line as stock prints it.

use crate::context::Context;
use crate::sizes::format_size;
use crate::ui::Ui;
use ostler_format::delta::ByteOrder;
use ostler_repo::deltas::{PartSurvey, StoredDelta};
use ostler_repo::fs::Dir;
use serde::Serialize;

/// A delta as JSON.
#[derive(Serialize)]
struct Record {
    from: Option<String>,
    to: String,
    signed: bool,
    byte_order: &'static str,
    byte_order_is_guessed: bool,
    timestamp: u64,
    fallbacks: Vec<Fetched>,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Fetched {
    checksum: String,
    compressed_bytes: u64,
    uncompressed_bytes: u64,
}

#[derive(Serialize)]
struct Part {
    objects: usize,
    compressed_bytes: u64,
    uncompressed_bytes: u64,
    inline: bool,
}

/// Runs it.
pub(super) fn run(context: &Context, delta: &StoredDelta) -> anyhow::Result<()> {
    let ui = context.ui();
    if ui.json() {
        return ui.object(&record(delta)?);
    }
    let superblock = delta.superblock();
    ui.line(format_args!("Delta: {}", superblock.name()))?;
    ui.line(format_args!(
        "Signed: {}",
        if delta.is_signed() { "yes" } else { "no" }
    ))?;
    match &superblock.from {
        Some(from) => ui.line(format_args!("From: {from}"))?,
        None => ui.line("From <scratch>")?,
    }
    ui.line(format_args!("To: {}", superblock.to))?;
    let guessed = if superblock.byte_order_is_guessed() {
        " (heuristic)"
    } else {
        ""
    };
    ui.line(format_args!(
        "Endianness: {}{guessed}",
        name_of(superblock.byte_order)
    ))?;
    ui.line(format_args!("Timestamp: {}", superblock.timestamp))?;
    ui.line("Number of parents: 0")?;
    ui.line(format_args!(
        "Number of fallback entries: {}",
        superblock.fallbacks.len()
    ))?;
    let mut fetched = Total::default();
    for fallback in &superblock.fallbacks {
        ui.line(format_args!("  {}", fallback.checksum))?;
        fetched.add(fallback.size, fallback.unpacked);
    }
    fetched.print(ui, "Total Fallback")?;
    ui.line(format_args!("Number of parts: {}", superblock.parts.len()))?;
    let parts = parts(context, delta)?;
    parts.print(ui, "Total Part")?;
    fetched.add(parts.stored, parts.unpacked);
    fetched.print(ui, "Total")
}

/// Prints a paragraph for each part, and returns their sizes.
fn parts(context: &Context, delta: &StoredDelta) -> anyhow::Result<Total> {
    let ui = context.ui();
    let tmp = Dir::open(&context.environment().temporary_directory())?;
    let mut total = Total::default();
    for (index, part) in delta.superblock().parts.iter().enumerate() {
        ui.line(format_args!(
            "PartMeta{index}: nobjects={} size={} usize={}",
            part.objects.len(),
            part.size,
            part.unpacked
        ))?;
        total.add(part.size, part.unpacked);
        print_survey(ui, index, &delta.survey(&tmp, index)?)?;
    }
    Ok(total)
}

fn print_survey(ui: &Ui, index: usize, survey: &PartSurvey) -> anyhow::Result<()> {
    ui.line(format_args!(
        "PartPayload{index}: nmodes={} nxattrs={} blobsize={} opsize={}",
        survey.modes, survey.xattrs, survey.payload_bytes, survey.operation_bytes
    ))?;
    ui.line(format_args!(
        "PartPayloadOps{index}: openspliceclose={} open={} write={} setread={} unsetread={} close={} bspatch={}",
        survey.splices,
        survey.opens,
        survey.writes,
        survey.sources_set,
        survey.sources_unset,
        survey.closes,
        survey.patches
    ))
}

#[derive(Default)]
struct Total {
    stored: u64,
    unpacked: u64,
}

impl Total {
    fn add(&mut self, stored: u64, unpacked: u64) {
        self.stored = self.stored.saturating_add(stored);
        self.unpacked = self.unpacked.saturating_add(unpacked);
    }

    fn print(&self, ui: &Ui, title: &str) -> anyhow::Result<()> {
        for (what, bytes) in [("Size", self.stored), ("Uncompressed Size", self.unpacked)] {
            ui.line(format_args!("{title} {what}: {bytes} ({})", format_size(bytes)))?;
        }
        Ok(())
    }
}

const fn name_of(order: ByteOrder) -> &'static str {
    match order {
        ByteOrder::Little => "little",
        ByteOrder::Big => "big",
    }
}

fn record(delta: &StoredDelta) -> anyhow::Result<Record> {
    let superblock = delta.superblock();
    let mut parts = Vec::new();
    for (index, part) in superblock.parts.iter().enumerate() {
        parts.push(Part {
            objects: part.objects.len(),
            compressed_bytes: part.size,
            uncompressed_bytes: part.unpacked,
            inline: superblock.inline_part(index)?.is_some(),
        });
    }
    Ok(Record {
        from: superblock.from.map(|from| from.to_string()),
        to: superblock.to.to_string(),
        signed: delta.is_signed(),
        byte_order: name_of(superblock.byte_order),
        byte_order_is_guessed: superblock.byte_order_is_guessed(),
        timestamp: superblock.timestamp,
        fallbacks: superblock
            .fallbacks
            .iter()
            .map(|fallback| Fetched {
                checksum: fallback.checksum.to_string(),
                compressed_bytes: fallback.size,
                uncompressed_bytes: fallback.unpacked,
            })
            .collect(),
        parts,
    })
}
