//! `commit`: a new commit from directories and other commits.

mod metadata;

use crate::context::Context;
use crate::dates;
use crate::exit;
use crate::switch;
use anyhow::{Context as _, bail};
use ostler_format::{Checksum, Refspec};
use ostler_repo::commit::{
    CommitBuilder, CommitOutcome, LinkedFiles, StatOverrides, TreeRules, TreeSource, parse_skip_list,
};
use ostler_repo::refs::{Expected, RefEdit};
use ostler_repo::{Repo, TransactionOptions};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The arguments of `commit`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo commit -b os/stable -s 'Release 5' --tree=dir=build
  ostler --repo=/srv/repo commit -b os/stable --tree=ref=os/base --tree=dir=overlay --skip-if-unchanged
  ostler --repo=/srv/repo commit -b app --owner-uid=0 --owner-gid=0 --canonical-permissions build")]
pub(crate) struct Args {
    /// Parent commit, or \"none\" [default: the commit of the branch]
    #[arg(long, value_name = "COMMIT")]
    parent: Option<String>,
    /// One line on what it is
    #[arg(short, long, allow_hyphen_values = true)]
    subject: Option<String>,
    /// Full description
    #[arg(short = 'm', long, allow_hyphen_values = true)]
    body: Option<String>,
    /// Read the description from a file
    #[arg(short = 'F', long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// Ref to move to the commit
    #[arg(short, long)]
    branch: Option<String>,
    /// Make do without a branch
    #[arg(long)]
    orphan: bool,
    /// Do not write into the commit which refs it is for
    #[arg(long)]
    no_bindings: bool,
    /// Another ref that the commit is for
    #[arg(long, value_name = "BRANCH")]
    bind_ref: Vec<String>,
    /// Start from the tree of a commit, which no option changes
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Overlay a directory (dir=PATH) or a commit (ref=COMMIT); the later wins
    #[arg(long, value_name = "dir=PATH|ref=COMMIT")]
    tree: Vec<Tree>,
    /// Add a string to the metadata
    #[arg(long, value_name = "KEY=VALUE")]
    add_metadata_string: Vec<String>,
    /// Add a value in GVariant text form to the metadata
    #[arg(long, value_name = "KEY=VALUE")]
    add_metadata: Vec<String>,
    /// Keep a key of the parent's metadata
    #[arg(long, value_name = "KEY")]
    keep_metadata: Vec<String>,
    /// Add a string to the detached metadata
    #[arg(long, value_name = "KEY=VALUE")]
    add_detached_metadata_string: Vec<String>,
    /// Owner of all files and directories
    #[arg(long, value_name = "UID")]
    owner_uid: Option<u32>,
    /// Group of all files and directories
    #[arg(long, value_name = "GID")]
    owner_gid: Option<u32>,
    /// Reduce permissions to 0755 and 0644, and owners to 0
    #[arg(long)]
    canonical_permissions: bool,
    /// Take write permission from executable files
    #[arg(long)]
    mode_ro_executables: bool,
    /// Leave extended attributes out
    #[arg(long)]
    no_xattrs: bool,
    /// Trust that files hard-linked into the repository are its objects
    #[arg(long)]
    link_checkout_speedup: bool,
    /// The same, whatever owners and modes the other options ask for
    #[arg(short = 'I', long)]
    devino_canonical: bool,
    /// Write nothing if the contents are those of the parent
    #[arg(long)]
    skip_if_unchanged: bool,
    /// File of permissions to change: lines '[=]MODE PATH', MODE decimal
    #[arg(long, value_name = "FILE")]
    statoverride: Option<PathBuf>,
    /// File of paths to leave out
    #[arg(long, value_name = "FILE")]
    skip_list: Option<PathBuf>,
    /// Print counters too
    #[arg(long)]
    table_output: bool,
    /// Whether the commit survives a power cut once we are done
    #[arg(long, value_name = "BOOL", value_parser = switch::boolean)]
    fsync: Option<bool>,
    #[arg(long, hide = true)]
    disable_fsync: bool,
    /// Time of the commit, as GNU date reads it [default: `SOURCE_DATE_EPOCH`, else now]
    #[arg(long, allow_hyphen_values = true)]
    timestamp: Option<String>,
    /// Directory to commit [default: the current one]
    path: Option<PathBuf>,
}

/// One `--tree`.
#[derive(Debug, Clone)]
enum Tree {
    Directory(PathBuf),
    Revision(String),
}

impl std::str::FromStr for Tree {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("dir", path)) => Ok(Self::Directory(path.into())),
            Some(("ref", rev)) => Ok(Self::Revision(rev.to_owned())),
            Some((kind, _)) => Err(format!("invalid tree type '{}'", kind.escape_debug())),
            None => Err("missing type: dir=PATH or ref=COMMIT".to_owned()),
        }
    }
}

