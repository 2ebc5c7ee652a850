//! Repositories behind ssh, or behind a process of their own: what people write for them, and the program that leads there.

mod destination;
mod line;

pub(crate) use destination::Destination;
pub(crate) use line::{ALL, Line, quoted};

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How the far end is reached.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The way to the far end")]
pub(crate) struct Way {
    /// An option for ssh, as in its configuration
    #[arg(short = 'o', long, value_name = "OPTION")]
    pub(crate) ssh_option: Vec<OsString>,
    /// The port of the ssh server
    #[arg(short, long)]
    pub(crate) port: Option<u16>,
    /// The file with the key that ssh uses
    #[arg(short, long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// The program of the far end [default: the ostler that is found there; of a directory, this one]
    #[arg(long, value_name = "PATH")]
    pub(crate) command: Option<OsString>,
    /// Give up when nothing has moved for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub(crate) idle_timeout: NonZero<u64>,
}

impl Way {
    /// Returns the way to a process on this machine.
    pub(crate) const fn here(idle_timeout: NonZero<u64>) -> Self {
        Self {
            ssh_option: Vec::new(),
            port: None,
            identity: None,
            command: None,
            idle_timeout,
        }
    }

    /// Returns a call of ssh with the options that were asked for; `port` is that of the destination. The host is still to come.
    pub(crate) fn ssh(&self, port: Option<u16>) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-T");
        self.add_options(&mut command, port);
        command
    }

    /// Adds what was asked for to a call of ssh. Of an option that is there twice ssh takes the first.
    pub(crate) fn add_options(&self, command: &mut Command, port: Option<u16>) {
        for option in &self.ssh_option {
            command.arg("-o").arg(option);
        }
        if let Some(port) = self.port.or(port) {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(identity) = &self.identity {
            command.arg("-i").arg(identity);
        }
    }

    /// Returns how long the far end may be silent.
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.idle_timeout.get())
    }
}
