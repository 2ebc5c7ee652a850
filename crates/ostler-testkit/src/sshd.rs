//! An ssh server of our own on a free port of the loopback interface, with keys of its own; each key may run one command.

use crate::command::{command, run};
use crate::disk::is_root;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where sshd wants a directory of root's, which the system makes when it starts.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// A running sshd, ended when this is dropped.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Sshd {
    /// Starts a server at which the key of each name may run its command, and nothing else; one without a command may do all.
    #[track_caller]
    pub fn start(keys: &[(&str, &str)]) -> Self {
        let restricted = |allowed: &str| match allowed {
            "" => String::new(),
            allowed => format!("restrict,command=\"{allowed}\""),
        };
        let options: Vec<_> = keys
            .iter()
            .map(|(name, allowed)| (*name, restricted(allowed)))
            .collect();
        let options: Vec<_> = options
            .iter()
            .map(|(name, options)| (*name, options.as_str()))
            .collect();
        Self::start_with(&options)
    }

    /// Starts a server with these options before the key of each name, as `authorized_keys` has them; none lets it do all.
    #[track_caller]
    pub fn start_with(keys: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a directory for temporary files");
        let own = directory.path();
        make_key(&own.join("host"));
        let mut authorized = String::new();
        for (name, options) in keys {
            make_key(&own.join(name));
            let public = std::fs::read_to_string(own.join(format!("{name}.pub"))).expect("a new key");
            authorized += options;
            authorized += " ";
            authorized += &public;
        }
        std::fs::write(own.join("authorized_keys"), authorized).expect("our own file");
        if is_root() {
            std::fs::create_dir_all(PRIVILEGE_SEPARATION).expect("root may make it");
        }
        // Between our look for a free port and sshd taking it somebody else may.
        for _ in 0..10 {
            if let Some((child, port)) = listening(own) {
                return Self {
                    child,
                    port,
                    directory,
                };
            }
        }
        let log = std::fs::read_to_string(own.join("log")).unwrap_or_default();
        panic!("sshd does not start: {log}");
    }

    /// Returns the port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the file with the key of a name.
    pub fn key(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the options with which ssh speaks to this server and looks at nothing of the user's.
    pub fn options(&self) -> Vec<String> {
        let known = self.directory.path().join("known_hosts");
        vec![
            format!("UserKnownHostsFile={}", known.display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "StrictHostKeyChecking=no".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "BatchMode=yes".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ]
    }

    /// Lets a command of ours that takes `--port`, `--identity` and `-o` speak to this server by the key of a name.
    pub fn reach(&self, command: &mut Command, key: &str) {
        command.arg(format!("--port={}", self.port));
        command.arg("--identity").arg(self.key(key));
        for option in self.options() {
            command.arg("-o").arg(option);
        }
    }

    /// Returns what the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn make_key(path: &Path) {
    let mut keygen = command("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]);
    let _printed = run(keygen.arg(path));
}

/// Starts sshd, and waits until it listens or has ended.
fn listening(own: &Path) -> Option<(Child, u16)> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on the loopback interface")
        .port();
    std::fs::write(own.join("sshd_config"), configuration(own, port)).expect("our own file");
    // sshd wants to be called by its whole path.
    let program = ["/usr/sbin/sshd", "/usr/bin/sshd"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(program) = program else {
        panic!("there is no sshd; `cargo xtask test --only-install` installs what the tests need");
    };
    let mut sshd = command(program);
    sshd.args(["-D", "-f"]).arg(own.join("sshd_config"));
    sshd.arg("-E").arg(own.join("log"));
    let child = sshd.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("sshd is there, and can be run");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if !matches!(child.try_wait(), Ok(None)) {
            return None;
        }
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some((child, port));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(child.kill());
    drop(child.wait());
    None
}

fn configuration(own: &Path, port: u16) -> String {
    let own = |name: &str| own.join(name).display().to_string();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile {}\nAuthorizedKeysFile {}\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nMaxStartups 100\nUseDNS no\nSubsystem sftp internal-sftp\n",
        own("host"),
        own("pid"),
        own("authorized_keys")
    )
}
