//! A connection by ssh through which the far end reaches a server of ours, and over which commands run there.
//!
//! ```text
//! TMPDIR/ostler-tunnel-<random>/       for its owner only
//!   line                               the socket by which further sessions use the connection
//! ```
//! The far end's ssh server takes a free port of its loopback interface, and says which. One `ssh` holds the connection; it ends with us,
//! also when we are killed: a shell waits for the end of a pipe that only we hold, and ends it then.

use crate::commands::far::Way;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::running::Running;
use crate::ui::Ui;
use anyhow::{Context as _, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use ostler_repo::fs::Dir;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often we look whether somebody wants us to stop.
const LOOK: Duration = Duration::from_millis(100);

/// How long ssh gets to end by itself.
const FAREWELL: Duration = Duration::from_secs(3);

/// What waits for our end: it reads what never comes, then ends the process `$1` and removes the directory `$2`.
const WATCH: &str = "read -r nothing; kill \"$1\" 2>/dev/null; rm -rf \"$2\"";

/// What ssh says before the number of the port.
const ALLOCATED: &str = "Allocated port ";

/// The longest path below which a socket has room.
const MAX_TEMPORARY: usize = 60;

/// The connection.
#[derive(Debug)]
pub(super) struct Forward {
    watch: Running,
    master: Running,
    directory: PathBuf,
    port: u16,
    host: String,
    far_port: u16,
    way: Way,
}

impl Forward {
    /// Connects to `host`, and lets its loopback interface lead to `local`.
    pub(super) fn open(
        way: &Way,
        (host, port): (&str, Option<u16>),
        local: SocketAddr,
        context: &Context,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let directory = private_directory(&context.environment().temporary_directory())?;
        let mut ssh = Command::new("ssh");
        // What stands first holds: whatever a configuration says, the port has to be told, and nobody else uses this connection.
        ssh.args(["-N", "-T", "-M", "-S"]).arg(directory.join("line"));
        for option in [
            "LogLevel=INFO",
            "ControlPersist=no",
            "ClearAllForwardings=no",
            "ExitOnForwardFailure=yes",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(["-R", &format!("127.0.0.1:0:{local}")]);
        way.add_options(&mut ssh, port);
        ssh.arg("--").arg(host);
        let started = ssh
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut master = Running(started.context("cannot start ssh")?);
        let watch = match watch(&master.0, &directory) {
            Ok(watch) => watch,
            Err(fault) => {
                end(&mut master);
                return Err(fault).context("cannot start a shell");
            }
        };
        let told = master.0.stderr.take();
        let mut forward = Self {
            watch,
            master,
            directory,
            port: port.unwrap_or_default(),
            host: host.to_owned(),
            far_port: 0,
            way: way.clone(),
        };
        let (sender, ports) = unbounded();
        let ui = context.shared_ui();
        if let Some(told) = told {
            thread::spawn(move || relay(BufReader::new(told), &sender, &ui));
        }
        forward.far_port = forward.wait(&ports, interrupt)?;
        Ok(forward)
    }

    /// Returns the port of the far end's loopback interface that leads to us.
    pub(super) const fn far_port(&self) -> u16 {
        self.far_port
    }

    /// Returns a call that runs a command at the far end.
    pub(super) fn session(&self, far: &OsStr) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-T", "-o", "ControlMaster=no", "-S"])
            .arg(self.directory.join("line"));
        self.way
            .add_options(&mut ssh, Some(self.port).filter(|port| *port != 0));
        ssh.arg("--").arg(&self.host).arg(far);
        ssh
    }

    /// Returns the directory for what nobody else shall see.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn wait(&mut self, ports: &Receiver<u16>, interrupt: &Interrupt) -> anyhow::Result<u16> {
        loop {
            interrupt.check()?;
            match ports.recv_timeout(LOOK) {
                Ok(port) => return Ok(port),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.master.wait(interrupt).context("cannot wait for ssh")?;
                    interrupt.check()?;
                    bail!("ssh ended with {status}");
                }
            }
        }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // First who would end a process of that number, then the process.
        drop(self.watch.0.kill());
        drop(self.watch.0.wait());
        end(&mut self.master);
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// Lets ssh end, with what it has started itself.
fn end(ssh: &mut Running) {
    // One that is gone need not be ended.
    let _gone = kill_process(Pid::from_child(&ssh.0), Signal::TERM);
    ssh.give(FAREWELL, || false);
}

/// Starts what ends `ssh` when we are gone.
fn watch(ssh: &Child, directory: &Path) -> io::Result<Running> {
    let shell = Command::new("/bin/sh")
        .args(["-c", WATCH, "sh", &ssh.id().to_string()])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A signal from the terminal is for the others.
        .process_group(0)
        .spawn();
    shell.map(Running)
}

/// Passes on what ssh says, but for the port.
fn relay(said: impl io::BufRead, ports: &Sender<u16>, ui: &Ui) {
    for line in said.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        match allocated(&line) {
            Some(port) => drop(ports.send(port)),
            None => ui.note(&format!("ssh: {}", line.trim_end())),
        }
    }
}

/// Returns the port that a line of ssh tells.
fn allocated(line: &str) -> Option<u16> {
    let (number, _) = line.strip_prefix(ALLOCATED)?.split_once(' ')?;
    number.parse().ok().filter(|port| *port != 0)
}

/// Makes a directory for ourselves alone, where a socket has room and ssh takes its path as it is.
fn private_directory(temporary: &Path) -> anyhow::Result<PathBuf> {
    let is_plain = |path: &Path| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        let bytes = path.as_os_str().as_encoded_bytes();
        path.is_absolute() && bytes.len() <= MAX_TEMPORARY && bytes.iter().copied().all(plain)
    };
    let place = if is_plain(temporary) {
        temporary
    } else {
        Path::new("/tmp")
    };
    let failed = || format!("cannot make a directory in {}", place.display());
    let holder = Dir::open(place).with_context(failed)?;
    let name = holder
        .make_random_dir("ostler-tunnel-", 0o700)
        .with_context(failed)?;
    Ok(place.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_ssh_tells_them() {
        for (line, port) in [
            (
                "Allocated port 41563 for remote forward to 127.0.0.1:8080\r",
                Some(41563),
            ),
            ("Allocated port 0 for remote forward to 127.0.0.1:8080", None),
            ("Allocated port 70000 for remote forward to 127.0.0.1:8080", None),
            ("Warning: Permanently added 'x' to the list of known hosts.", None),
        ] {
            assert_eq!(allocated(line), port, "{line}");
        }
    }
}
