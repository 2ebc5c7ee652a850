//! Public keys in X.509 form (`SubjectPublicKeyInfo`) and the kind of secret keys in PKCS #8 form.
//!
//! Shape, DER: `SEQUENCE { SEQUENCE { OID algorithm, parameters }, BIT STRING key }`, where the parameters of an elliptic key
//! are the OID of its curve; `SEQUENCE { INTEGER version, SEQUENCE { OID, parameters }, OCTET STRING key, … }`. Lengths are
//! definite and as short as can be. Rejected: bytes behind the structure, unused bits in the key, other kinds of keys.

use crate::error::{FormatError, Result};
use std::fmt;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA, signing as in PKCS #1 with SHA-256.
    Rsa,
    /// ECDSA on the curve P-256 with SHA-256.
    P256,
    /// ECDSA on the curve P-384 with SHA-256, as OpenSSL does by default.
    P384,
    /// Ed25519.
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::P256 => "ECDSA P-256",
            Self::P384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubjectPublicKeyInfo {
    der: Vec<u8>,
    kind: KeyKind,
    key: Vec<u8>,
}

impl SubjectPublicKeyInfo {
    /// Reads a key.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for what is rejected, see above.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let mut outer = Der(der);
        let mut body = Der(outer.expect(SEQUENCE)?);
        outer.end()?;
        let kind = algorithm(body.expect(SEQUENCE)?)?;
        let key = match body.expect(BIT_STRING)? {
            [0, key @ ..] => key.to_vec(),
            _ => return Err(wrong("unused bits in the key")),
        };
        body.end()?;
        Ok(Self {
            der: der.to_vec(),
            kind,
            key,
        })
    }

    /// Returns what the key is for.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Returns the key proper: of RSA as in PKCS #1, of elliptic curves the point.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Returns the whole.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// Returns the kind of a secret key in PKCS #8 form.
///
/// # Errors
/// [`FormatError::Invalid`] for another form and kind.
pub fn private_key_kind(der: &[u8]) -> Result<KeyKind> {
    let mut outer = Der(der);
    let mut body = Der(outer.expect(SEQUENCE)?);
    outer.end()?;
    body.expect(INTEGER)?;
    algorithm(body.expect(SEQUENCE)?)
}

/// Reads the identifier of an algorithm with its parameters.
fn algorithm(bytes: &[u8]) -> Result<KeyKind> {
    const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
    const ELLIPTIC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
    const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
    const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
    let mut reader = Der(bytes);
    let kind = match reader.expect(OBJECT_IDENTIFIER)? {
        RSA => KeyKind::Rsa,
        ED25519 => KeyKind::Ed25519,
        ELLIPTIC => match reader.expect(OBJECT_IDENTIFIER)? {
            P256 => KeyKind::P256,
            P384 => KeyKind::P384,
            _ => return Err(wrong("a curve other than P-256 and P-384")),
        },
        _ => return Err(wrong("neither RSA, ECDSA nor Ed25519")),
    };
    Ok(kind)
}

fn wrong(why: &str) -> FormatError {
    FormatError::invalid("key in X.509 form", why)
}

/// What is left to be read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Returns the contents of the next element, which must be of this kind.
    fn expect(&mut self, tag: u8) -> Result<&'a [u8]> {
        let cut = || wrong("cut short");
        let (&found, rest) = self.0.split_first().ok_or_else(cut)?;
        if found != tag {
            return Err(wrong("not the structure of such a key"));
        }
        let (&first, rest) = rest.split_first().ok_or_else(cut)?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let digits = usize::from(first & 0x7F);
            if !(1..=4).contains(&digits) {
                return Err(wrong("a length that nothing has"));
            }
            let (digits, rest) = rest.split_at_checked(digits).ok_or_else(cut)?;
            let length = digits
                .iter()
                .fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
            if digits.first() == Some(&0) || length < 0x80 {
                return Err(wrong("a length that is longer than need be"));
            }
            (length, rest)
        };
        let (contents, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(contents)
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(wrong("bytes behind the key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signatures::decode_base64;

    /// Made by `openssl genpkey -algorithm ed25519`, and P-256.
    const ED25519: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn a_key_is_read_with_its_kind() {
        let der = decode_base64(ED25519).unwrap();
        let key = SubjectPublicKeyInfo::from_der(&der).unwrap();
        assert_eq!(
            (key.kind(), key.key().len(), key.der()),
            (KeyKind::Ed25519, 32, &*der)
        );
    }

    #[test]
    fn keys_that_are_cut_or_have_bytes_behind_are_refused() {
        let der = decode_base64(ED25519).unwrap();
        for cut in 0..der.len() {
            assert!(SubjectPublicKeyInfo::from_der(&der[..cut]).is_err(), "{cut}");
        }
        assert!(SubjectPublicKeyInfo::from_der(&[&der[..], &[0]].concat()).is_err());
    }

    #[test]
    fn other_kinds_of_keys_and_odd_lengths_are_refused() {
        let der = decode_base64(ED25519).unwrap();
        let mut x25519 = der.clone();
        x25519[8] = 0x6E;
        assert!(SubjectPublicKeyInfo::from_der(&x25519).is_err());
        let long = [&[0x30, 0x81, 0x2A][..], &der[2..]].concat();
        assert!(
            SubjectPublicKeyInfo::from_der(&long).is_err(),
            "a length of two bytes"
        );
        let endless = [&[0x30, 0x80][..], &der[2..]].concat();
        assert!(
            SubjectPublicKeyInfo::from_der(&endless).is_err(),
            "an indefinite length"
        );
        let mut unused = der;
        unused[11] = 1;
        assert!(SubjectPublicKeyInfo::from_der(&unused).is_err(), "unused bits");
    }
}
