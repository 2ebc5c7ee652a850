//! `prune`: removes commits that are not to stay, and what nothing needs then.

mod report;

use super::counterpart::{self, Match};
use crate::context::Context;
use crate::dates;
use crate::exit;
use crate::spans::Span;
use crate::switch;
use anyhow::{Context as _, bail};
use ostler_format::Checksum;
use ostler_repo::prune::{
    Deletion, Depth, Grace, PruneOptions, RefRetention, Retention, is_published_to, prune,
};
use ostler_repo::refs::RefScope;
use ostler_repo::{Repo, RepoError};
use ostler_transfer::{DirStore, Retention as Policy};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

/// The arguments of `prune`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Without --refs-only, or an option that implies it, all commits stay, and only what no commit needs is removed.

With --grace, commits that are to go are noted first and go with a later prune, when they have been on the list for that \
long; clients that are in the middle of fetching one get to its end. Objects of no commit go when they have been there, \
and unchanged, for as long.

With --match, of each ref stay the commits that DEST has and those that are newer than the first of them; of a \
ref of which DEST has no commit, the whole history stays.

Commits that a list of extensions/ostler/policy.toml names (keep-listed) stay in any case.

Examples:
  ostler --repo=/srv/repo prune
  ostler --repo=/srv/repo prune --refs-only --depth=5 --dry-run
  ostler --repo=/srv/public prune --refs-only --depth=5 --grace=24h
  ostler --repo=/srv/repo prune --keep-younger-than='30 days ago' --retain-branch-depth=os/stable=-1
  ostler --repo=/srv/repo prune --delete-commit=COMMIT
  ostler --repo=/srv/build prune --match=/srv/public --no-prune")]
pub(crate) struct Args {
    /// Remove nothing, only say what would be
    #[arg(long)]
    no_prune: bool,
    /// As --no-prune, and say which refs would lose which commits, and what each would free
    #[arg(long)]
    dry_run: bool,
    /// Remove a commit only when nothing has led to it for this long, such as 24h or 7d
    #[arg(long, value_name = "TIME", conflicts_with = "delete_commit")]
    grace: Option<Span>,
    /// Keep only what refs lead to
    #[arg(long)]
    refs_only: bool,
    /// Of each ref keep the commit and so many parents; -1 for all [default: all, with --grace up to where an earlier run
    /// cut it]
    #[arg(
        long,
        value_name = "DEPTH",
        value_parser = switch::integer,
        allow_negative_numbers = true
    )]
    depth: Option<i64>,
    /// Delete this commit, to which no ref may lead
    #[arg(long, value_name = "COMMIT")]
    delete_commit: Option<String>,
    /// Of each ref keep the commit and those before it that are not older than this (implies --refs-only)
    #[arg(long, value_name = "DATE")]
    keep_younger_than: Option<String>,
    /// With --delete-commit: remove the static deltas that lead to it, and not the commit
    #[arg(long)]
    static_deltas_only: bool,
    /// Keep so many parents of this branch, 1 or more, or -1 for all, whatever else is said (may be repeated; implies
    /// --refs-only)
    #[arg(long, value_name = "BRANCH=DEPTH")]
    retain_branch_depth: Vec<String>,
    /// Keep the history of all other branches (may be repeated; implies --refs-only)
    #[arg(long, value_name = "BRANCH")]
    only_branch: Vec<String>,
    /// Keep of each ref what DEST has, to which this repository is published, and what was not published yet (implies
    /// --refs-only)
    #[arg(long = "match", value_name = "DEST", conflicts_with_all = ["depth", "delete_commit", "keep_younger_than", "retain_branch_depth", "only_branch"])]
    matching: Option<PathBuf>,
    /// With --match: delete the refs that DEST had and has no more, unless they were changed here since
    #[arg(long, requires = "matching")]
    delete_refs: bool,
    /// Remove commits alone, and look at nothing else
    #[arg(long)]
    commit_only: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.is_dry() && args.delete_commit.is_some() {
        return Err(exit::usage("Cannot specify both --delete-commit and --no-prune"));
    }
    if args.static_deltas_only && args.delete_commit.is_none() {
        return Err(exit::usage("--static-deltas-only requires --delete-commit"));
    }
    let repo = context.open()?;
    let now = context.environment().now();
    let grace = |span: Span| Grace {
        seconds: span.seconds(),
        now,
    };
    let options = PruneOptions {
        retention: retention(context, &repo, args)?,
        listed: listed(context, &repo)?,
        delete: deletion(&repo, args)?,
        commits_only: args.commit_only,
        dry_run: args.is_dry(),
        details: args.dry_run,
        grace: args.grace.map(grace),
        threads: thread::available_parallelism().map_or(1, NonZero::get),
    };
    if args.grace.is_none() && !args.is_dry() && is_published_to(&repo)? {
        context.ui().note(
            "clients may be in the middle of fetching what goes: with --grace=24h it stays for that long first",
        );
    }
    report::print(context, args, &prune(&repo, &options)?)
}

