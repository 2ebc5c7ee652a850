//! The one place that reads the environment and the clock.

use anyhow::Context as _;
use ostler_transfer::http::Proxies;
use rustix::process::{Resource, getrlimit};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The variables that mean something to us, as they were when the process started.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a variable of its own")]
pub(crate) struct Environment {
    /// `OSTREE_REPO`: the repository where no `--repo` is given.
    pub(crate) repo: Option<PathBuf>,
    /// `OSTREE_SYSROOT`: its `ostree/repo` is the last default.
    pub(crate) sysroot: Option<PathBuf>,
    /// `OSTREE_BOOTID`: names staging directories in place of the kernel's boot id.
    pub(crate) boot_id: Option<String>,
    /// `SOURCE_DATE_EPOCH`: the time of commits that are given none.
    pub(crate) source_date_epoch: Option<OsString>,
    /// `OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS`: allows commits and pulls to repositories of that mode, an experiment of libostree's.
    pub(crate) write_split_xattrs: bool,
    /// `OSTREE_REPO_TEST_ERROR=pre-commit`: lets transactions fail, for tests of what they leave.
    pub(crate) fails_before_commit: bool,
    /// `OSTREE_REPO_TEST_ERROR=invalid-cache`: lets a pull fail at a kept summary that does not fit its signatures.
    pub(crate) fails_at_bad_cache: bool,
    /// `NO_COLOR`, set and not empty.
    pub(crate) no_color: bool,
    /// `USER`, else `LOGNAME`.
    pub(crate) user: Option<String>,
    /// `XDG_CONFIG_HOME`, else `.config` in `HOME`: where a user's settings lie.
    configurations: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `OSTREE_RECEIVE_CONF`: the file that configures `ostree-receive`.
    pub(crate) receive_configuration: Option<PathBuf>,
    /// `SSH_ORIGINAL_COMMAND`: what a client asked for, where sshd runs something else.
    pub(crate) ssh_original_command: Option<OsString>,
    /// `SSH_CONNECTION`: addresses and ports of the client and the server.
    ssh_connection: Option<String>,
    /// `OSTREE_EDITOR`, `VISUAL` and `EDITOR`: what edits messages.
    editors: [Option<String>; 3],
    /// `TERM`, unless it is `dumb`.
    terminal: Option<OsString>,
    /// `TMPDIR`.
    temporary: Option<PathBuf>,
    /// How many files a process may have open.
    pub(crate) open_files: Option<u64>,
    /// `OSTREE_GPG_HOME`, else where systems have it: a directory of keyrings for remotes without any of their own.
    pub(crate) gpg_keyrings: PathBuf,
    /// `OSTREE_DUMMY_SIGN_ENABLED`: lets the engine `dummy`, which protects nothing, sign and check.
    pub(crate) dummy_signatures: bool,
    /// `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, the last three also in capitals.
    proxies: Proxies,
}

