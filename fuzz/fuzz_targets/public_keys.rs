//! Keys of signatures as people write them: what is read is written as it was, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::signatures::{
    Ed25519PublicKey, Ed25519SecretKey, SubjectPublicKeyInfo, decode_base64, encode_base64, pem_blocks,
    private_key_kind,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = SubjectPublicKeyInfo::from_der(data) {
        assert_eq!(key.der(), data);
    }
    let _kind = private_key_kind(data);
    for block in pem_blocks(data).unwrap_or_default() {
        let _key = SubjectPublicKeyInfo::from_der(&block.bytes);
    }
    if let Ok(bytes) = decode_base64(data) {
        assert_eq!(decode_base64(encode_base64(&bytes)).expect("our own"), bytes);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(key) = Ed25519PublicKey::from_base64(text) {
            assert_eq!(Ed25519PublicKey::from_base64(&key.to_base64()), Ok(key));
        }
        let _secret = Ed25519SecretKey::from_base64(text);
    }
});
