//! `lock`: runs any program with the lock of the repository held, and tells who holds it.
//!
//! The program takes the place of this process and inherits the open lock file, and what it starts inherits it in turn.
//! So the lock is held until the last of them has ended, however any of them ends; signals reach the program itself, and
//! its exit status is its own.

use crate::context::Context;
use crate::dates;
use crate::exit::Unstarted;
use crate::ui::{Ui, printable};
use anyhow::bail;
use ostler_repo::{Holder, LockKind, LockUser, LockUsers, Waiter};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

/// How it is called: no form takes all options.
pub(crate) const USAGE: &str =
    "ostler lock --shared|--exclusive [--timeout SECONDS] -- COMMAND…\n       ostler lock --status";

/// The arguments of `lock`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true),
    override_usage = USAGE,
    after_help = "\
COMMAND runs in place of this program, with its exit status, and the lock is held until it and all that it \
has started have ended. While the lock is shared, nothing is removed from the repository: a copy of it is \
whole if refs are copied first. While it is exclusive, nobody else works there. Commands of ostler and ostree \
that take the lock themselves would wait for ever below an exclusive one.

Exit status: that of COMMAND; 126 if it cannot be run, 127 if it is not found; else 1, if the lock is not to \
be had.

Examples:
  ostler --repo=/srv/repo lock --shared -- tar -C /srv -cf /backup/repo.tar repo
  ostler --repo=/srv/repo lock --exclusive --timeout=60 -- ./rearrange
  ostler --repo=/srv/repo lock --status"
)]
pub(crate) struct Args {
    /// Hold the lock together with others who add objects or read: nothing is removed
    #[arg(long, group = "what")]
    shared: bool,
    /// Hold the lock alone
    #[arg(long, group = "what")]
    exclusive: bool,
    /// Print who holds the lock, since when, and who waits for it
    #[arg(long, group = "what", conflicts_with_all = ["timeout", "command"])]
    status: bool,
    /// Wait so many seconds at most; -1 for ever [default: core.lock-timeout-secs]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    timeout: Option<i64>,
    /// The program and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "status"
    )]
    command: Vec<OsString>,
}

/// A user of a lock, as JSON.
#[derive(Serialize)]
struct Record<'a> {
    lock: &'static str,
    state: &'static str,
    kind: Option<&'static str>,
    pid: u32,
    command: &'a str,
    since: Option<u64>,
    started: Option<u64>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.status {
        return status(context);
    }
    let repo = context.open()?;
    let kind = if args.exclusive {
        LockKind::Exclusive
    } else {
        LockKind::Shared
    };
    let limit = match args.timeout {
        None => repo.config().lock_timeout(),
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
    };
    let guard = repo.lock_within(kind, limit)?;
    if !guard.let_inherit()? {
        repo.require_writable()?;
        bail!(
            "no lock was taken: core.locking is off in {}",
            repo.path().display()
        );
    }
    let Some((program, arguments)) = args.command.split_first() else {
        bail!("no command was given");
    };
    context.ui().flush()?;
    give_back_files(context.environment().open_files);
    let error = Command::new(program).args(arguments).exec();
    Err(Unstarted::new(program, error).into())
}

/// Sets how many files may be open to what it was when this process started: some programs mind.
fn give_back_files(before: Option<u64>) {
    let limit = Rlimit {
        current: before,
        ..getrlimit(Resource::Nofile)
    };
    // A soft limit may always be lowered.
    let _refused = setrlimit(Resource::Nofile, limit);
}

fn status(context: &Context) -> anyhow::Result<()> {
    let repo = context.open_untouched()?;
    let ui = context.ui();
    let users = repo.lock_users()?;
    let publishers = repo.flip_lock_users()?;
    if ui.json() {
        list(ui, "repository", &users)?;
        return list(ui, "publish", &publishers);
    }
    if users.holders.is_empty() {
        ui.line("nobody holds the lock")?;
    }
    let holds = |holder: &Holder, what: &str| ui.line(told(&holder.user, what, holder.since));
    for holder in &users.holders {
        holds(holder, &format!("holds the {} lock", holder.kind))?;
    }
    for waiter in &users.waiting {
        ui.line(told(&waiter.user, &wanted(waiter), waiter.since))?;
    }
    for holder in &publishers.holders {
        holds(holder, "publishes")?;
    }
    Ok(())
}

fn wanted(waiter: &Waiter) -> String {
    match waiter.kind {
        Some(kind) => format!("waits for the {kind} lock"),
        None => "has the lock file open and does not hold the lock: it may be waiting".to_owned(),
    }
}

fn told(user: &LockUser, what: &str, since: Option<u64>) -> String {
    let since = match (since, user.started) {
        (Some(since), _) => format!(" since {}", dates::commit_date(since)),
        (None, Some(started)) => format!(", running since {}", dates::commit_date(started)),
        (None, None) => String::new(),
    };
    printable(&format!("process {} ({}) {what}{since}", user.pid, user.command)).into_owned()
}

fn list(ui: &Ui, lock: &'static str, users: &LockUsers) -> anyhow::Result<()> {
    let word = |kind: LockKind| match kind {
        LockKind::Shared => "shared",
        LockKind::Exclusive => "exclusive",
    };
    let record = |user: &LockUser, state, kind: Option<LockKind>, since| {
        let LockUser {
            pid,
            command,
            started,
        } = user;
        ui.object(&Record {
            lock,
            state,
            kind: kind.map(word),
            pid: *pid,
            command,
            since,
            started: *started,
        })
    };
    for holder in &users.holders {
        record(&holder.user, "holds", Some(holder.kind), holder.since)?;
    }
    for waiter in &users.waiting {
        record(&waiter.user, "waits", waiter.kind, waiter.since)?;
    }
    Ok(())
}
