//! Signatures of OpenPGP by their outside, as `gpg --detach-sign` writes them (RFC 4880, 5.2).
//!
//! Shape of a packet: header with the number 2 and the length of the body (old or new format, not a part). Body of version 4: version (1),
//! type (1), algorithms (2), hashed and other subpackets, each list with its length (2) before it, begin of the hash (2), integers. Body of
//! version 3: version (1), 5, type (1), time (4), key (8), algorithms (2), begin of the hash (2), integers. A subpacket is its length (1, 2
//! or 5) and so many bytes, at least one; an integer the number of its bits (2) and its bytes: one for RSA, two for the other algorithms.
//! All of it fills what it is in.
//!
//! Clients put all signatures of a commit behind each other and give them to `gpg`: one that it cannot take apart (of a later version or an algorithm that it does not know, too)
//! keeps them from seeing those beside it. Whether a signature is valid, and by whom, is for `gpg` to say.

/// The number of a signature packet.
const SIGNATURE: u8 = 2;

/// The most bytes of a list of subpackets, and the most bits of an integer, that `gpg` reads.
const MAX_SUBPACKETS: usize = 10_000;
const MAX_BITS: usize = 16_384;

/// Returns whether bytes are signature packets of OpenPGP and nothing else, at least one, each with a length.
pub fn are_signature_packets(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(behind) = behind_signature(rest) {
        if behind.is_empty() {
            return true;
        }
        rest = behind;
    }
    false
}

/// Returns what follows a signature packet; `None` where there is none.
fn behind_signature(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_first()?;
    let (tag, (length, rest)) = match header >> 6 {
        0b11 => (header & 0x3f, new_length(rest)?),
        0b10 => ((header >> 2) & 0xf, old_length(header & 3, rest)?),
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(length)?;
    (tag == SIGNATURE && is_signature(body)).then_some(rest)
}

fn is_signature(body: &[u8]) -> bool {
    let (algorithm, integers) = match body.first() {
        Some(3) if body.get(1) == Some(&5) => (body.get(15), body.get(19..)),
        Some(4) => {
            let lists = body.get(4..).and_then(behind_subpackets);
            let integers = lists.and_then(behind_subpackets).and_then(|rest| rest.get(2..));
            (body.get(2), integers)
        }
        _ => return false,
    };
    let count = match algorithm {
        // RSA.
        Some(1 | 3) => 1,
        // DSA, ECDSA, EdDSA.
        Some(17 | 19 | 22) => 2,
        _ => return false,
    };
    integers.is_some_and(|integers| are_integers(integers, count))
}

/// Returns what follows a list of subpackets.
fn behind_subpackets(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (mut list, rest) = rest
        .split_at_checked(length)
        .filter(|_| length <= MAX_SUBPACKETS)?;
    while !list.is_empty() {
        let (length, behind) = subpacket_length(list)?;
        list = behind.get(length..).filter(|_| length > 0)?;
    }
    Some(rest)
}

fn are_integers(mut bytes: &[u8], count: usize) -> bool {
    for _ in 0..count {
        let Some((bits, rest)) = bytes.split_first_chunk() else {
            return false;
        };
        let bits = usize::from(u16::from_be_bytes(*bits));
        let Some(rest) = rest.get(bits.div_ceil(8)..).filter(|_| bits <= MAX_BITS) else {
            return false;
        };
        bytes = rest;
    }
    bytes.is_empty()
}

fn subpacket_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0..=191 => Some((usize::from(*first), rest)),
        192..=254 => two(*first, rest),
        255 => long(rest),
    }
}

fn old_length(kind: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    match kind {
        0 => bytes
            .split_first()
            .map(|(length, rest)| (usize::from(*length), rest)),
        1 => bytes
            .split_first_chunk()
            .map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest)),
        2 => long(bytes),
        // As far as it goes.
        _ => None,
    }
}

fn new_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0..=191 => Some((usize::from(*first), rest)),
        192..=223 => two(*first, rest),
        255 => long(rest),
        // A part only.
        224..=254 => None,
    }
}

fn two(first: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (second, rest) = bytes.split_first()?;
    let length = (usize::from(first).checked_sub(192)?) * 256 + usize::from(*second) + 192;
    Some((length, rest))
}

fn long(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of version 4 with these lists of subpackets, and an integer of RSA that fills it to a length.
    fn body(hashed: &[u8], other: &[u8], length: usize) -> Vec<u8> {
        let list = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let mut body = [&[4, 0, 1, 8][..], &list(hashed), &list(other), &[7, 7]].concat();
        let bytes = length - body.len() - 2;
        body.extend(u16::try_from(bytes * 8).unwrap().to_be_bytes());
        body.resize(length, 1);
        body
    }

    fn packet(header: &[u8], body: &[u8]) -> Vec<u8> {
        [header, body].concat()
    }

    #[test]
    fn packets_are_signatures_by_number_and_length() {
        let right = [
            packet(&[0x88, 20], &body(&[], &[], 20)),
            packet(&[0x89, 1, 0], &body(&[], &[], 256)),
            packet(&[0x8a, 0, 0, 1, 0], &body(&[], &[], 256)),
            packet(&[0xc2, 191], &body(&[], &[], 191)),
            packet(&[0xc2, 193, 2], &body(&[], &[], 450)),
            packet(&[0xc2, 255, 0, 0, 8, 0], &body(&[], &[], 1 << 11)),
        ];
        for bytes in &right {
            assert!(are_signature_packets(bytes), "{:?}", &bytes[..6]);
            assert!(are_signature_packets(&[&bytes[..], &right[0]].concat()));
            for cut in 1..bytes.len().min(300) {
                assert!(!are_signature_packets(&bytes[..bytes.len() - cut]), "{cut}");
            }
            assert!(!are_signature_packets(&[bytes, &b"x"[..]].concat()));
        }
        let sound = body(&[], &[], 20);
        for header in [
            &[0x8b][..],
            &[0xc2, 224],
            &[0xc6, 20],
            &[0x98, 20],
            &[0x08, 20],
            &[],
            &[0xc2],
        ] {
            assert!(!are_signature_packets(&packet(header, &sound)), "{header:?}");
        }
    }

    #[test]
    fn bodies_are_filled_by_what_is_in_them() {
        let is_right =
            |body: &[u8]| are_signature_packets(&packet(&[0x88, u8::try_from(body.len()).unwrap()], body));
        let third = |hashed: u8| [&[3, hashed][..], &[0; 13], &[1, 8, 7, 7, 0, 8, 1]].concat();
        let of_two = |count: usize| [&[4, 0, 22, 8, 0, 0, 0, 0, 7, 7][..], &[0, 7, 1].repeat(count)].concat();
        for right in [
            body(&[1, 9], &[5, 16, 1, 2, 3, 4], 40),
            body(&[2, 9, 9, 1, 1], &[255, 0, 0, 0, 1, 7], 40),
            third(5),
            of_two(2),
        ] {
            assert!(is_right(&right), "{right:?}");
        }
        for wrong in [
            Vec::new(),
            third(4),
            third(5)[..19].to_vec(),
            of_two(1),
            of_two(3),
            [&[4, 0, 99][..], &body(&[], &[], 40)[3..]].concat(),
            body(&[0], &[], 40),
            body(&[2, 9], &[], 40),
            body(&[], &[192], 40),
            body(&[], &[255, 0xff, 0xff, 0xff, 0xff, 7], 40),
            [body(&[], &[], 20), vec![0xff; 3]].concat(),
            [&[5][..], &body(&[], &[], 20)[1..]].concat(),
        ] {
            assert!(!is_right(&wrong), "{wrong:?}");
        }
    }
}
