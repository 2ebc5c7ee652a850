//! `commit`: a new commit from directories, archives and other commits.

mod labels;
mod message;
mod metadata;
mod sources;

use super::signing::Signing;
use crate::context::Context;
use crate::dates;
use crate::exit;
use crate::sizes::format_size;
use crate::switch;
use anyhow::{Context as _, bail};
use labels::Labels;
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, ObjectName, ObjectType, Refspec};
use ostler_repo::commit::{
    CommitBuilder, CommitOutcome, Consumed, LinkedFiles, StatOverrides, TreeRules, parse_skip_list,
};
use ostler_repo::refs::{Expected, RefEdit};
use ostler_repo::sign::{Signer, add_signature};
use ostler_repo::{LockKind, Repo, RepoError, Transaction, TransactionOptions};
use serde::Serialize;
use sources::Tree;
use std::fs;
use std::path::{Path, PathBuf};

/// How often a commit is made anew because the branch moved meanwhile.
const ATTEMPTS: u32 = 100;

/// The arguments of `commit`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo commit -b os/stable -s 'Release 5' --tree=dir=build
  ostler --repo=/srv/repo commit -b os/stable --tree=ref=os/base --tree=dir=overlay --skip-if-unchanged
  ostler --repo=/srv/repo commit -b app --owner-uid=0 --owner-gid=0 --canonical-permissions build
  ostler --repo=/srv/repo commit -b os/stable --gpg-sign=7FCA23D8472CDAFA --tree=dir=build
  ostler --repo=/srv/repo commit -b os/stable --sign-from-file=/root/os.secret --tree=dir=build
  xz -dc rootfs.tar.xz | ostler --repo=/srv/repo commit -b os/stable --tree=tar=-
  ostler --repo=/srv/repo commit -b os/stable --tree=tar=packages.tar --tar-autocreate-parents \\
      --tar-pathname-filter='^etc/,usr/etc/' --bootable")]
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
    /// Write subject and description in an editor
    #[arg(short, long)]
    editor: bool,
    /// Ref to move to the commit
    #[arg(short, long)]
    branch: Option<String>,
    /// Make do without a branch; with one, follow nothing that it has
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
    /// Overlay a directory (dir=PATH), an archive (tar=FILE, or tar=- for standard input) or a commit
    /// (ref=COMMIT); the later wins
    #[arg(long, value_name = "dir=PATH|tar=FILE|ref=COMMIT")]
    tree: Vec<Tree>,
    /// Make directories that an archive lacks
    #[arg(long)]
    tar_autocreate_parents: bool,
    /// Change the paths of an archive: replace what a regular expression matches
    #[arg(long, value_name = "REGEX,REPLACEMENT")]
    tar_pathname_filter: Option<String>,
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
    /// Say in the metadata which kernel the tree has
    #[arg(long)]
    bootable: bool,
    /// Say in the metadata how large each object is, if the repository is an archive
    #[arg(long)]
    generate_sizes: bool,
    /// Owner of all files and directories
    #[arg(long, value_name = "UID", value_parser = switch::integer, allow_negative_numbers = true)]
    owner_uid: Option<i64>,
    /// Group of all files and directories
    #[arg(long, value_name = "GID", value_parser = switch::integer, allow_negative_numbers = true)]
    owner_gid: Option<i64>,
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
    /// Remove from directories what was committed, when it is
    #[arg(long)]
    consume: bool,
    /// Write nothing if the contents are those of the parent
    #[arg(long)]
    skip_if_unchanged: bool,
    /// File of permissions to change: lines '[=]MODE PATH', MODE decimal
    #[arg(long, value_name = "FILE")]
    statoverride: Option<PathBuf>,
    /// File of paths to leave out
    #[arg(long, value_name = "FILE")]
    skip_list: Option<PathBuf>,
    #[command(flatten)]
    labels: Labels,
    #[command(flatten)]
    signing: Signing,
    /// Not possible: stock tools can tell what composefs needs
    #[arg(long)]
    generate_composefs_metadata: bool,
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
            "A branch must be specified with --branch, or use --orphan",
        ));
    }
    if args.generate_composefs_metadata {
        bail!("--generate-composefs-metadata: digests of composefs images are not supported");
    }
    let signers = args.signing.signers(context, None)?;
    let durable = args.fsync.unwrap_or(true) && !args.disable_fsync;
    let repo = context.open_synced(durable)?;
    let branch = args.branch.as_deref().map(refspec).transpose()?;
    let follows = args.parent.is_none() && !args.orphan;
    let head = match &branch {
        Some(branch) if follows => repo.read_ref(branch)?,
        // Whoever follows nothing that the branch has may write over one that is damaged.
        Some(branch) => repo.read_commit_of(&branch.clone().into())?,
        None => None,
    };
    if let Some(branch) = branch
        .as_ref()
        .filter(|branch| head.is_none() && branch.name.is_all_hex())
    {
        bail!(
            "branch '{branch}' could not be told from the beginning of a checksum: choose a name with another letter than a to f in it"
        );
    }
    let parent = match args.parent.as_deref() {
        None => head.filter(|_| !args.orphan),
        Some("none") => None,
        Some(rev) => Some(repo.resolve_rev(rev)?),
    };
    labels::refuse_policy(&repo, args)?;
    let mut builder = builder(context, args, &repo, parent)?;
    let detached = metadata::detached(args)?;
    // Held until the end, so that no prune takes the tree if the commit has to be made again.
    let kept = repo.lock(LockKind::Shared)?;
    let transaction = begin(context, &repo)?;
    let (mut outcome, consumed) = build(context, args, &builder, &transaction)?;
    if outcome.is_new {
        let tip = Tip {
            branch: branch.as_ref(),
            detached: detached.as_ref(),
            signers: &signers,
            follows,
        };
        let moved = tip.move_to(&mut outcome, transaction, head, &mut builder, || {
            begin(context, &repo)
        });
        if let Err(error) = moved {
            consumed.map_or(Ok(()), Consumed::give_back)?;
            return Err(error.into());
        }
    } else {
        transaction.abort()?;
    }
    kept.release()?;
    if let Some(consumed) = consumed {
        for path in consumed.remove()? {
            let path = path.display();
            context
                .ui()
                .note(&format!("{path} changed since it was committed, and is left"));
        }
    }
    print(context, args, &outcome)
}