impl Environment {
    /// Reads the environment of the process.
    #[expect(clippy::disallowed_methods, reason = "this is the place for it")]
    pub(crate) fn read() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        Self {
            repo: set("OSTREE_REPO").map(PathBuf::from),
            sysroot: set("OSTREE_SYSROOT").map(PathBuf::from),
            boot_id: set("OSTREE_BOOTID").and_then(|id| id.into_string().ok()),
            source_date_epoch: set("SOURCE_DATE_EPOCH"),
            write_split_xattrs: set("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS").is_some(),
            fails_before_commit: set("OSTREE_REPO_TEST_ERROR").is_some_and(|error| error == "pre-commit"),
            fails_at_bad_cache: set("OSTREE_REPO_TEST_ERROR").is_some_and(|error| error == "invalid-cache"),
            no_color: set("NO_COLOR").is_some(),
            user: set("USER")
                .or_else(|| set("LOGNAME"))
                .and_then(|user| user.into_string().ok()),
            configurations: set("XDG_CONFIG_HOME")
                .map(PathBuf::from)
                .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".config"))),
            home: set("HOME").map(PathBuf::from),
            receive_configuration: set("OSTREE_RECEIVE_CONF").map(PathBuf::from),
            ssh_original_command: std::env::var_os("SSH_ORIGINAL_COMMAND"),
            ssh_connection: text("SSH_CONNECTION"),
            editors: ["OSTREE_EDITOR", "VISUAL", "EDITOR"].map(text),
            terminal: set("TERM").filter(|terminal| terminal != "dumb"),
            temporary: set("TMPDIR").map(PathBuf::from),
            open_files: getrlimit(Resource::Nofile).current,
            gpg_keyrings: set("OSTREE_GPG_HOME")
                .map_or_else(|| PathBuf::from("/usr/share/ostree/trusted.gpg.d"), PathBuf::from),
            dummy_signatures: set("OSTREE_DUMMY_SIGN_ENABLED").is_some(),
            proxies: Proxies {
                // Not in capitals: a server that runs programs sets that one from a header of the request.
                http: text("http_proxy"),
                https: text("https_proxy").or_else(|| text("HTTPS_PROXY")),
                all: text("all_proxy").or_else(|| text("ALL_PROXY")),
                except: text("no_proxy").or_else(|| text("NO_PROXY")),
            },
        }
    }

    /// Returns the command line of the editor; `None` where nobody says which and the terminal is none for `vi`.
    pub(crate) fn editor(&self) -> Option<String> {
        let [own, visual, editor] = &self.editors;
        let visual = visual.as_ref().filter(|_| self.terminal.is_some());
        let vi = self.terminal.as_ref().map(|_| "vi".to_owned());
        own.as_ref().or(visual).or(editor.as_ref()).cloned().or(vi)
    }

    /// Returns where files of the moment go.
    pub(crate) fn temporary_directory(&self) -> PathBuf {
        self.temporary.clone().unwrap_or_else(|| PathBuf::from("/tmp"))
    }

    /// Returns the user who runs the process: the number where there is no name.
    pub(crate) fn user_name(&self) -> String {
        let number = || rustix::process::getuid().as_raw().to_string();
        self.user.clone().unwrap_or_else(number)
    }

    /// Returns the address from which somebody has logged in by ssh.
    pub(crate) fn ssh_client(&self) -> Option<&str> {
        self.ssh_connection.as_deref()?.split(' ').next()
    }

    /// Returns where a file of the user's settings for us would lie.
    pub(crate) fn configuration(&self, name: &str) -> Option<PathBuf> {
        self.configuration_of("ostler", name)
    }

    /// Returns where a file of the user's settings for a program would lie.
    pub(crate) fn configuration_of(&self, program: &str, name: &str) -> Option<PathBuf> {
        let place = self.configurations.as_ref()?;
        Some(place.join(program).join(name))
    }

    /// Returns who runs the process, and where, for records: `user@host`, with the number where there is no name.
    pub(crate) fn who(&self) -> String {
        let user = self.user_name();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{user}@{host}")
    }

    /// Returns the proxies that are to be used.
    pub(crate) fn proxies(&self) -> Proxies {
        self.proxies.clone()
    }

    /// Returns a number that differs from process to process, to vary pauses by.
    pub(crate) fn seed(&self) -> u64 {
        let process = rustix::process::getpid().as_raw_nonzero().get();
        self.now().rotate_left(32) ^ u64::from(process.unsigned_abs())
    }

    /// Returns 128 bits that nobody can guess, in hexadecimal digits.
    #[expect(clippy::unused_self, reason = "chance is part of the environment")]
    pub(crate) fn secret(&self) -> anyhow::Result<String> {
        let mut bytes = [0; 16];
        let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
        read.context("cannot read /dev/urandom")?;
        Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// Returns the path of the program that runs.
    #[expect(clippy::unused_self, reason = "what it is is part of the environment")]
    pub(crate) fn executable(&self) -> anyhow::Result<PathBuf> {
        std::env::current_exe().context("cannot tell where the program lies")
    }

    /// Returns the time by the system's clock, for logs.
    #[expect(clippy::disallowed_methods, reason = "the clock is read here")]
    pub(crate) fn clock() -> SystemTime {
        SystemTime::now()
    }

    /// Returns the seconds since the epoch by the system's clock; 0 for a clock before it.
    #[expect(
        clippy::disallowed_methods,
        clippy::unused_self,
        reason = "the clock is part of the environment, and this is the place for it"
    )]
    pub(crate) fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}
