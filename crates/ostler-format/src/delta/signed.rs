//! Signed superblocks.
//!
//! Shape `(taya{sv})`: the eight bytes `OSTSGNDT`, the superblock, signatures of its bytes under the same keys as in
//! `summary.sig` (engines of libostree's sign interface alone, no OpenPGP).
//!
//! Only `static-delta show`, `verify` and `apply-offline` know this form. Clients that pull take the file for a plain
//! superblock and fail: it never belongs below a served `deltas/`.

use crate::error::{FormatError, Result};
use crate::gvariant::VarDict;
use crate::gvariant::framing::{TupleReader, TupleWriter};

const WHAT: &str = "signed superblock";

/// A superblock with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedSuperblock {
    /// The bytes of the superblock, which are what is signed.
    pub superblock: Vec<u8>,
    /// The signatures.
    pub signatures: VarDict,
}

impl SignedSuperblock {
    /// What it begins with.
    pub const MAGIC: &[u8; 8] = b"OSTSGNDT";

    /// Returns whether bytes begin as a signed superblock does. No plain one begins so that anybody would make: its
    /// metadata would have a key of that name without end.
    pub fn is_signed(bytes: &[u8]) -> bool {
        bytes.starts_with(Self::MAGIC)
    }

    /// Reads a signed superblock.
    ///
    /// # Errors
    /// [`FormatError`] for what is not in normal form or begins otherwise.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut tuple = TupleReader::new(WHAT, bytes);
        if tuple.fixed(8, Self::MAGIC.len())? != Self::MAGIC {
            return Err(FormatError::invalid(WHAT, "it does not begin with OSTSGNDT"));
        }
        Ok(Self {
            superblock: tuple.variable(1)?.to_vec(),
            signatures: VarDict::from_bytes(tuple.last(8)?)?,
        })
    }

    /// Returns the bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        TupleWriter::encode(|tuple| {
            tuple.fixed(8, Self::MAGIC);
            tuple.bytes(&self.superblock);
            tuple.variable(8, &self.signatures.to_bytes());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ED25519_SIGNATURES, append_signature};

    #[test]
    fn a_signed_superblock_reads_back_and_starts_with_its_magic() {
        let mut signatures = VarDict::new();
        append_signature(&mut signatures, ED25519_SIGNATURES, &[7; 64]).unwrap();
        for superblock in [vec![], vec![1; 300]] {
            let signed = SignedSuperblock {
                superblock,
                signatures: signatures.clone(),
            };
            let bytes = signed.to_bytes();
            assert!(SignedSuperblock::is_signed(&bytes));
            assert_eq!(SignedSuperblock::parse(&bytes), Ok(signed));
            for length in 0..bytes.len() {
                assert!(SignedSuperblock::parse(&bytes[..length]).is_err(), "{length}");
            }
        }
    }
}
