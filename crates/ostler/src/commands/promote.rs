//! `promote`: the tree of one ref as the next commit of another.
//!
//! Order of effects: the repository's shared lock; the commit and its signatures in one transaction; the ref moves from what it was
//! read as, or not at all. No tree and no file is read or written.

use super::Signing;
use crate::context::Context;
use crate::dates;
use crate::exit;
use anyhow::{Context as _, bail};
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{Checksum, Commit, ObjectType, RefName, Refspec};
use ostler_repo::refs::{Expected, RefEdit};
use ostler_repo::sign::{Signer, add_signature};
use ostler_repo::{COLLECTION_BINDING, LockKind, REF_BINDING, Repo};
use serde::Serialize;

/// Where Flatpak writes which ref a commit is for.
const FLATPAK_REF: &str = "xa.ref";

/// The arguments of `promote`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A commit says for which refs it is made, and clients that pull another ref refuse it. So what was tested as os/testing becomes \
os/stable by a commit of its own: with the same tree, subject, description and metadata, bound to the new ref and to the \
collection of the repository, on top of what the ref had. Nothing but the commit is written. Signatures are of one commit \
and do not come along: sign the new one.

If the ref has that tree with that metadata already, nothing is done.

Examples:
  ostler --repo=/srv/build promote os/testing os/stable
  ostler --repo=/srv/build promote os/testing os/stable -s 'Release 5' --gpg-sign=7FCA23D8472CDAFA
  ostler --repo=/srv/build promote os/testing^ os/stable --dry-run")]
pub(crate) struct Args {
    /// What is promoted: a ref or a commit
    #[arg(value_name = "SRCREF")]
    source: String,
    /// The ref that gets the new commit; made if it is not there
    #[arg(value_name = "DSTREF")]
    destination: RefName,
    /// One line on what it is [default: that of the source]
    #[arg(short, long, allow_hyphen_values = true)]
    subject: Option<String>,
    /// Full description [default: that of the source]
    #[arg(short = 'm', long, allow_hyphen_values = true)]
    body: Option<String>,
    /// Change nothing, only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    signing: Signing,
    /// Time of the commit, as GNU date reads it [default: `SOURCE_DATE_EPOCH`, else now]
    #[arg(long, allow_hyphen_values = true)]
    timestamp: Option<String>,
}

/// The result as JSON.
#[derive(Serialize)]
struct Record<'a> {
    event: &'static str,
    source: String,
    r#ref: &'a str,
    old: Option<String>,
    /// Not there where nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
    changed: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let signers = args.signing.signers(context, None)?;
    let repo = context.open()?;
    if !args.dry_run {
        repo.require_writable()?;
    }
    // Held until the end, so that no prune takes the tree.
    let kept = repo.lock(LockKind::Shared)?;
    let source = repo.resolve_rev(&args.source)?;
    let from = repo.load_commit(&source)?;
    if repo.is_partial(&source)?.is_some() {
        bail!(
            "cannot promote '{}': {source} is partial",
            args.source.escape_debug()
        );
    }
    let refspec = Refspec {
        remote: None,
        name: args.destination.clone(),
    };
    let old = repo.read_ref(&refspec)?;
    if old.is_none() && args.destination.is_all_hex() {
        bail!(
            "ref '{}' could not be told from the beginning of a checksum: choose a name with another letter than a to f in it",
            args.destination
        );
    }
    let commit = commit(context, args, &repo, from, old)?;
    let new = match (&commit, args.dry_run) {
        (Some(commit), false) => Some(write(&repo, refspec, old, commit, &signers)?),
        _ => None,
    };
    kept.release()?;
    print(context, args, (&source, old, new), commit.is_some())
}

