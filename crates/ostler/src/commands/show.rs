//! `show`: one object: a commit in words, any metadata object as GVariant text, a file by its header.

use super::signatures;
use crate::commit_text;
use crate::context::Context;
use crate::exit;
use crate::sizes::format_size;
use crate::ui::{Ui, printable};
use crate::variant_text;
use anyhow::{Context as _, bail};
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{Checksum, Commit, FileHeader, MAX_METADATA_SIZE, ObjectName, ObjectSizes, ObjectType};
use ostler_repo::{Repo, RepoError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The arguments of `show`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler show os/stable
  ostler show --gpg-verify-remote=origin origin:os/stable
  ostler show --raw os/stable
  ostler show --print-metadata-key=version os/stable
  ostler show --list-metadata-keys os/stable
  ostler show --print-variant-type='(a(s(taya{sv}))a{sv})' /srv/repo/summary")]
pub(crate) struct Args {
    /// Print the related commits
    #[arg(long)]
    print_related: bool,
    /// Print the keys of the commit's metadata
    #[arg(long)]
    list_metadata_keys: bool,
    /// Print the value of a metadata key
    #[arg(long, value_name = "KEY")]
    print_metadata_key: Option<String>,
    /// Print the keys of the commit's detached metadata
    #[arg(long)]
    list_detached_metadata_keys: bool,
    /// Print the value of a detached metadata key
    #[arg(long, value_name = "KEY")]
    print_detached_metadata_key: Option<String>,
    /// With --print-metadata-key and the like: print byte arrays in hexadecimal
    #[arg(long)]
    print_hex: bool,
    /// Print the sizes that the commit records
    #[arg(long)]
    print_sizes: bool,
    /// Print the object as GVariant text
    #[arg(long)]
    raw: bool,
    /// Leave the bytes of integers as they are in the file
    #[arg(short = 'B', long)]
    no_byteswap: bool,
    /// Take OBJECT for the path of a file, and print that as a GVariant of this type
    #[arg(long, value_name = "TYPE")]
    print_variant_type: Option<String>,
    /// Check GPG signatures with the keys in a home of GPG, too
    #[arg(long, value_name = "DIRECTORY")]
    gpg_homedir: Option<PathBuf>,
    /// Check GPG signatures with the keys of this remote alone
    #[arg(long, value_name = "REMOTE")]
    gpg_verify_remote: Option<String>,
    /// A commit, or the whole checksum of any object
    object: String,
}

/// The metadata key of the sizes of a commit's objects.
const SIZES: &str = "ostree.sizes";

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    let ui = context.ui();
    if let Some(shape) = &args.print_variant_type {
        return print_variant(ui, shape, Path::new(&args.object), !args.no_byteswap);
    }
    let checksum = repo.resolve_rev(&args.object)?;
    if let Some(key) = &args.print_metadata_key {
        let commit = repo.load_commit(&checksum)?;
        return variant_text::print(ui, key, value_text(args, &commit.metadata, key)?);
    }
    if let Some(key) = &args.print_detached_metadata_key {
        return variant_text::print(ui, key, value_text(args, &detached(&repo, &checksum)?, key)?);
    }
    if args.list_metadata_keys {
        return variant_text::print_keys(ui, &repo.load_commit(&checksum)?.metadata);
    }
    if args.list_detached_metadata_keys {
        return variant_text::print_keys(ui, &detached(&repo, &checksum)?);
    }
    if args.print_related {
        let commit = repo.load_commit(&checksum)?;
        if ui.json() {
            let pairs = commit.related.iter();
            let related: BTreeMap<&str, String> = pairs
                .map(|(name, commit)| (name.as_str(), commit.to_string()))
                .collect();
            return ui.object(&related);
        }
        return commit
            .related
            .iter()
            .try_for_each(|(name, commit)| ui.line(format_args!("{} {commit}", printable(name))));
    }
    if args.print_sizes {
        return print_sizes(context, &repo, &checksum);
    }
    if args.print_hex {
        return Err(exit::usage(
            "--print-hex goes with --print-metadata-key or --print-detached-metadata-key",
        ));
    }
    print_object(context, args, &repo, checksum)
}

/// Prints what a file holds.
fn print_variant(ui: &Ui, shape: &str, path: &Path, byteswap: bool) -> anyhow::Result<()> {
    let failed = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(failed)?;
    file.take(MAX_METADATA_SIZE + 1)
        .read_to_end(&mut bytes)
        .with_context(failed)?;
    if bytes.len() as u64 > MAX_METADATA_SIZE {
        bail!("{} is larger than {MAX_METADATA_SIZE} bytes", path.display());
    }
    ui.line(variant_text::of_bytes(shape, &bytes, byteswap).with_context(failed)?)
}

fn detached(repo: &Repo, checksum: &Checksum) -> anyhow::Result<VarDict> {
    repo.load_detached(checksum)?
        .with_context(|| format!("No detached metadata for commit {checksum}"))
}

fn value_text(args: &Args, metadata: &VarDict, key: &str) -> anyhow::Result<String> {
    let value = variant_text::entry(metadata, key)?;
    match value {
        Value::Bytes(bytes) if args.print_hex => {
            let mut text = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                let _written = write!(text, "{byte:02x}");
            }
            Ok(text)
        }
        _ if args.print_hex => bail!("metadata key '{}' is not an array of bytes", printable(key)),
        _ => Ok(variant_text::of_value(value.clone(), !args.no_byteswap)),
    }
}

