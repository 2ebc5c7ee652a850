//! `receive-shell`: a login shell that can receive pushes and nothing else.
//!
//! No shell sees what a client asks for: it is taken apart into words, the first must name one of the two receivers, and it is always this
//! program that runs in their place, whatever path was asked for. What a client may not say is who it is, and which rules
//! count: those options are taken from the administrator alone.

use crate::context::Context;
use crate::environment::Environment;
use crate::exit::{self, Unstarted};
use crate::shell_words;
use crate::stock_push::Role;
use anyhow::bail;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The arguments of `receive-shell`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
sshd runs a login shell with -c and what the client asks for; an interactive login is refused. A link named 'ostree-receive-shell' to \
this program is a login shell as it is:
  ln -s /usr/local/bin/ostler /usr/local/bin/ostree-receive-shell
  chsh -s /usr/local/bin/ostree-receive-shell repo-owner
Under that name 'ostree-receive' may run as well, as with the command of that name from ostree-push: it obeys ostree-receive.conf, not \
receive.toml, and has no rules about refs.

For a key alone, ~/.ssh/authorized_keys says:
  restrict,command=\"ostler receive-shell --as=ci-x86\" ssh-ed25519 AAAA...

Clients may ask for 'ostler receive' without any argument; who they are and which rules count, they may not say.

Examples:
  ostler receive-shell -c 'ostler receive'
  ostler receive-shell --as=ci-x86 --ostree-receive -c 'ostree-receive repo http://127.0.0.1:4711 os/stable'")]
pub(crate) struct Args {
    /// What the client asks for [default: what `SSH_ORIGINAL_COMMAND` says, as for a forced command]
    #[arg(short, value_name = "COMMAND", allow_hyphen_values = true)]
    command: Option<OsString>,
    /// Who pushes, by a name that the rules know
    #[arg(long = "as", value_name = "NAME")]
    pusher: Option<OsString>,
    /// The file that says what may be done
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Let 'ostree-receive' run as well, which has no rules about refs
    #[arg(long)]
    ostree_receive: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let environment = context.environment();
    let command = args
        .command
        .as_ref()
        .or(environment.ssh_original_command.as_ref());
    let Some(command) = command else {
        bail!("there is no interactive login here: the key is for pushes only");
    };
    let mut given = Vec::new();
    if let Some(pusher) = &args.pusher {
        given.push(option("--as=", pusher));
    }
    if let Some(config) = &args.config {
        given.push(option("--config=", config.as_os_str()));
    }
    let asked = Asked::read(command, false)?;
    if matches!(asked, Asked::OstreeReceive(_)) && !args.ostree_receive {
        bail!("running ostree-receive is not allowed");
    }
    asked.run(environment, given)
}

/// Runs it as the login shell of a user, with all arguments of the process.
pub(crate) fn run_as_login_shell(environment: &Environment, arguments: &[OsString]) -> anyhow::Result<()> {
    let command = match arguments.get(1..).unwrap_or_default() {
        [] => bail!("Cannot run interactively"),
        [flag, command] if flag == "-c" => command,
        _ => bail!("Must be run with no arguments or with -c cmd"),
    };
    // Then sshd runs what authorized_keys says, and not what the client asked for.
    let is_forced = environment.ssh_original_command.is_some();
    Asked::read(command, is_forced)?.run(environment, Vec::new())
}

fn option(name: &str, value: &OsStr) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}

/// What a client asks for, of what there is.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// `ostler receive`, with these arguments.
    Receive(Vec<String>),
    /// `ostler receive-shell`, which somebody forces upon a key.
    Shell(Vec<String>),
    /// `ostree-receive`, likewise.
    OstreeReceive(Vec<String>),
}

impl Asked {
    /// Reads a command line; one that is `trusted` is the administrator's.
    fn read(command: &OsStr, trusted: bool) -> anyhow::Result<Self> {
        let words = command.to_str().and_then(shell_words::split);
        let Some(words) = words else {
            bail!("cannot make out the command {}", command.display());
        };
        let mut words = words.into_iter();
        let first = words.next().unwrap_or_default();
        let name = Path::new(&first).file_name().and_then(OsStr::to_str);
        match name {
            Some("ostree-receive") => return Ok(Self::OstreeReceive(words.collect())),
            Some("ostler") => {}
            _ => bail!("Executing {} not allowed", first.escape_debug()),
        }
        match words.next().as_deref() {
            Some("receive") => {
                let arguments: Vec<_> = words.collect();
                if !trusted {
                    check(&arguments)?;
                }
                Ok(Self::Receive(arguments))
            }
            Some("receive-shell") if trusted => Ok(Self::Shell(words.collect())),
            other => bail!(
                "Executing ostler {} not allowed",
                other.unwrap_or_default().escape_debug()
            ),
        }
    }

    /// Takes the place of this process. Returns only what went wrong.
    fn run(self, environment: &Environment, given: Vec<OsString>) -> anyhow::Result<()> {
        let (name, command, arguments) = match self {
            Self::Receive(arguments) => ("ostler", Some("receive"), arguments),
            Self::Shell(arguments) => ("ostler", Some("receive-shell"), arguments),
            Self::OstreeReceive(arguments) => (Role::Receive.name(), None, arguments),
        };
        let own = if command.is_some() { given } else { Vec::new() };
        let program = environment.executable()?;
        let error = Command::new(&program)
            .arg0(name)
            .args(command)
            .args(own)
            .args(arguments)
            .exec();
        Err(Unstarted::new(program.as_os_str(), error).into())
    }
}

/// Refuses arguments of `receive`: what a push is about travels in its greeting, and the rest is not the client's to say.
fn check(arguments: &[String]) -> anyhow::Result<()> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(exit::usage(format!(
            "{} is not for whoever pushes to say",
            argument.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: &str, trusted: bool) -> Option<Asked> {
        Asked::read(OsStr::new(command), trusted).ok()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn receivers_may_run_and_nothing_else() {
        for (command, asked) in [
            ("ostler receive", Asked::Receive(Vec::new())),
            ("'/opt/ostler/bin/ostler' receive", Asked::Receive(Vec::new())),
            (
                "ostree-receive -n repo 'http://127.0.0.1:1' os/a;id",
                Asked::OstreeReceive(words("-n repo http://127.0.0.1:1 os/a;id")),
            ),
        ] {
            assert_eq!(read(command, false), Some(asked), "{command}");
        }
        for command in [
            "",
            "sh",
            "/bin/sh -c 'ostler receive'",
            "ostler",
            "ostler push x",
            "ostler --repo=/r receive",
            "ostler receive-shell --as=root",
            "ostler-receive x",
            "ostree-push x",
            "ostree --repo=r refs",
            "ostler receive --as=admin",
            "ostler receive --as admin",
            "ostler receive --config=mine",
            "ostler receive --allow=force --repo=/srv/repo",
            "ostler receive -- --as",
            "ostler receive --check-config os/a",
            "ostler receive --sweep=/srv/repo",
            "ostler receive os/a",
            "ostler receive --from=http://10.0.0.1/repo --path=os",
            "ostler 'receive",
        ] {
            assert_eq!(read(command, false), None, "{command}");
        }
    }

    #[test]
    fn who_forces_a_command_upon_a_key_may_give_all_options() {
        let asked = read("ostler receive --as=ci --config=/etc/x.toml", true);
        assert_eq!(asked, Some(Asked::Receive(words("--as=ci --config=/etc/x.toml"))));
        let asked = read("ostler receive-shell --as=ci", true);
        assert_eq!(asked, Some(Asked::Shell(words("--as=ci"))));
        assert_eq!(read("sh -c id", true), None);
    }
}
