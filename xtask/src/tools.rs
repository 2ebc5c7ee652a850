//! The programs that the tests need, and how they get onto a machine.
//!
//! The tests hold ostler against stock tools, so a missing one is a failure and never a skipped test.
//! On Debian and its kin root gets them installed; everybody else is told what to install.

use crate::step;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program (or, with its path, another file) and the Debian package that brings it.
const TOOLS: &[(&str, &str)] = &[
    ("ostree", "ostree"),
    ("ostree-push", "ostree-push"),
    ("nginx", "nginx-light"),
    ("strace", "strace"),
    ("gpg", "gnupg"),
    ("setfattr", "attr"),
    ("rsync", "rsync"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("sshfs", "sshfs"),
    ("bsdtar", "libarchive-tools"),
    ("bzip2", "bzip2"),
    ("cpio", "cpio"),
    ("fusermount3", "fuse3"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("debootstrap", "debootstrap"),
    ("mke2fs", "e2fsprogs"),
    ("losetup", "mount"),
    ("g++", "g++"),
    ("python3", "python3"),
    ("flatpak", "flatpak"),
    (
        "/usr/libexec/installed-tests/libostree/libtest.sh",
        "ostree-tests",
    ),
];

/// Installs what is missing.
///
/// # Errors
/// With the list of packages, when something is missing that cannot be installed from here.
pub(crate) fn install() -> Result<()> {
    step::announce("tools that the tests need");
    let missing = missing();
    if missing.is_empty() {
        println!("all there");
        return Ok(());
    }
    if find("apt-get").is_none() || !is_root() {
        bail!(
            "missing on this machine, please install (Debian's names): {}",
            missing.join(" ")
        );
    }
    step::run("apt-get update", apt_get().arg("update"))?;
    step::run(
        &format!("apt-get install {}", missing.join(" ")),
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&missing),
    )?;
    let still = self::missing();
    if !still.is_empty() {
        bail!("installed, and yet not found in PATH: {}", still.join(" "));
    }
    Ok(())
}

/// Returns where `program` lies in PATH, or in the directories of system tools that many users lack there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

fn missing() -> Vec<&'static str> {
    TOOLS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect()
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}
