//! Signatures: the engines that make them, the keys that they are checked with, and where each is stored.
//!
//! What is signed is always the exact bytes of a file: a commit object, `summary`, the superblock of a delta. The
//! signatures of an engine stand under one key of a dictionary, see [`signatures`](crate::signatures()). Keys come as
//! text that people paste into files and options; the parsers are strict about length and alphabet, and indifferent to
//! white space around.

mod armor;
mod base64;
mod ed25519;
mod gpg_listing;
mod gpg_status;
mod packets;
mod pem;
mod spki;

pub use armor::{MAX_ARMORED, dearmor};
pub use base64::{decode_base64, encode_base64};
pub use ed25519::{ED25519_SIGNATURE, Ed25519PublicKey, Ed25519SecretKey};
pub use gpg_listing::{GpgKey, GpgKeyPart, GpgUser, parse_gpg_listing, split_user};
pub use gpg_status::{GpgStatus, GpgVerdict, parse_gpg_import, parse_gpg_status};
pub use packets::are_signature_packets;
pub use pem::{PemBlock, pem_blocks};
pub use spki::{KeyKind, SubjectPublicKeyInfo, private_key_kind};

use crate::detached::{ED25519_SIGNATURES, GPG_SIGNATURES, SPKI_SIGNATURES};
use crate::error::FormatError;
use std::fmt;
use std::str::FromStr;

/// Key of the signatures that libostree's tests make: each is the key itself.
pub const DUMMY_SIGNATURES: &str = "ostree.sign.dummy";

/// What makes and checks signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// OpenPGP, by `gpg`.
    Gpg,
    /// Ed25519 over the bytes.
    Ed25519,
    /// Any kind of key in X.509 form, as OpenSSL signs with it by default.
    Spki,
    /// The key is the signature: for tests only.
    Dummy,
}

impl Engine {
    /// The engines of libostree's sign interface: all but `gpg`.
    pub const OF_SIGN_INTERFACE: [Self; 3] = [Self::Ed25519, Self::Spki, Self::Dummy];

    /// Returns the name that options and settings have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpg => "gpg",
            Self::Ed25519 => "ed25519",
            Self::Spki => "spki",
            Self::Dummy => "dummy",
        }
    }

    /// Returns the key that its signatures stand under in detached metadata and in `summary.sig`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Gpg => GPG_SIGNATURES,
            Self::Ed25519 => ED25519_SIGNATURES,
            Self::Spki => SPKI_SIGNATURES,
            Self::Dummy => DUMMY_SIGNATURES,
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Engine {
    type Err = FormatError;

    fn from_str(name: &str) -> Result<Self, FormatError> {
        [Self::Gpg, Self::Ed25519, Self::Spki, Self::Dummy]
            .into_iter()
            .find(|engine| engine.name() == name)
            .ok_or_else(|| FormatError::invalid("signature type", "gpg, ed25519, spki or dummy expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_found_by_their_names_alone() {
        for engine in [Engine::Gpg, Engine::Ed25519, Engine::Spki, Engine::Dummy] {
            assert_eq!(engine.name().parse(), Ok(engine));
        }
        for wrong in ["", "GPG", "ed25519 ", "rsa"] {
            assert!(wrong.parse::<Engine>().is_err(), "{wrong}");
        }
    }
}
