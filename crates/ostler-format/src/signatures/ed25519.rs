//! Keys of Ed25519 as libostree writes them.
//!
//! Public: base64 of 32 bytes. Secret: base64 of 64 bytes, the seed and the public key behind it, or of the seed alone,
//! 32 bytes. In files one key a line, lines without a key being ignored.

use super::base64::{decode_base64, encode_base64};
use crate::error::{FormatError, Result};
use std::fmt;

/// How many bytes a signature has.
pub const ED25519_SIGNATURE: usize = 64;

const PUBLIC: usize = 32;
const SEED: usize = 32;

/// A public key. Shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ed25519PublicKey([u8; PUBLIC]);

impl Ed25519PublicKey {
    /// Reads the 32 bytes.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_length: std::array::TryFromSliceError| {
                let detail = format!("{} bytes, expected {PUBLIC}", bytes.len());
                FormatError::invalid("public key of ed25519", detail)
            })
    }

    /// Reads base64.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for what is no base64, and another length.
    pub fn from_base64(text: &str) -> Result<Self> {
        Self::from_bytes(&decode_base64(text)?)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC] {
        &self.0
    }

    /// Returns the key as files hold it.
    pub fn to_base64(&self) -> String {
        encode_base64(&self.0)
    }
}

impl fmt::Display for Ed25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Ed25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519PublicKey({self})")
    }
}

/// A secret key, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Ed25519SecretKey {
    seed: [u8; SEED],
    public: Option<Ed25519PublicKey>,
}

impl Ed25519SecretKey {
    /// Reads base64. Whether the public half fits the seed is for whoever can compute it.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for what is no base64, and another length.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bytes = decode_base64(text)?;
        let wrong = || {
            let detail = format!("{} bytes, expected 64 or {SEED}", bytes.len());
            FormatError::invalid("secret key of ed25519", detail)
        };
        let (seed, rest) = bytes.split_first_chunk::<SEED>().ok_or_else(wrong)?;
        let public = match rest {
            [] => None,
            rest => Some(Ed25519PublicKey::from_bytes(rest).map_err(|_of_public: FormatError| wrong())?),
        };
        Ok(Self { seed: *seed, public })
    }

    /// Returns the seed.
    pub const fn seed(&self) -> &[u8; SEED] {
        &self.seed
    }

    /// Returns the public key that stands beside the seed, if one does.
    pub const fn public(&self) -> Option<&Ed25519PublicKey> {
        self.public.as_ref()
    }
}

impl fmt::Debug for Ed25519SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519SecretKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_have_32_bytes_and_come_back_as_they_were() {
        let key = Ed25519PublicKey::from_bytes(&[7; 32]).unwrap();
        assert_eq!(Ed25519PublicKey::from_base64(&key.to_base64()), Ok(key));
        assert_eq!(key.to_string(), "07".repeat(32));
        for length in [0, 31, 33, 64] {
            assert!(
                Ed25519PublicKey::from_bytes(&vec![7; length]).is_err(),
                "{length}"
            );
        }
    }

    #[test]
    fn secret_keys_are_a_seed_with_or_without_the_public_key() {
        let seed = Ed25519SecretKey::from_base64(&encode_base64(&[1; 32])).unwrap();
        assert_eq!((seed.seed(), seed.public()), (&[1; 32], None));
        let both = [[1; 32], [2; 32]].concat();
        let both = Ed25519SecretKey::from_base64(&encode_base64(&both)).unwrap();
        assert_eq!(both.public().unwrap().as_bytes(), &[2; 32]);
        for length in [0, 31, 33, 63, 65, 96] {
            let text = encode_base64(&vec![1; length]);
            assert!(Ed25519SecretKey::from_base64(&text).is_err(), "{length}");
        }
    }

    #[test]
    fn secret_keys_are_never_shown() {
        let text = encode_base64(&[0xAB; 64]);
        let key = Ed25519SecretKey::from_base64(&text).unwrap();
        let shown = format!("{key:?}").to_lowercase();
        assert!(
            !shown.contains("ab") && !shown.contains("171") && !shown.contains(&text),
            "{shown}"
        );
        let error = Ed25519SecretKey::from_base64(&encode_base64(&[0xAB; 63])).unwrap_err();
        assert!(!error.to_string().contains("q6ur"), "{error}");
    }
}