/// Prints what the commit's sizes say is to be fetched and what is needed at all.
fn print_sizes(context: &Context, repo: &Repo, checksum: &Checksum) -> anyhow::Result<()> {
    let commit = repo.load_commit(checksum)?;
    let Some(value) = commit.metadata.get(SIZES) else {
        bail!("No metadata key {SIZES} in commit {checksum}");
    };
    let sizes = ObjectSizes::from_value(value).context("cannot read the sizes of the commit")?;
    let mut needed = [0_u64; 3];
    let mut total = [0_u64; 3];
    for entry in sizes.entries() {
        let name = ObjectName::new(entry.checksum, entry.kind);
        let has = repo.has_object(&name)?;
        for (index, amount) in [entry.archived, entry.unpacked, 1].into_iter().enumerate() {
            total[index] = total[index].saturating_add(amount);
            if !has {
                needed[index] = needed[index].saturating_add(amount);
            }
        }
    }
    let ui = context.ui();
    if ui.json() {
        return ui.object(&SizesRecord {
            needed_archived_bytes: needed[0],
            archived_bytes: total[0],
            needed_unpacked_bytes: needed[1],
            unpacked_bytes: total[1],
            needed_objects: needed[2],
            objects: total[2],
        });
    }
    let size = |index: usize| format!("{}/{}", format_size(needed[index]), format_size(total[index]));
    ui.line(format_args!("Compressed size (needed/total): {}", size(0)))?;
    ui.line(format_args!("Unpacked size (needed/total): {}", size(1)))?;
    ui.line(format_args!(
        "Number of objects (needed/total): {}/{}",
        needed[2], total[2]
    ))
}

/// What is to be fetched of a commit, and what is needed at all, as JSON.
#[derive(Serialize)]
struct SizesRecord {
    needed_archived_bytes: u64,
    archived_bytes: u64,
    needed_unpacked_bytes: u64,
    unpacked_bytes: u64,
    needed_objects: u64,
    objects: u64,
}

/// An object that is not a commit, or a commit as a value, as JSON.
#[derive(Serialize)]
struct Record<'a> {
    object: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// The text form of GVariant.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileRecord<'a>>,
}

/// The header of a file as JSON.
#[derive(Serialize)]
struct FileRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    xattrs: String,
}

/// Prints the object of any type that `checksum` names.
fn print_object(context: &Context, args: &Args, repo: &Repo, checksum: Checksum) -> anyhow::Result<()> {
    let kinds = [
        (ObjectType::Commit, variant_text::COMMIT),
        (ObjectType::DirTree, variant_text::DIRTREE),
        (ObjectType::DirMeta, variant_text::DIRMETA),
    ];
    for (kind, shape) in kinds {
        match repo.load_metadata(&ObjectName::new(checksum, kind)) {
            Err(error) if error.is_not_found() => {}
            bytes => {
                let name = ObjectName::new(checksum, kind);
                print_metadata(context.ui(), args, name, shape, &bytes?)?;
                if kind == ObjectType::Commit && !args.raw {
                    let remote = args.gpg_verify_remote.as_deref();
                    let homedir = args.gpg_homedir.as_deref();
                    let printed = signatures::print(context, repo, &checksum, remote, homedir);
                    tolerate_missing_gpg(context, args, printed)?;
                }
                return Ok(());
            }
        }
    }
    print_file(context.ui(), repo, &checksum)
}

/// Leaves it at a note if signatures could not be checked and nobody asked for that by an option.
fn tolerate_missing_gpg(context: &Context, args: &Args, printed: anyhow::Result<()>) -> anyhow::Result<()> {
    let asked = args.gpg_verify_remote.is_some() || args.gpg_homedir.is_some();
    match printed {
        Err(error) if !asked && matches!(error.downcast_ref(), Some(RepoError::Gpg { .. })) => {
            context
                .ui()
                .note(&format!("the signatures cannot be checked: {error:#}"));
            Ok(())
        }
        printed => printed,
    }
}

fn print_metadata(ui: &Ui, args: &Args, name: ObjectName, shape: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let ObjectName { checksum, kind } = name;
    // As stock: `-B` prints a commit both ways.
    let in_words = kind == ObjectType::Commit && (!args.raw || args.no_byteswap);
    let as_value = args.raw || args.no_byteswap;
    let value = as_value
        .then(|| variant_text::of_bytes(shape, bytes, !args.no_byteswap))
        .transpose()?;
    if ui.json() && (as_value || !in_words) {
        let object = checksum.to_string();
        return ui.object(&Record {
            object,
            kind: kind.as_str(),
            value,
            file: None,
        });
    }
    ui.heading(format_args!("{kind} {checksum}"))?;
    if let Some(value) = value {
        ui.line(value)?;
    }
    if in_words {
        let commit = Commit::parse(bytes).with_context(|| format!("cannot read commit {checksum}"))?;
        commit_text::print(ui, &checksum, &commit)?;
    }
    Ok(())
}

fn print_file(ui: &Ui, repo: &Repo, checksum: &Checksum) -> anyhow::Result<()> {
    let content = repo.open_content(checksum)?;
    let header = content.header();
    let xattrs = variant_text::of_xattrs(&header.xattrs);
    let target = header.is_symlink().then_some(&*header.symlink_target);
    let FileHeader { mode, uid, gid, .. } = *header;
    let kind = match target {
        Some(target) => format!("symlink\nTarget: {}", printable(target)),
        None => format!("regular\nSize: {}", content.size()),
    };
    let text = format!(
        "Object: {checksum}\nType: file\nFile Type: {kind}\nMode: 0{mode:04o}\nUid: {uid}\nGid: {gid}\n\
         Extended Attributes: {{ {xattrs} }}"
    );
    let size = if target.is_some() { 0 } else { content.size() };
    let file = Some(FileRecord {
        target,
        size,
        mode,
        uid,
        gid,
        xattrs,
    });
    let object = checksum.to_string();
    ui.either(
        &Record {
            object,
            kind: "file",
            value: None,
            file,
        },
        text,
    )
}
