//! OpenPGP's ASCII armour of public keys, taken off: what is left are the packets.
//!
//! A block is `-----BEGIN PGP …-----`, headers `Name: value`, an empty line, base64, a checksum line (`=` and four characters), and
//! `-----END PGP …-----`. The checksum is not looked at: `gpg` reads the packets and knows what is wrong with them. Several
//! blocks follow one another; text between them is ignored.

use super::base64::decode_base64;
use crate::error::{FormatError, Result};

/// The most bytes of armour that are read.
pub const MAX_ARMORED: usize = 16 << 20;

/// What a block of armour begins with.
const BEGIN: &[u8] = b"-----BEGIN PGP ";

/// Returns the packets of all blocks, one behind the other; `None` where there is no block at all.
///
/// # Errors
/// [`FormatError::Invalid`] for blocks that do not end or hold what is no base64, and for more than [`MAX_ARMORED`]
/// bytes.
pub fn dearmor(text: &[u8]) -> Result<Option<Vec<u8>>> {
    let wrong = |why: &str| FormatError::invalid("ASCII armour", why);
    if text.len() > MAX_ARMORED {
        return Err(wrong("too large"));
    }
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut packets = None;
    while lines.any(|line| line.starts_with(BEGIN) && line.ends_with(b"-----")) {
        let mut body = Vec::new();
        let mut in_headers = true;
        loop {
            let line = lines.next().ok_or_else(|| wrong("a block that does not end"))?;
            if line.starts_with(b"-----END PGP ") {
                break;
            }
            if in_headers && !line.contains(&b':') {
                in_headers = false;
            }
            if !in_headers && !line.starts_with(b"=") {
                body.extend_from_slice(line);
            }
        }
        packets.get_or_insert_with(Vec::new).extend(decode_base64(&body)?);
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_joined_without_headers_and_checksums() {
        let text = b"x\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: GnuPG v2\nComment: a: b\n\nZm9v\nYmFy\n=njUN\n\
            -----END PGP PUBLIC KEY BLOCK-----\n-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n\r\nZm8=\r\n=njUN\r\n\
            -----END PGP PUBLIC KEY BLOCK-----\r\n";
        assert_eq!(dearmor(text), Ok(Some(b"foobarfo".to_vec())));
    }

    #[test]
    fn packets_as_they_are_have_no_armour() {
        assert_eq!(dearmor(b"\x99\x01\x0d\x04"), Ok(None));
        assert_eq!(dearmor(b""), Ok(None));
    }

    #[test]
    fn armour_that_is_cut_or_no_base64_is_refused() {
        for wrong in [
            &b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nZm9v\n"[..],
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!\n-----END PGP PUBLIC KEY BLOCK-----",
        ] {
            assert!(dearmor(wrong).is_err());
        }
    }
}
