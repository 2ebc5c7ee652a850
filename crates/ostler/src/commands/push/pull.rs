//! A push of what is on HTTP already: the far end is asked to pull it, and tells itself what became of the refs. Nothing goes
//! from here, so no repository is needed here, unless to find a remote by its name.

use super::Args;
use crate::commands::far::{ALL, Destination, quoted};
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::running::Running;
use anyhow::{Context as _, bail};
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Runs it.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let destination = if Destination::may_be_remote(&args.destination) {
        Destination::parse(&args.destination, &context.open()?)?
    } else {
        Destination::read(&args.destination)?
    };
    let interrupt = Interrupt::watch()?;
    let mut command = call(context, args, &destination)?;
    let program = command.get_program().display().to_string();
    let child = command.stdin(Stdio::null()).spawn();
    let mut child = Running(child.with_context(|| format!("cannot start {program}"))?);
    let status = child.wait(&interrupt);
    let status = status.with_context(|| format!("cannot wait for {program}"))?;
    interrupt.check()?;
    if !status.success() {
        // Why is said by the far end, or by ssh.
        bail!("{} did not pull: {program} ended with {status}", args.destination);
    }
    Ok(())
}

/// Returns the call that lets the far end pull.
fn call(context: &Context, args: &Args, destination: &Destination) -> anyhow::Result<Command> {
    let mut words: Vec<OsString> = vec!["receive".into()];
    let url = args.source_url.as_deref().unwrap_or_default();
    words.push(format!("--from={url}").into());
    if context.ui().json() {
        words.push("--json".into());
    }
    if args.force {
        words.push("--force".into());
    }
    if args.dry_run {
        words.push("--dry-run".into());
    }
    words.push(format!("--idle-timeout={}", args.way.idle_timeout).into());
    let given = args.way.command.clone();
    let mut command = match destination {
        Destination::Directory(path) => {
            words.extend([ALL.into(), "--repo".into(), path.into()]);
            Command::new(match given {
                Some(program) => program,
                None => context.environment().executable()?.into_os_string(),
            })
        }
        Destination::Ssh { path, .. } => {
            words.push(format!("--path={path}").into());
            words.insert(0, given.unwrap_or_else(|| "ostler".into()));
            Command::new("ssh")
        }
    };
    words.push("--".into());
    words.extend(args.refs.iter().map(OsString::from));
    if let Destination::Ssh { host, port, .. } = destination {
        command = args.way.ssh(*port);
        let far: Vec<OsString> = words.iter().map(quoted).collect();
        command.arg("--").arg(host).arg(far.join(" ".as_ref()));
    } else {
        command.args(words);
    }
    Ok(command)
}
