//! The commands, a file each: its arguments, its help, and a `run` that calls the libraries and prints.

mod cat;
mod checkout;
mod checksum;
mod commit;
mod completions;
mod config;
mod counterpart;
mod create_usb;
mod demo;
mod diff;
mod diff_generations;
mod export;
mod far;
mod find_remotes;
mod fsck;
mod gpg_sign;
mod history;
mod init;
mod lock;
mod log;
mod ls;
mod man;
mod promote;
mod prune;
mod publish;
mod pull;
mod pull_local;
mod push;
mod receive;
mod receive_from;
mod receive_shell;
mod refs;
mod remote;
mod repair;
mod reset;
mod rev_parse;
mod rollback;
mod settle;
mod show;
mod sign;
mod signatures;
mod signing;
mod snapshot;
mod static_delta;
mod summary;
mod sweep;
mod target;
mod trivial_httpd;

pub(crate) use demo::Occupied;
pub(crate) use far::{Destination, Way, quoted};
pub(crate) use fsck::Damaged;
pub(crate) use lock::USAGE as LOCK_USAGE;
pub(crate) use push::while_serving;
pub(crate) use receive_shell::run_as_login_shell;
pub(crate) use settle::Settle;
pub(crate) use signing::{Signing, engine, from_file as secret_keys_of};

use crate::context::Context;
use clap::Args as _;

/// One variant a command.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create an empty repository
    Init(init::Args),
    /// Commit a new revision
    Commit(Box<commit::Args>),
    /// Check out a commit into a directory
    Checkout(Box<checkout::Args>),
    /// Compare commits and directories
    Diff(diff::Args),
    /// List the files of a commit
    Ls(ls::Args),
    /// Print the contents of files of a commit
    Cat(cat::Args),
    /// Write the tree of a commit as a tar archive
    Export(export::Args),
    /// Print the checksum that a file would have as an object
    Checksum(checksum::Args),
    /// Print an object
    Show(show::Args),
    /// Print a commit and its ancestors
    Log(log::Args),
    /// Print the checksum that a revision stands for
    RevParse(rev_parse::Args),
    /// List, create and delete refs
    Refs(refs::Args),
    /// Change and list the remotes that a repository pulls from
    Remote(remote::Args),
    /// Point a ref at another commit
    Reset(reset::Args),
    /// Make the tree of one ref the next commit of another
    Promote(Box<promote::Args>),
    /// Bring commits to where clients pull them
    Publish(Box<publish::Args>),
    /// Push commits into a repository that another ostler guards
    Push(Box<push::Args>),
    /// Take a push in: what 'push' starts at the far end
    Receive(receive::Args),
    /// Be a login shell that receives pushes and does nothing else
    ReceiveShell(receive_shell::Args),
    /// List what was published to a target, and pin generations
    History(history::Args),
    /// Show which refs differ between two generations of a target
    DiffGenerations(diff_generations::Args),
    /// Bring refs and summary of an earlier generation of a target back
    Rollback(rollback::Args),
    /// Read and change the configuration of a repository
    Config(config::Args),
    /// Run a program with the repository locked, or tell who holds the lock
    Lock(lock::Args),
    /// Check the repository for damage
    Fsck(fsck::Args),
    /// Bring back what is missing or damaged, from repositories that have it
    Repair(repair::Args),
    /// Remove what nothing needs
    Prune(prune::Args),
    /// Remove from a target what a publish left behind
    Sweep(sweep::Args),
    /// Pull commits from a remote repository
    Pull(Box<pull::Args>),
    /// Add GPG signatures to a commit, and take them away
    GpgSign(gpg_sign::Args),
    /// Sign a commit, and check its signatures
    Sign(sign::Args),
    /// Copy commits from another local repository
    PullLocal(pull_local::Args),
    /// Copy refs to a removable medium
    CreateUsb(create_usb::Args),
    /// Look for repositories that have certain refs
    FindRemotes(find_remotes::Args),
    /// Make a whole copy of refs, by links
    Snapshot(snapshot::Args),
    /// Make, show, apply and check static deltas
    StaticDelta(static_delta::Args),
    /// Update or print the summary
    Summary(summary::Args),
    /// Serve a directory over HTTP, for tests and on a trusted network
    TrivialHttpd(trivial_httpd::Args),
    /// Show a publish from end to end, and check it
    Demo(demo::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Write the manual pages of all commands
    #[command(hide = true)]
    Man(man::Args),
}

