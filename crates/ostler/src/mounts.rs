//! Where media are mounted that people put in and take out: below `/media`, `/run/media` and `/mnt`.

use anyhow::Context as _;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// What the kernel says is mounted for this process.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Where desktops and people mount such media.
const PLACES: [&str; 3] = ["/media", "/run/media", "/mnt"];

/// Returns the directories on which such a medium is mounted.
pub(crate) fn of_media() -> anyhow::Result<Vec<PathBuf>> {
    let text = std::fs::read(MOUNTS).with_context(|| format!("cannot read {MOUNTS}"))?;
    let mut mounts = in_table(&text);
    mounts.retain(|mount| PLACES.iter().any(|place| mount.starts_with(Path::new(place))));
    Ok(mounts)
}

/// Returns the fifth word of each line, which is where something is mounted.
fn in_table(text: &[u8]) -> Vec<PathBuf> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|word| PathBuf::from(OsString::from_vec(unescaped(word))))
        .collect()
}

/// Turns `\040` and its like, three octal digits, back into bytes.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, others)) = rest.split_first() {
        let code = others.first_chunk::<3>().filter(|_| *first == b'\\');
        let byte = code
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if byte.is_some() {
            rest = others.get(3..).unwrap_or_default();
        } else {
            rest = others;
        }
        bytes.push(byte.unwrap_or(*first));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_the_escapes_of_the_kernel() {
        let text = b"36 35 98:0 / /media/a\\040b\\134 rw - ext4 /dev/x rw\n1 2 3:4 / / rw - ext4 /dev/y rw\n";
        let mounts = in_table(text);
        assert_eq!(mounts, [PathBuf::from("/media/a b\\"), PathBuf::from("/")]);
        assert_eq!(unescaped(b"\\9\\04"), b"\\9\\04");
    }
}
