//! Names of files and directories within a dirtree.

use super::{MAX_FILE_NAME, refused, shown};
use crate::error::{FormatError, Result};

/// Checks the name of a file or directory within a dirtree and returns it as text: UTF-8, 1 to 255 bytes,
/// not `.` or `..`, without `/` and NUL.
///
/// libostree also takes the empty name and long ones; neither can be checked out.
///
/// # Errors
/// [`FormatError::SlashInFileName`], or [`FormatError::Name`] with the rule that it breaks.
pub fn check_file_name(name: &[u8]) -> Result<&str> {
    if name.contains(&b'/') {
        return Err(FormatError::SlashInFileName(shown(&String::from_utf8_lossy(
            name,
        ))));
    }
    let rule = match name {
        b"" => "empty",
        b"." | b".." => "stands for a directory itself or its parent",
        _ if name.len() > MAX_FILE_NAME => "longer than 255 bytes",
        _ if name.contains(&0) => "contains NUL",
        _ => match std::str::from_utf8(name) {
            Ok(text) => return Ok(text),
            Err(_) => "not UTF-8",
        },
    };
    Err(refused("file", &String::from_utf8_lossy(name), rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_plain_file_name_are_refused() {
        let longest = [b'a'; 255];
        for good in [
            b"a".as_slice(),
            b"...",
            b"-x",
            b".hidden",
            b"a\nb",
            "é".as_bytes(),
            &longest,
        ] {
            assert!(check_file_name(good).is_ok(), "{good:?}");
        }
        for bad in [
            b"".as_slice(),
            b".",
            b"..",
            b"a/b",
            b"/",
            b"a\0",
            b"\xff",
            &[b'a'; 256],
        ] {
            assert!(check_file_name(bad).is_err(), "{bad:?}");
        }
    }
}
