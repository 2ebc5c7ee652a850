//! SHA-256 checksums, the names of everything in OSTree.

use crate::error::{FormatError, Result};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 digest: 32 bytes; as text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 32]);

/// The text form of a [`Checksum`], without allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexChecksum([u8; 64]);

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Checksum {
    /// Wraps 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a slice that must be exactly 32 bytes long.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for any other length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        match bytes.try_into() {
            Ok(array) => Ok(Self(array)),
            Err(_) => Err(FormatError::invalid(
                "checksum",
                format!("{} bytes where 32 are expected", bytes.len()),
            )),
        }
    }

    /// Reads 64 lower-case hexadecimal digits; upper case is refused as libostree refuses it.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self> {
        fn nibble(digit: u8) -> Option<u8> {
            match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            }
        }
        let refused = || FormatError::invalid("checksum", "64 lower-case hexadecimal digits expected");
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = pair else { return Err(refused()) };
            *byte = nibble(*high)
                .zip(nibble(*low))
                .map(|(h, l)| h << 4 | l)
                .ok_or_else(refused)?;
        }
        Ok(Self(bytes))
    }

    /// Returns the checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the text form.
    pub fn to_hex(self) -> HexChecksum {
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
            }
        }
        HexChecksum(hex)
    }
}

impl HexChecksum {
    /// Returns the 64 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the two digits that name the directory and the 62 that name the file in it.
    pub fn split(&self) -> (&str, &str) {
        self.as_str().split_at(2)
    }
}

impl fmt::Display for HexChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for HexChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_hex().as_str())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_hex().as_str())
    }
}

impl std::str::FromStr for Checksum {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_hex(text)
    }
}

/// Computes a [`Checksum`] from bytes as they pass.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the checksum of all bytes added.
    pub fn finish(self) -> Checksum {
        Checksum(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_refuses_what_libostree_refuses() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Checksum::of(b"").to_string(), empty);
        assert_eq!(Checksum::from_hex(empty), Ok(Checksum::of(b"")));
        for bad in [
            "",
            "e3",
            &empty.to_uppercase(),
            &format!("{empty}0"),
            &empty.replace('e', "g"),
        ] {
            assert!(Checksum::from_hex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hashing_in_pieces_equals_hashing_at_once() {
        let mut hasher = Hasher::new();
        hasher.update(b"hello ");
        hasher.update(b"world");
        assert_eq!(hasher.finish(), Checksum::of(b"hello world"));
    }
}
