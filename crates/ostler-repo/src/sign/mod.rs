//! Making and checking signatures: of commits, summaries and deltas.
//!
//! A [`Signer`] makes them, [`Trust`] says which ones a remote's commits and summary must carry, [`PublicKeys`] and
//! [`gpg`] check them. Secret keys of GPG stay with `gpg` and its agent; those of the other engines are read from text or
//! files, kept in memory, and never shown; keys that live elsewhere sign by a command. Nothing secret stands on the
//! command line of a child.
//!
//! Signatures lie in detached metadata, which several may change at once: see [`Repo::change_detached`](crate::Repo::change_detached).

mod child;
mod commit;
pub mod gpg;
mod interruption;
mod key_files;
mod public_keys;
mod signer;
mod spki;
mod trust;

pub use commit::DetachedChange;
pub use interruption::Interruption;

pub use key_files::{read_public_keys, read_secret_keys};
pub use ostler_format::signatures::Engine;
pub use public_keys::{PublicKeys, Valid};
pub use signer::{Signer, SpkiSecretKey};
pub use trust::{SignVerify, Trust, TrustPaths, TrustSettings};

use crate::error::{RepoError, Result};
use ostler_format::gvariant::VarDict;

/// The most signatures of one engine that are looked at: more would let a server keep its clients busy.
pub const MAX_SIGNATURES: usize = 64;

/// Adds a signature to detached metadata or to what becomes `summary.sig`, behind those of the same engine.
///
/// # Errors
/// [`RepoError::Format`] if what stands under the engine's key is no list of signatures.
pub fn add_signature(detached: &mut VarDict, engine: Engine, signature: &[u8]) -> Result<()> {
    ostler_format::append_signature(detached, engine.key(), signature)
        .map_err(RepoError::format("detached metadata"))
}

/// Signs bytes with all signers, and returns the dictionary of the signatures; what `summary.sig` holds.
///
/// # Errors
/// As [`Signer::sign`].
pub fn sign_all(data: &[u8], signers: &[Signer]) -> Result<VarDict> {
    let mut signatures = VarDict::new();
    for signer in signers {
        add_signature(&mut signatures, signer.engine(), &signer.sign(data)?)?;
    }
    Ok(signatures)
}

/// Returns the first signatures of an engine, as many as are looked at.
fn first_signatures(detached: &VarDict, engine: Engine) -> Result<Vec<&[u8]>> {
    let mut signatures =
        ostler_format::signatures(detached, engine.key()).map_err(RepoError::format("detached metadata"))?;
    signatures.truncate(MAX_SIGNATURES);
    Ok(signatures)
}

/// Returns the error of a signature that is missing or not to be trusted.
fn untrusted(detail: impl Into<String>) -> RepoError {
    RepoError::Signature {
        detail: detail.into(),
    }
}
