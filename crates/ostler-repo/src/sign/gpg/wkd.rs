//! Where a key can be looked for again: the two addresses of the web key directory, which follow from the address of its user.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::fmt::Write as _;

/// Returns the advanced and the direct address; `None` for what is no mail address.
pub fn wkd_urls(address: &str) -> Option<(String, String)> {
    let (local, domain) = address.split_once('@')?;
    if local.is_empty() || domain.is_empty() {
        return None;
    }
    let domain = domain.to_ascii_lowercase();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, local.to_ascii_lowercase().as_bytes());
    let hash = zbase32(hash.as_ref());
    let local = escaped(local);
    Some((
        format!("https://openpgpkey.{domain}/.well-known/openpgpkey/{domain}/hu/{hash}?l={local}"),
        format!("https://{domain}/.well-known/openpgpkey/hu/{hash}?l={local}"),
    ))
}

/// Encodes bytes in the alphabet that is easy to read out.
fn zbase32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    bytes
        .chunks(5)
        .flat_map(|chunk| {
            let held = chunk
                .iter()
                .fold(0_u64, |held, byte| held << 8 | u64::from(*byte));
            let bits = chunk.len() * 8;
            let held = held << (40 - bits);
            (0..bits.div_ceil(5)).map(move |index| held >> (35 - 5 * index) & 31)
        })
        .filter_map(|digit| ALPHABET.get(usize::try_from(digit).ok()?))
        .map(|digit| char::from(*digit))
        .collect()
}

/// Escapes what cannot stand in a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_stock_prints() {
        let (advanced, direct) = wkd_urls("test2@Test.com").unwrap();
        assert_eq!(
            advanced,
            "https://openpgpkey.test.com/.well-known/openpgpkey/test.com/hu/nnxwsxno46ap6hw7fgphp68j76egpfa9?l=test2"
        );
        assert_eq!(
            direct,
            "https://test.com/.well-known/openpgpkey/hu/nnxwsxno46ap6hw7fgphp68j76egpfa9?l=test2"
        );
        for none in ["", "name", "@x", "x@"] {
            assert_eq!(wkd_urls(none), None, "{none}");
        }
    }
}
