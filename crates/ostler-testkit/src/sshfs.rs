//! A directory mounted by sshfs from an ssh server of our own.

use crate::command::command;
use crate::sshd::Sshd;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A mount, ended when this is dropped.
#[derive(Debug)]
pub struct Sshfs {
    child: Child,
    point: PathBuf,
}

impl Sshfs {
    /// Mounts a directory of this machine at another one, by a server at which the key of a name may do all. More options are those
    /// of sshfs, behind `-o`.
    #[track_caller]
    pub fn mount(server: &Sshd, key: &str, far: &Path, point: &Path, options: &[&str]) -> Self {
        let mut sshfs = command("sshfs");
        sshfs.arg("-f").arg("-p").arg(server.port().to_string());
        sshfs
            .arg("-o")
            .arg(format!("IdentityFile={}", server.key(key).display()));
        let own = server.options();
        for option in own.iter().map(String::as_str).chain(options.iter().copied()) {
            sshfs.arg("-o").arg(option);
        }
        sshfs
            .arg(format!("127.0.0.1:{}", far.display()))
            .arg(point)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = sshfs.spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "cannot start sshfs: {error}; `cargo xtask test --only-install` installs what the tests need"
            )
        });
        let mut mount = Self {
            child,
            point: fs::canonicalize(point).expect("a directory"),
        };
        let start = Instant::now();
        while !mount.is_mounted() {
            let ended = mount.child.try_wait().expect("our own child");
            assert!(ended.is_none(), "sshfs has ended: {ended:?}; {}", server.log());
            assert!(start.elapsed() < Duration::from_secs(30), "sshfs does not mount");
            std::thread::sleep(Duration::from_millis(5));
        }
        mount
    }

    /// Kills the process behind the mount, which stays and answers nothing any more.
    pub fn cut(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }

    fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let point = self.point.display().to_string();
        mounts.lines().any(|line| line.split(' ').nth(1) == Some(&*point))
    }
}

impl Drop for Sshfs {
    fn drop(&mut self) {
        let mut unmount = command("fusermount3");
        unmount.args(["-u", "-z"]).arg(&self.point);
        drop(unmount.stderr(Stdio::null()).status());
        self.cut();
    }
}