/// Returns the commit to be made; `None` if the ref has it already.
fn commit(
    context: &Context,
    args: &Args,
    repo: &Repo,
    from: Commit,
    old: Option<Checksum>,
) -> anyhow::Result<Option<Commit>> {
    let metadata = bound(repo, from.metadata, &args.destination);
    let timestamp = match &args.timestamp {
        Some(text) => dates::parse(text, context.environment().now())?,
        None => dates::of_new_commit(context.environment())?,
    };
    if let Some(checksum) = old {
        let there = repo
            .load_commit(&checksum)
            .with_context(|| format!("cannot look at what '{}' has", args.destination))?;
        let tree = |commit: &Commit| (commit.root_tree, commit.root_meta);
        if (from.root_tree, from.root_meta) == tree(&there) && metadata == there.metadata {
            return Ok(None);
        }
        if timestamp < there.timestamp {
            return Err(exit::usage(format!(
                "the commit would be {} s older than {checksum}, which '{}' has: clients refuse to go back (--timestamp)",
                there.timestamp - timestamp,
                args.destination
            )));
        }
    }
    Ok(Some(Commit {
        metadata,
        parent: old,
        related: from.related,
        subject: args.subject.clone().unwrap_or(from.subject),
        body: args.body.clone().unwrap_or(from.body),
        timestamp,
        root_tree: from.root_tree,
        root_meta: from.root_meta,
    }))
}

/// Returns metadata with the bindings for a ref of the repository, at the place of those that were there.
fn bound(repo: &Repo, mut metadata: VarDict, name: &RefName) -> VarDict {
    metadata.insert(REF_BINDING, Value::strings([name.as_str()]));
    match repo.config().collection_id() {
        Some(collection) => {
            metadata.insert(COLLECTION_BINDING, Value::Str(collection.to_string()));
        }
        None => drop(metadata.remove(COLLECTION_BINDING)),
    }
    if metadata.get(FLATPAK_REF).is_some() {
        metadata.insert(FLATPAK_REF, Value::Str(name.to_string()));
    }
    metadata
}

/// Writes the commit with its signatures, and moves the ref.
fn write(
    repo: &Repo,
    refspec: Refspec,
    old: Option<Checksum>,
    commit: &Commit,
    signers: &[Signer],
) -> anyhow::Result<Checksum> {
    let mut transaction = repo.begin()?;
    let bytes = commit.to_bytes();
    let checksum = transaction.write_metadata(ObjectType::Commit, &bytes)?;
    if !signers.is_empty() {
        // The same second, the same commit: it may be there, with signatures.
        let mut detached = repo.load_detached(&checksum)?.unwrap_or_default();
        for signer in signers {
            add_signature(&mut detached, signer.engine(), &signer.sign(&bytes)?)?;
        }
        transaction.write_detached(&checksum, &detached)?;
    }
    let expected = old.map_or(Expected::Absent, Expected::Is);
    transaction.edit_ref(RefEdit::set(refspec, expected, checksum));
    transaction.commit()?;
    Ok(checksum)
}

fn print(
    context: &Context,
    args: &Args,
    (source, old, new): (&Checksum, Option<Checksum>, Option<Checksum>),
    changes: bool,
) -> anyhow::Result<()> {
    let name = &args.destination;
    if context.ui().json() {
        return context.ui().object(&Record {
            event: if args.dry_run { "plan" } else { "done" },
            source: source.to_string(),
            r#ref: name.as_str(),
            old: old.map(|commit| commit.to_string()),
            new: new.map(|commit| commit.to_string()),
            changed: changes,
        });
    }
    let line = match (changes, old, new) {
        (false, ..) => format!("'{name}' has the content and metadata of {source} already"),
        (true, Some(old), Some(new)) => format!("'{name}' moved from {old} to {new}"),
        (true, None, Some(new)) => format!("'{name}' created at {new}"),
        (true, Some(old), None) => {
            format!("'{name}' would get a commit with the tree of {source} on top of {old}")
        }
        (true, None, None) => format!("'{name}' would be created with the tree of {source}"),
    };
    context.ui().line(line)
}
