//! Base64 as keys are written in: the standard alphabet, with or without padding, white space anywhere.
//!
//! Rejected: other characters, anything behind the padding, a lone digit at the end, bits that would be lost. The
//! messages never show what was read: it may be a secret.

use crate::error::{FormatError, Result};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64.
///
/// # Errors
/// [`FormatError::Invalid`] for what breaks the rules above.
pub fn decode_base64(text: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let text: Vec<u8> = text
        .as_ref()
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .copied()
        .collect();
    ENGINE
        .decode(text)
        .map_err(|_shows_a_character: base64::DecodeError| {
            FormatError::invalid("base64", "characters, padding or length are wrong")
        })
}

/// Encodes base64, padded.
pub fn encode_base64(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648_are_read_and_written() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode_base64(bytes.as_bytes()), text);
            assert_eq!(decode_base64(text), Ok(bytes.as_bytes().to_vec()), "{text}");
            let bare = text.trim_end_matches('=');
            assert_eq!(decode_base64(bare), Ok(bytes.as_bytes().to_vec()), "{bare}");
        }
        assert_eq!(decode_base64(" Zm9v\nYmFy \n"), Ok(b"foobar".to_vec()));
    }

    #[test]
    fn what_is_no_base64_is_refused_without_being_shown() {
        for wrong in [
            "Z", "Zm9vY", "Zg===", "Zg==Zg==", "Zm9v!", "Zh==", "Zm9-", "=", "====",
        ] {
            let error = decode_base64(wrong).unwrap_err().to_string();
            assert!(!error.contains("Zm9v"), "{error}");
        }
    }
}
