//! Signatures by keys in X.509 form, as OpenSSL makes them with the key's default digest: RSA as in PKCS #1 and ECDSA in DER,
//! both with SHA-256, and Ed25519.

use crate::error::{RepoError, Result};
use ostler_format::FormatError;
use ostler_format::signatures::{KeyKind, SubjectPublicKeyInfo, private_key_kind};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA256_ASN1, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// Returns whether a signature over `data` fits a key.
pub(super) fn fits(key: &SubjectPublicKeyInfo, data: &[u8], signature: &[u8]) -> bool {
    let algorithm: &dyn VerificationAlgorithm = match key.kind() {
        KeyKind::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        KeyKind::P256 => &ECDSA_P256_SHA256_ASN1,
        KeyKind::P384 => &ECDSA_P384_SHA256_ASN1,
        KeyKind::Ed25519 => &ED25519,
    };
    UnparsedPublicKey::new(algorithm, key.key())
        .verify(data, signature)
        .is_ok()
}

/// A secret key that can sign.
pub(super) enum KeyPair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl KeyPair {
    /// Reads a key in PKCS #8 form, DER, without a passphrase.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let kind = private_key_kind(der).map_err(RepoError::format("secret key of spki"))?;
        let refused = |error: ring::error::KeyRejected| refused(kind, &error.to_string());
        Ok(match kind {
            KeyKind::Rsa => Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(refused)?)),
            KeyKind::P256 => {
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random);
                Self::P256(Box::new(pair.map_err(refused)?))
            }
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
                Self::Ed25519(Box::new(pair.map_err(refused)?))
            }
            KeyKind::P384 => {
                return Err(self::refused(
                    kind,
                    "clients expect SHA-256, which we cannot sign with on this curve",
                ));
            }
        })
    }

    /// Reads a key of RSA in PKCS #1 form, DER.
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self> {
        let pair = RsaKeyPair::from_der(der).map_err(|error| refused(KeyKind::Rsa, &error.to_string()))?;
        Ok(Self::Rsa(Box::new(pair)))
    }

    /// Signs bytes, and checks what came out: a signature that a fault of the machine has spoilt would give the key away.
    pub(super) fn sign(&self, data: &[u8]) -> Result<Vec<u8>> {
        let signature = self.sign_unchecked(data)?;
        let (algorithm, public): (&dyn VerificationAlgorithm, _) = match self {
            Self::Rsa(pair) => (&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
            Self::P256(pair) => (&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref()),
            Self::Ed25519(pair) => (&ED25519, pair.public_key().as_ref()),
        };
        UnparsedPublicKey::new(algorithm, public)
            .verify(data, &signature)
            .map_err(|_unspecified: ring::error::Unspecified| RepoError::Signing {
                with: "spki".to_owned(),
                detail: "the signature does not fit the key".to_owned(),
            })?;
        Ok(signature)
    }

    fn sign_unchecked(&self, data: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        let failed = |_unspecified: ring::error::Unspecified| RepoError::Signing {
            with: "spki".to_owned(),
            detail: "the key cannot sign".to_owned(),
        };
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, data, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Self::P256(pair) => Ok(pair.sign(&random, data).map_err(failed)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(data).as_ref().to_vec()),
        }
    }
}

fn refused(kind: KeyKind, why: &str) -> RepoError {
    let rule = format!("{kind}: {why}; an external command can sign with it");
    RepoError::Format {
        subject: "secret key of spki".to_owned(),
        source: FormatError::invalid("key", rule),
    }
}
