//! PEM: base64 between `-----BEGIN LABEL-----` and `-----END LABEL-----`, any number of blocks, whatever else between.
//!
//! Rejected: a block that does not end, or ends under another label, or holds what is no base64.

use super::base64::decode_base64;
use crate::error::{FormatError, Result};
use std::fmt;

/// One block. What it holds is not shown: it may be a secret key.
#[derive(Clone, PartialEq, Eq)]
pub struct PemBlock {
    /// What it says that it is, such as `PUBLIC KEY`.
    pub label: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for PemBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PemBlock({}, {} bytes)", self.label, self.bytes.len())
    }
}

/// Returns the blocks of a text in their order.
///
/// # Errors
/// [`FormatError::Invalid`] for what breaks the rules above.
pub fn pem_blocks(text: &[u8]) -> Result<Vec<PemBlock>> {
    let wrong = |why: &str| FormatError::invalid("PEM", why);
    let mut blocks = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        let boundary = |word: &[u8]| line.strip_prefix(word)?.strip_suffix(b"-----");
        match (&mut open, boundary(b"-----BEGIN "), boundary(b"-----END ")) {
            (None, Some(label), _) => open = Some((label, Vec::new())),
            (Some(_), Some(_), _) => return Err(wrong("a block within another")),
            (Some((label, held)), _, Some(end)) => {
                if *label != end {
                    return Err(wrong("a block that ends under another label"));
                }
                blocks.push(PemBlock {
                    label: String::from_utf8_lossy(label).into_owned(),
                    bytes: decode_base64(held)?,
                });
                open = None;
            }
            (Some((_, held)), ..) => held.extend_from_slice(line),
            (None, ..) => {}
        }
    }
    if open.is_some() {
        return Err(wrong("a block that does not end"));
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_in_their_order_whatever_stands_between() {
        let text = b"note\n-----BEGIN A-----\nZm9v\r\nYmFy\n-----END A-----\n\n-----BEGIN B C-----\n-----END B C-----";
        let blocks = pem_blocks(text).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!(
            (blocks[0].label.as_str(), &*blocks[0].bytes),
            ("A", &b"foobar"[..])
        );
        assert_eq!((blocks[1].label.as_str(), &*blocks[1].bytes), ("B C", &b""[..]));
        assert_eq!(pem_blocks(b""), Ok(vec![]));
    }

    #[test]
    fn broken_blocks_are_refused() {
        for wrong in [
            "-----BEGIN A-----\nZm9v\n",
            "-----BEGIN A-----\n-----END B-----",
            "-----BEGIN A-----\n-----BEGIN A-----\n-----END A-----",
            "-----BEGIN A-----\n!\n-----END A-----",
        ] {
            assert!(pem_blocks(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_block_holds_is_not_shown() {
        let block = &pem_blocks(b"-----BEGIN A-----\nZm9v\n-----END A-----").unwrap()[0];
        assert_eq!(format!("{block:?}"), "PemBlock(A, 3 bytes)");
    }
}
