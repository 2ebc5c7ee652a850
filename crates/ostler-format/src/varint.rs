//! Unsigned LEB128: seven bits to a byte, the least significant first, the top bit set on all but the last byte.
//!
//! At most ten bytes. Refused are ends within a number, numbers beyond 64 bits, and padding with zero bits
//! (a number has one encoding).

use crate::error::{FormatError, Result};

/// Appends `value` to `out`.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Reads a number at the start of `bytes` and returns it with what follows.
///
/// # Errors
/// [`FormatError::Invalid`] as the module says.
pub fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut rest = bytes;
    for shift in (0..u64::BITS).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else {
            return Err(FormatError::invalid("varint", "ends within the number"));
        };
        rest = after;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(FormatError::invalid("varint", "exceeds 64 bits"));
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && shift > 0 {
                return Err(FormatError::invalid("varint", "padded with zeros"));
            }
            return Ok((value, rest));
        }
    }
    Err(FormatError::invalid("varint", "longer than ten bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_leave_what_follows() {
        for (value, length) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16383, 2),
            (16384, 3),
            (u64::MAX >> 1, 9),
            (u64::MAX, 10),
        ] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(bytes.len(), length);
            bytes.extend([0xff, 1]);
            assert_eq!(read_varint(&bytes), Ok((value, [0xff, 1].as_slice())));
        }
    }

    #[test]
    fn truncated_padded_and_oversized_numbers_are_refused() {
        let beyond = [[0xff; 9].as_slice(), &[0x02]].concat();
        for bad in [&[][..], &[0x80], &[0x80, 0x00], &[0xff; 10], &[0x80; 11], &beyond] {
            assert!(read_varint(bad).is_err(), "{bad:x?}");
        }
    }
}