/// What is printed, in the order of `--table-output`.
#[derive(Serialize)]
struct Table {
    commit: String,
    /// Whether there is a new commit.
    new: bool,
    metadata_total: u64,
    metadata_written: u64,
    content_total: u64,
    content_written: u64,
    content_cache_hits: u64,
    content_written_bytes: u64,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.branch.is_none() && !args.orphan {
        return Err(exit::usage(
            "a branch must be specified with --branch, or use --orphan",
        ));
    }
    let durable = args.fsync.unwrap_or(true) && !args.disable_fsync;
    let repo = context.open_synced(durable)?;
    let branch = args.branch.as_deref().map(str::parse::<Refspec>).transpose()?;
    let head = match &branch {
        Some(branch) => repo.read_ref(branch)?,
        None => None,
    };
    if let Some(branch) = branch
        .as_ref()
        .filter(|branch| head.is_none() && branch.name.is_all_hex())
    {
        bail!("branch '{branch}' could not be told from the beginning of a checksum");
    }
    let parent = match args.parent.as_deref() {
        None => head,
        Some("none") => None,
        Some(rev) => Some(repo.resolve_rev(rev)?),
    };
    let builder = builder(context, args, &repo, parent)?;
    let detached = metadata::detached(args)?;
    let mut transaction = repo.begin_with(TransactionOptions {
        allow_split_xattrs: context.environment().write_split_xattrs,
    })?;
    let outcome = builder.build(&transaction)?;
    if outcome.is_new {
        if let Some(detached) = &detached {
            transaction.write_detached(&outcome.checksum, detached)?;
        }
        if let Some(branch) = branch {
            let expected = head.map_or(Expected::Absent, Expected::Is);
            transaction.edit_ref(RefEdit::set(branch, expected, outcome.checksum));
        }
        let _stats = transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    print(context, args, &outcome)
}

fn builder(
    context: &Context,
    args: &Args,
    repo: &Repo,
    parent: Option<Checksum>,
) -> anyhow::Result<CommitBuilder> {
    let timestamp = match &args.timestamp {
        Some(text) => dates::parse(text, context.environment().now())?,
        None => dates::of_new_commit(context.environment())?,
    };
    let mut builder = CommitBuilder::new(timestamp);
    builder.sources = sources(args, repo)?;
    builder.rules = rules(args)?;
    builder.base = args
        .base
        .as_deref()
        .map(|rev| repo.resolve_rev(rev))
        .transpose()?;
    builder.linked_files = match (args.devino_canonical, args.link_checkout_speedup) {
        (true, _) => LinkedFiles::ReuseAlways,
        (false, true) => LinkedFiles::Reuse,
        (false, false) => LinkedFiles::Read,
    };
    builder.parent = parent;
    builder.skip_if_unchanged = args.skip_if_unchanged;
    builder.subject = args.subject.clone().unwrap_or_default();
    builder.body = match &args.body_file {
        Some(file) => text_of(file)?,
        None => args.body.clone().unwrap_or_default(),
    };
    builder.metadata = metadata::of_commit(repo, args, parent.as_ref())?;
    Ok(builder)
}

fn sources(args: &Args, repo: &Repo) -> anyhow::Result<Vec<TreeSource>> {
    if args.tree.is_empty() {
        let path = args.path.clone().unwrap_or_else(|| PathBuf::from("."));
        return Ok(vec![TreeSource::Directory(path)]);
    }
    if args.path.is_some() {
        return Err(exit::usage("give either --tree or a PATH"));
    }
    args.tree
        .iter()
        .map(|tree| {
            Ok(match tree {
                Tree::Directory(path) => TreeSource::Directory(path.clone()),
                Tree::Revision(rev) => TreeSource::Commit(repo.resolve_rev(rev)?),
            })
        })
        .collect()
}

fn rules(args: &Args) -> anyhow::Result<TreeRules> {
    let owners = [("--owner-uid", args.owner_uid), ("--owner-gid", args.owner_gid)];
    if let Some((option, _)) = owners
        .iter()
        .find(|(_, owner)| owner.is_some_and(|owner| owner != 0))
        && args.canonical_permissions
    {
        let text = format!("--canonical-permissions makes root the owner: {option} says otherwise");
        return Err(exit::usage(text));
    }
    let mut rules = TreeRules {
        owner_uid: args.owner_uid,
        owner_gid: args.owner_gid,
        canonical_permissions: args.canonical_permissions,
        no_xattrs: args.no_xattrs,
        read_only_executables: args.mode_ro_executables,
        ..TreeRules::default()
    };
    if let Some(file) = &args.statoverride {
        rules.stat_overrides = StatOverrides::parse(&text_of(file)?)?;
    }
    if let Some(file) = &args.skip_list {
        rules.skip = parse_skip_list(&text_of(file)?);
    }
    Ok(rules)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn print(context: &Context, args: &Args, outcome: &CommitOutcome) -> anyhow::Result<()> {
    let CommitOutcome { checksum, stats, .. } = outcome;
    let table = Table {
        commit: checksum.to_string(),
        new: outcome.is_new,
        metadata_total: stats.metadata_total,
        metadata_written: stats.metadata_written,
        content_total: stats.content_total,
        content_written: stats.content_written,
        content_cache_hits: stats.content_cache_hits,
        content_written_bytes: stats.content_written_bytes,
    };
    let ui = context.ui();
    if !args.table_output {
        return ui.either(&table, checksum);
    }
    let lines = [
        format!("Commit: {checksum}"),
        format!("Metadata Total: {}", table.metadata_total),
        format!("Metadata Written: {}", table.metadata_written),
        format!("Content Total: {}", table.content_total),
        format!("Content Written: {}", table.content_written),
        format!("Content Cache Hits: {}", table.content_cache_hits),
        format!("Content Bytes Written: {}", table.content_written_bytes),
    ];
    ui.either(&table, lines.join("\n"))
}