impl Args {
    /// Returns whether nothing is to be removed.
    fn is_dry(&self) -> bool {
        self.no_prune || self.dry_run
    }
}

/// Returns the commits that lists of the repository's own policy name.
fn listed(context: &Context, repo: &Repo) -> anyhow::Result<BTreeSet<Checksum>> {
    let store = DirStore::new(context.open_at(repo.path())?);
    let policy = Policy::of_target(&store).context("nobody knows which commits are to stay")?;
    Ok(policy.listed().copied().collect())
}

fn deletion(repo: &Repo, args: &Args) -> anyhow::Result<Option<Deletion>> {
    let Some(rev) = &args.delete_commit else {
        return Ok(None);
    };
    let commit = repo.resolve_rev(rev)?;
    Ok(Some(if args.static_deltas_only {
        Deletion::Deltas(commit)
    } else {
        Deletion::Commit(commit)
    }))
}

fn retention(context: &Context, repo: &Repo, args: &Args) -> anyhow::Result<Retention> {
    if let Some(target) = &args.matching {
        let by = Match {
            target,
            delete_refs: args.delete_refs,
            dry_run: args.is_dry(),
        };
        return counterpart::retention(context, repo, &by);
    }
    let limit = args.depth.map(depth).transpose()?;
    let mut branches = branches(args)?;
    let simple = branches.is_empty() && args.keep_younger_than.is_none() && args.only_branch.is_empty();
    if simple && !args.refs_only {
        return Ok(Retention::Commits {
            depth: limit.unwrap_or_default(),
        });
    }
    for branch in &args.only_branch {
        repo.resolve_rev(branch)?;
    }
    say_what_is_unknown(context, repo, &branches)?;
    let mut only: BTreeSet<String> = args.only_branch.iter().cloned().collect();
    // As in stock a depth of nothing says nothing, except that the branch is none of the others.
    branches.retain(|branch, depth| {
        let says_nothing = *depth == Depth::Parents(0);
        if says_nothing && !only.is_empty() {
            only.insert(branch.clone());
        }
        !says_nothing
    });
    let now = context.environment().now();
    let time = |text: &String| dates::parse(text, now);
    Ok(Retention::Refs(RefRetention {
        depth: limit,
        younger_than: args.keep_younger_than.as_ref().map(time).transpose()?,
        branches,
        only,
    }))
}

/// Returns a number of parents; -1 is all.
fn depth(number: i64) -> anyhow::Result<Depth> {
    match number {
        -1 => Ok(Depth::All),
        0.. => Ok(Depth::Parents(number.unsigned_abs())),
        _ => bail!("Invalid depth {number}"),
    }
}

fn branches(args: &Args) -> anyhow::Result<BTreeMap<String, Depth>> {
    let mut branches = BTreeMap::new();
    for pair in &args.retain_branch_depth {
        let Some((branch, number)) = pair.split_once('=') else {
            bail!("Invalid value {}, must specify BRANCH=DEPTH", pair.escape_debug());
        };
        let Ok(number) = number.parse() else {
            bail!("Invalid depth {}", number.escape_debug());
        };
        branches.insert(branch.to_owned(), depth(number)?);
    }
    Ok(branches)
}

/// A depth for a branch that is not there is most likely meant for another one, whose history is about to go.
fn say_what_is_unknown(
    context: &Context,
    repo: &Repo,
    branches: &BTreeMap<String, Depth>,
) -> Result<(), RepoError> {
    if branches.is_empty() {
        return Ok(());
    }
    let refs = repo.list_refs(RefScope::All)?;
    let known = |branch: &str| refs.keys().any(|refspec| refspec.to_string() == branch);
    for branch in branches.keys().filter(|branch| !known(branch)) {
        context.ui().note(&format!(
            "no ref is listed as '{branch}': its --retain-branch-depth keeps nothing"
        ));
    }
    Ok(())
}
