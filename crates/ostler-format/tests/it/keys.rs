//! Properties of the parsers of keys, and of what gpg says.

use ostler_format::signatures::{
    Ed25519PublicKey, GpgVerdict, SubjectPublicKeyInfo, dearmor, decode_base64, encode_base64,
    parse_gpg_listing, parse_gpg_status, pem_blocks,
};
use proptest::prelude::*;
use std::fmt::Write as _;

/// An Ed25519 key in X.509 form, all zeros.
fn spki() -> Vec<u8> {
    [
        &[
            0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
        ][..],
        &[0; 32],
    ]
    .concat()
}

proptest! {
    #[test]
    fn base64_comes_back_whatever_white_space_is_in_it(bytes: Vec<u8>, every in 1_usize..80) {
        let text = encode_base64(&bytes);
        let broken: String = text
            .chars()
            .enumerate()
            .flat_map(|(index, digit)| [Some(digit), (index % every == 0).then_some('\n')])
            .flatten()
            .collect();
        prop_assert_eq!(decode_base64(broken), Ok(bytes));
    }

    #[test]
    fn pem_and_armour_give_back_what_is_in_them(blocks: Vec<Vec<u8>>) {
        let mut pem = String::new();
        let mut armor = String::new();
        for bytes in &blocks {
            let text = encode_base64(bytes);
            write!(pem, "x\n-----BEGIN A-----\n{text}\n-----END A-----\n").unwrap();
            write!(armor, "-----BEGIN PGP X-----\nVersion: 1\n\n{text}\n=abcd\n-----END PGP X-----\n").unwrap();
        }
        let read: Vec<_> = pem_blocks(pem.as_bytes()).unwrap().into_iter().map(|block| block.bytes).collect();
        prop_assert_eq!(&read, &blocks);
        let expected = (!blocks.is_empty()).then(|| blocks.concat());
        prop_assert_eq!(dearmor(armor.as_bytes()), Ok(expected));
    }

    #[test]
    fn nothing_that_is_read_makes_a_parser_panic(bytes: Vec<u8>) {
        drop(SubjectPublicKeyInfo::from_der(&bytes));
        drop(Ed25519PublicKey::from_bytes(&bytes));
        drop(pem_blocks(&bytes));
        drop(dearmor(&bytes));
        drop(parse_gpg_listing(&bytes));
        prop_assert!(parse_gpg_status(&bytes).iter().all(|found| found.verdict != GpgVerdict::Good));
    }

    #[test]
    fn a_changed_key_is_another_or_none(index in 0_usize..44, byte: u8) {
        let mut der = spki();
        let before = der[index];
        der[index] = byte;
        match SubjectPublicKeyInfo::from_der(&der) {
            Ok(key) => prop_assert_eq!(key.der(), &der[..]),
            Err(_) => prop_assert!(byte != before && index < 12),
        }
    }
}
