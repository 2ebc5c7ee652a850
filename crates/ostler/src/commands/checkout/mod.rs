//! `checkout`: the files of a commit, or a part of it, in a directory; or those of many commits, one over the other.

mod many;

use crate::context::Context;
use crate::exit;
use crate::switch;
use crate::tree_path::{self, TreePath};
use crate::ui::Progress;
use anyhow::{Context as _, bail};
use ostler_format::Checksum;
use ostler_repo::Repo;
use ostler_repo::checkout::{CheckoutOptions, CheckoutReporter, HardLinks, Overwrite};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The arguments of `checkout`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo checkout os/stable /tmp/os
  ostler --repo=/srv/repo checkout -U -H os/stable tree
  ostler --repo=/srv/repo checkout -U --subpath=/usr/share/doc os/stable doc
  printf 'os/base\\0/\\0os/extra\\0/opt\\0' | ostler --repo=/srv/repo checkout -U --union --from-stdin tree")]
pub(crate) struct Args {
    /// Leave owners and extended attributes alone
    #[arg(short = 'U', long)]
    user_mode: bool,
    /// From an archive repository with -U: neither use nor fill its cache of uncompressed files
    #[arg(long)]
    disable_cache: bool,
    /// Check out only what is below PATH
    #[arg(long, value_name = "PATH")]
    subpath: Option<String>,
    /// Keep existing directories, replace existing files
    #[arg(long)]
    union: bool,
    /// Keep everything that exists
    #[arg(long)]
    union_add: bool,
    /// Keep existing files if they are the same, else fail
    #[arg(long)]
    union_identical: bool,
    /// Obey files '.wh.NAME' as container images have them: remove NAME
    #[arg(long)]
    whiteouts: bool,
    /// Make whiteout devices of overlayfs of files '.ostree-wh.NAME'
    #[arg(long)]
    process_passthrough_whiteouts: bool,
    /// Do nothing if --subpath is not in the commit
    #[arg(long)]
    allow_noent: bool,
    /// Check out many: read COMMIT and PATH from standard input, each ended by a NUL, one pair after the other
    #[arg(long)]
    from_stdin: bool,
    /// As --from-stdin, from FILE
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Whether the files survive a power cut once we are done
    #[arg(long, value_name = "BOOL", value_parser = switch::boolean)]
    fsync: Option<bool>,
    /// Fail where a file cannot be a hard link into the repository
    #[arg(short = 'H', long)]
    require_hardlinks: bool,
    /// Never make hard links; the file system may still share blocks
    #[arg(short = 'C', long)]
    force_copy: bool,
    // Empty files are never hard links.
    #[arg(short = 'z', long, hide = true)]
    force_copy_zerosized: bool,
    /// Make directories that only their owner and group can write to
    #[arg(short = 'M', long)]
    bareuseronly_dirs: bool,
    /// Leave out the paths that FILE lists, a line each; those of directories end in '/'
    #[arg(long, value_name = "FILE")]
    skip_list: Option<PathBuf>,
    /// Not supported: label files by the `SELinux` policy in PATH
    #[arg(long, value_name = "PATH")]
    selinux_policy: Option<PathBuf>,
    /// Not supported: what the policy is asked about begins with PREFIX
    #[arg(long, value_name = "PREFIX")]
    selinux_prefix: Option<PathBuf>,
    /// Not supported: make a composefs image
    #[arg(long)]
    composefs: bool,
    #[arg(long, hide = true)]
    composefs_noverity: bool,
    /// The commit; with --from-stdin or --from-file the destination
    #[arg(value_name = "COMMIT")]
    rev: OsString,
    /// Where to; made by us, unless a --union option allows it to exist [default: the name of COMMIT]
    destination: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let mut options = options(args)?;
    let repo = context.open()?;
    let reporter = Arc::new(Reporter(context.ui().progress("checking out")));
    options.reporter = Some(reporter);
    let job = Job {
        repo: &repo,
        args,
        options: &options,
    };
    if args.from_stdin || args.from_file.is_some() {
        return many::run(&job);
    }
    let rev = args.rev.to_str().context("COMMIT is not UTF-8")?;
    let destination = args.destination.as_deref().unwrap_or(Path::new(rev));
    job.check_out(&repo.resolve_rev(rev)?, args.subpath.as_deref(), destination)
}