/// Defines the arguments of a command.
type Define = fn(clap::Command) -> clap::Command;

/// What is called often, by name.
const OFTEN: [(&str, Define); 22] = [
    ("init", init::Args::augment_args),
    ("commit", commit::Args::augment_args),
    ("checkout", checkout::Args::augment_args),
    ("diff", diff::Args::augment_args),
    ("ls", ls::Args::augment_args),
    ("cat", cat::Args::augment_args),
    ("checksum", checksum::Args::augment_args),
    ("show", show::Args::augment_args),
    ("log", log::Args::augment_args),
    ("rev-parse", rev_parse::Args::augment_args),
    ("refs", refs::Args::augment_args),
    ("remote", remote::Args::augment_args),
    ("reset", reset::Args::augment_args),
    ("publish", publish::Args::augment_args),
    ("push", push::Args::augment_args),
    ("receive", receive::Args::augment_args),
    ("config", config::Args::augment_args),
    ("lock", lock::Args::augment_args),
    ("prune", prune::Args::augment_args),
    ("pull", pull::Args::augment_args),
    ("pull-local", pull_local::Args::augment_args),
    ("summary", summary::Args::augment_args),
];

/// Returns the definition of one command by its name: to define all takes longer than most commands. `None` for what is not
/// called often.
pub(crate) fn define(name: &str) -> Option<clap::Command> {
    let (name, define) = OFTEN.iter().find(|(often, _)| *often == name)?;
    Some(define(clap::Command::new(*name)))
}

/// Runs `command`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Commit(args) => commit::run(context, &args),
        Command::Checkout(args) => checkout::run(context, &args),
        Command::Diff(args) => diff::run(context, &args),
        Command::Ls(args) => ls::run(context, &args),
        Command::Cat(args) => cat::run(context, &args),
        Command::Export(args) => export::run(context, &args),
        Command::Checksum(args) => checksum::run(context, &args),
        Command::Show(args) => show::run(context, &args),
        Command::Log(args) => log::run(context, &args),
        Command::RevParse(args) => rev_parse::run(context, &args),
        Command::Refs(args) => refs::run(context, &args),
        Command::Remote(args) => remote::run(context, &args),
        Command::Reset(args) => reset::run(context, &args),
        Command::Promote(args) => promote::run(context, &args),
        Command::Publish(args) => publish::run(context, &args),
        Command::Push(args) => push::run(context, &args),
        Command::Receive(args) => receive::run(context, &args),
        Command::ReceiveShell(args) => receive_shell::run(context, &args),
        Command::History(args) => history::run(context, &args),
        Command::DiffGenerations(args) => diff_generations::run(context, &args),
        Command::Rollback(args) => rollback::run(context, &args),
        Command::Config(args) => config::run(context, &args),
        Command::Lock(args) => lock::run(context, &args),
        Command::Fsck(args) => fsck::run(context, &args),
        Command::Repair(args) => repair::run(context, &args),
        Command::Prune(args) => prune::run(context, &args),
        Command::Sweep(args) => sweep::run(context, &args),
        Command::Pull(args) => pull::run(context, &args),
        Command::GpgSign(args) => gpg_sign::run(context, &args),
        Command::Sign(args) => sign::run(context, &args),
        Command::PullLocal(args) => pull_local::run(context, &args),
        Command::CreateUsb(args) => create_usb::run(context, &args),
        Command::FindRemotes(args) => find_remotes::run(context, &args),
        Command::Snapshot(args) => snapshot::run(context, &args),
        Command::StaticDelta(args) => static_delta::run(context, &args),
        Command::Summary(args) => summary::run(context, &args),
        Command::TrivialHttpd(args) => trivial_httpd::run(context, &args),
        Command::Demo(args) => demo::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
    }
}
