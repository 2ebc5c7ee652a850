//! Security labels of files. They are not computed here: where there is a policy that would give files labels, the commit
//! is refused; where there is none, there is nothing to do, as in stock.

use super::Args;
use super::sources::{self, Tree};
use crate::exit;
use anyhow::{Context as _, bail};
use ostler_repo::{PathEntry, Repo};
use std::path::{Path, PathBuf};

/// Where the configuration of a policy lies in a root file system.
const POLICIES: [&str; 2] = ["usr/etc/selinux/config", "etc/selinux/config"];

/// The options about labels.
#[derive(Debug, clap::Args)]
pub(super) struct Labels {
    /// Label files by the policy of a root file system; refused if it has one
    #[arg(long = "selinux-policy", value_name = "PATH")]
    policy: Option<PathBuf>,
    /// Label files by the policy of the first tree; refused if it has one
    #[arg(short = 'P', long = "selinux-policy-from-base")]
    from_base: bool,
    /// The version of the rules by which files in /usr/etc get labels
    #[arg(long = "selinux-labeling-epoch", value_name = "EPOCH", value_parser = clap::value_parser!(u8).range(0..=1))]
    epoch: Option<u8>,
}

/// Refuses a commit that would lack the labels that were asked for.
pub(super) fn refuse_policy(repo: &Repo, args: &Args) -> anyhow::Result<()> {
    let labels = &args.labels;
    match &labels.policy {
        Some(_) if labels.from_base => Err(exit::usage(
            "Cannot specify both --selinux-policy and --selinux-policy-from-base",
        )),
        Some(root) => of_directory(root),
        None if labels.from_base => match args.tree.first() {
            None => of_directory(&sources::default_directory(args)),
            Some(Tree::Directory(root)) => of_directory(root),
            Some(Tree::Revision(rev)) => of_commit(repo, rev),
            Some(Tree::Archive(_)) => Err(exit::usage("Cannot use --selinux-policy-from-base with tar")),
        },
        None => Ok(()),
    }
}

fn of_directory(root: &Path) -> anyhow::Result<()> {
    std::fs::read_dir(root).with_context(|| format!("opendir({})", root.display()))?;
    match POLICIES
        .iter()
        .map(|policy| root.join(policy))
        .find(|path| path.is_file())
    {
        Some(path) => refuse(&path.display().to_string()),
        None => Ok(()),
    }
}

fn of_commit(repo: &Repo, rev: &str) -> anyhow::Result<()> {
    let commit = repo.resolve_rev(rev)?;
    for policy in POLICIES {
        match repo.lookup_path(&commit, policy) {
            Ok(PathEntry::File(_)) => return refuse(&format!("/{policy} of {rev}")),
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn refuse(policy: &str) -> anyhow::Result<()> {
    bail!(
        "labels of SELinux are not supported, and {policy} says that there is a policy: commit with stock ostree"
    )
}