/// What all the commits to check out have in common.
struct Job<'a> {
    repo: &'a Repo,
    args: &'a Args,
    options: &'a CheckoutOptions,
}

impl Job<'_> {
    fn check_out(&self, commit: &Checksum, subpath: Option<&str>, destination: &Path) -> anyhow::Result<()> {
        let subpath = subpath.map(TreePath::new);
        if let Some(subpath) = subpath.as_ref().filter(|_| self.args.allow_noent) {
            match tree_path::find(self.repo, commit, subpath) {
                Err(error) if error.is_not_found() => return Ok(()),
                found => drop(found?),
            }
        }
        let options = CheckoutOptions {
            subpath: subpath.map(|path| path.as_str().to_owned()),
            ..self.options.clone()
        };
        let _stats = self.repo.checkout(commit, destination, &options)?;
        Ok(())
    }
}

/// Shows on a terminal how far a checkout is.
#[derive(Debug)]
struct Reporter(Progress);

impl CheckoutReporter for Reporter {
    fn progress(&self, done: u64, found: u64) {
        self.0.update(done, found);
    }
}

fn options(args: &Args) -> anyhow::Result<CheckoutOptions> {
    refuse(args)?;
    let overwrite = match (args.union, args.union_add, args.union_identical) {
        (false, false, false) => Overwrite::Never,
        (true, false, false) => Overwrite::Files,
        (false, true, false) => Overwrite::Add,
        (false, false, true) => Overwrite::Identical,
        (true, true, _) => return Err(both("--union", "--union-add")),
        (true, false, true) => return Err(both("--union", "--union-identical")),
        (false, true, true) => return Err(both("--union-add", "--union-identical")),
    };
    let hard_links = match (args.require_hardlinks, args.force_copy) {
        (false, false) => HardLinks::WherePossible,
        (true, false) => HardLinks::Require,
        (false, true) => HardLinks::Never,
        (true, true) => return Err(both("--require-hardlinks", "--force-copy")),
    };
    // Stock has the cache only where nothing is asked for that came after it.
    let without_cache = args.disable_cache
        || args.whiteouts
        || args.process_passthrough_whiteouts
        || args.union_add
        || args.union_identical
        || args.require_hardlinks
        || args.force_copy
        || args.force_copy_zerosized
        || args.bareuseronly_dirs
        || args.skip_list.is_some();
    Ok(CheckoutOptions {
        user_mode: args.user_mode,
        overwrite,
        hard_links,
        bareuseronly_dirs: args.bareuseronly_dirs,
        subpath: None,
        skip: args.skip_list.as_deref().map_or(Ok(BTreeSet::new()), skip_list)?,
        whiteouts: args.whiteouts,
        passthrough_whiteouts: args.process_passthrough_whiteouts,
        uncompressed_cache: !without_cache,
        fsync: args.fsync.unwrap_or(false),
        threads: None,
        reporter: None,
    })
}

/// Refuses what we do not do, and what makes no sense.
fn refuse(args: &Args) -> anyhow::Result<()> {
    if args.selinux_policy.is_some() {
        bail!(
            "--selinux-policy is not supported: files are not labelled by a policy, only as they were committed"
        );
    }
    if args.selinux_prefix.is_some() {
        return Err(exit::usage(
            "Cannot specify --selinux-prefix without --selinux-policy",
        ));
    }
    if args.composefs || args.composefs_noverity {
        bail!("--composefs is not supported: no images are made");
    }
    Ok(())
}

fn both(one: &str, other: &str) -> anyhow::Error {
    exit::usage(format!("Cannot specify both {one} and {other}"))
}

/// Reads the paths to leave out.
fn skip_list(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.split('\n').filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}
