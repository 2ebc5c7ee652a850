//! Detached metadata of commits, signature files, and tombstones.
//!
//! A `.commitmeta` object and `summary.sig` are one `a{sv}` each; no bytes at all are an empty one. Neither is
//! covered by a checksum. Signatures stand under one key for each kind of signature, as `aay`: the bytes signed are
//! the exact bytes of the commit object or the summary.
//!
//! A tombstone is `a{sv}` as well, `{'commit': <checksum as a bytestring of 64 digits and NUL>}`, 78 bytes; clients
//! look only whether it is there.

use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::gvariant::{Type, Value, VarDict};
use crate::limits::check_metadata_size;

/// Key of detached OpenPGP signatures, each binary.
pub const GPG_SIGNATURES: &str = "ostree.gpgsigs";
/// Key of Ed25519 signatures, 64 bytes each.
pub const ED25519_SIGNATURES: &str = "ostree.sign.ed25519";
/// Key of signatures by keys in X.509 `SubjectPublicKeyInfo` form.
pub const SPKI_SIGNATURES: &str = "ostree.sign.spki";

/// Reads detached metadata or a signature file.
///
/// # Errors
/// [`FormatError`] for more than [`MAX_METADATA_SIZE`](crate::MAX_METADATA_SIZE) bytes and for what is not `a{sv}`
/// in normal form.
pub fn parse_detached(bytes: &[u8]) -> Result<VarDict> {
    check_metadata_size("detached metadata", bytes)?;
    VarDict::from_bytes(bytes)
}

/// Returns the signatures under `key`, none if the key is missing.
///
/// # Errors
/// [`FormatError::Invalid`] if the value is not `aay`.
pub fn signatures<'a>(metadata: &'a VarDict, key: &str) -> Result<Vec<&'a [u8]>> {
    let wrong = || FormatError::invalid("signatures", format!("{key} is not of type aay"));
    let Some(value) = metadata.get(key) else {
        return Ok(Vec::new());
    };
    let Value::Array(element, items) = value else {
        return Err(wrong());
    };
    if *element != Type::bytes() {
        return Err(wrong());
    }
    let one = |item: &'a Value| match item {
        Value::Bytes(bytes) => Ok(bytes.as_slice()),
        _ => Err(wrong()),
    };
    items.iter().map(one).collect()
}

/// Sets the signatures under `key`, keeping the key's place among the others.
pub fn set_signatures<S: AsRef<[u8]>>(metadata: &mut VarDict, key: &str, signatures: &[S]) {
    let items = signatures.iter().map(|s| Value::Bytes(s.as_ref().to_vec()));
    metadata.insert(key, Value::Array(Type::bytes(), items.collect()));
}

/// Adds a signature behind those under `key`.
///
/// # Errors
/// [`FormatError::Invalid`] if the value that is there is not `aay`.
pub fn append_signature(metadata: &mut VarDict, key: &str, signature: &[u8]) -> Result<()> {
    let mut all: Vec<Vec<u8>> = signatures(metadata, key)?
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    all.push(signature.to_vec());
    set_signatures(metadata, key, &all);
    Ok(())
}

/// Returns the bytes of the tombstone of a deleted commit.
pub fn tombstone(commit: &Checksum) -> Vec<u8> {
    let mut metadata = VarDict::new();
    metadata.insert("commit", Value::bytestring(commit.to_hex().as_str().as_bytes()));
    metadata.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_empty_metadata() {
        assert!(parse_detached(b"").unwrap().is_empty());
    }

    #[test]
    fn signatures_are_appended_in_order_and_survive_the_bytes() {
        let mut metadata = VarDict::new();
        metadata.insert("other", Value::Str("kept".into()));
        append_signature(&mut metadata, ED25519_SIGNATURES, b"one").unwrap();
        append_signature(&mut metadata, GPG_SIGNATURES, b"gpg").unwrap();
        append_signature(&mut metadata, ED25519_SIGNATURES, b"").unwrap();
        let read = parse_detached(&metadata.to_bytes()).unwrap();
        assert_eq!(read, metadata);
        assert_eq!(signatures(&read, ED25519_SIGNATURES), Ok(vec![&b"one"[..], b""]));
        assert_eq!(signatures(&read, GPG_SIGNATURES), Ok(vec![&b"gpg"[..]]));
        assert_eq!(signatures(&read, SPKI_SIGNATURES), Ok(vec![]));
    }

    #[test]
    fn signatures_of_another_type_are_refused_and_kept() {
        let mut metadata = VarDict::new();
        metadata.insert(GPG_SIGNATURES, Value::Str("no".into()));
        assert!(signatures(&metadata, GPG_SIGNATURES).is_err());
        assert!(append_signature(&mut metadata, GPG_SIGNATURES, b"x").is_err());
        assert_eq!(metadata.get(GPG_SIGNATURES), Some(&Value::Str("no".into())));
    }

    #[test]
    fn a_tombstone_names_the_commit_as_a_bytestring() {
        let commit = Checksum::of(b"deleted");
        let bytes = tombstone(&commit);
        assert_eq!(bytes.len(), 78);
        let mut named = commit.to_string().into_bytes();
        named.push(0);
        assert_eq!(
            VarDict::from_bytes(&bytes).unwrap().get("commit"),
            Some(&Value::Bytes(named))
        );
    }
}