fn refspec(text: &str) -> anyhow::Result<Refspec> {
    text.parse()
        .with_context(|| format!("Invalid refspec {}", text.escape_debug()))
}

fn begin<'r>(context: &Context, repo: &'r Repo) -> ostler_repo::Result<Transaction<'r>> {
    repo.begin_with(TransactionOptions {
        allow_split_xattrs: context.environment().write_split_xattrs,
    })
}

/// What becomes of a commit that is written.
struct Tip<'a> {
    branch: Option<&'a Refspec>,
    detached: Option<&'a VarDict>,
    signers: &'a [Signer],
    /// Whether the commit gets another parent if somebody else moves the branch meanwhile.
    follows: bool,
}

impl Tip<'_> {
    /// Returns the detached metadata to write with the commit: what was asked for, or what is there already, and the
    /// signatures.
    fn detached_of(
        &self,
        commit: &Checksum,
        transaction: &Transaction<'_>,
    ) -> ostler_repo::Result<Option<VarDict>> {
        if self.signers.is_empty() {
            return Ok(self.detached.cloned());
        }
        let mut detached = match self.detached {
            Some(asked) => asked.clone(),
            None => transaction.repo().load_detached(commit)?.unwrap_or_default(),
        };
        let bytes = transaction.load_metadata(&ObjectName::new(*commit, ObjectType::Commit))?;
        for signer in self.signers {
            add_signature(&mut detached, signer.engine(), &signer.sign(&bytes)?)?;
        }
        Ok(Some(detached))
    }

    /// Commits the transaction and moves the branch from `head`. Where it moved meanwhile, a commit of the same tree follows
    /// what is there now, in another transaction: neither of two that commit at once is lost.
    fn move_to<'r>(
        &self,
        outcome: &mut CommitOutcome,
        mut transaction: Transaction<'r>,
        mut head: Option<Checksum>,
        builder: &mut CommitBuilder,
        begin: impl Fn() -> ostler_repo::Result<Transaction<'r>>,
    ) -> ostler_repo::Result<()> {
        for attempt in 1.. {
            if let Some(detached) = self.detached_of(&outcome.checksum, &transaction)? {
                transaction.write_detached(&outcome.checksum, &detached)?;
            }
            if let Some(branch) = self.branch {
                let expected = match head {
                    Some(head) => Expected::Is(head),
                    None if self.follows => Expected::Absent,
                    None => Expected::NoCommit,
                };
                transaction.edit_ref(RefEdit::set(branch.clone(), expected, outcome.checksum));
            }
            head = match transaction.commit() {
                Err(RepoError::Conflict { found, .. }) if self.follows && attempt < ATTEMPTS => found,
                ended => return ended.map(drop),
            };
            builder.parent = head;
            transaction = begin()?;
            match (builder.build_again(&transaction, outcome)?, head) {
                (None, Some(parent)) => {
                    outcome.is_new = false;
                    outcome.checksum = parent;
                    return transaction.abort();
                }
                (again, _) => outcome.checksum = again.unwrap_or(outcome.checksum),
            }
        }
        Ok(())
    }
}

/// Reads the sources and writes the commit, and shows on a terminal how far it is.
fn build(
    context: &Context,
    args: &Args,
    builder: &CommitBuilder,
    transaction: &Transaction<'_>,
) -> anyhow::Result<(CommitOutcome, Option<Consumed>)> {
    let shown = || {
        let stats = transaction.stats();
        let objects = stats.content_objects + stats.metadata_objects;
        let bytes = format_size(stats.content_written_bytes);
        format!("committing: {objects} objects, {bytes} new")
    };
    context.ui().while_counting(shown, || {
        if !args.consume {
            return Ok((builder.build(transaction)?, None));
        }
        let (outcome, consumed) = builder.build_to_consume(transaction)?;
        Ok((outcome, Some(consumed)))
    })
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
    builder.sources = sources::of(args, repo)?;
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
    (builder.subject, builder.body) = message::of(context, args)?;
    builder.bootable = args.bootable;
    builder.sizes = args.generate_sizes;
    builder.metadata = metadata::of_commit(repo, args, parent.as_ref())?;
    Ok(builder)
}

fn rules(args: &Args) -> anyhow::Result<TreeRules> {
    // A negative number says nothing, as in stock.
    let id = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let (owner_uid, owner_gid) = (id(args.owner_uid), id(args.owner_gid));
    let owners = [("--owner-uid", owner_uid), ("--owner-gid", owner_gid)];
    if let Some((option, _)) = owners
        .iter()
        .find(|(_, owner)| owner.is_some_and(|owner| owner != 0))
        && args.canonical_permissions
    {
        let text = format!("Cannot specify both --canonical-permissions and non-zero {option}");
        return Err(exit::usage(text));
    }
    let mut rules = TreeRules {
        owner_uid,
        owner_gid,
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
