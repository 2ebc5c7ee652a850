//! Detached metadata and signature files: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{ED25519_SIGNATURES, GPG_SIGNATURES, append_signature, parse_detached, signatures};

fuzz_target!(|data: &[u8]| {
    let Ok(mut metadata) = parse_detached(data) else {
        return;
    };
    assert_eq!(metadata.to_bytes(), data);
    for key in [GPG_SIGNATURES, ED25519_SIGNATURES] {
        let before = signatures(&metadata, key).map(|found| found.len());
        if let Ok(before) = before {
            append_signature(&mut metadata, key, b"signature").expect("signatures that can be read");
            assert_eq!(
                signatures(&metadata, key).expect("just written").len(),
                before + 1
            );
        }
    }
});
