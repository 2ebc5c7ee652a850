//! The numbers of tar headers: octal digits, or, where these do not suffice, big-endian binary behind a set bit.
//!
//! Octal digits may stand between spaces and end at a NUL; a blank field is 0, as old writers leave it. Refused are
//! other characters, negative numbers and those of more than 64 bits.

use crate::error::{FormatError, Result};

/// The bit of the first byte that says that the field is binary.
const BINARY: u8 = 0x80;

pub(super) fn parse(what: &'static str, field: &[u8]) -> Result<u64> {
    let invalid = || FormatError::invalid(what, format!("number '{}'", field.escape_ascii()));
    match field.split_first() {
        Some((first, rest)) if first & BINARY != 0 => {
            let mut number = u64::from(first & !BINARY);
            // A field of twelve bytes holds 95 bits; a negative number has them all set.
            for byte in rest {
                if number >> 56 != 0 {
                    return Err(invalid());
                }
                number = number << 8 | u64::from(*byte);
            }
            Ok(number)
        }
        _ => octal(field).ok_or_else(invalid),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let digits = field.get(..end)?.trim_ascii();
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        number.checked_mul(8)?.checked_add(u64::from(digit))
    })
}

/// Writes a number as octal digits with a NUL behind them. Returns whether there was room.
pub(super) fn write(field: &mut [u8], number: u64) -> bool {
    let width = field.len().saturating_sub(1);
    let digits = format!("{number:0width$o}");
    if digits.len() > width {
        return false;
    }
    for (slot, digit) in field.iter_mut().zip(digits.bytes().chain([0])) {
        *slot = digit;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_and_binary_fields_are_read() {
        for (field, number) in [
            (&b"0000755\0"[..], Some(0o755)),
            (b"   644 \0", Some(0o644)),
            (b"644 junk", None),
            (b"644\0junk", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"8", None),
            (b"-1", None),
            (b"\x80\0\0\0\0\0\x01\x02", Some(0x102)),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", Some(u64::MAX)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"", Some(0)),
        ] {
            assert_eq!(parse("number", field).ok(), number, "{}", field.escape_ascii());
        }
        let beyond = b"7777777777777777777777777";
        assert!(parse("number", beyond).is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut field = [0xff; 8];
        assert!(write(&mut field, 0o7_777_777));
        assert_eq!(&field, b"7777777\0");
        assert!(!write(&mut field, 0o10_000_000));
        assert!(write(&mut field, 5));
        assert_eq!(parse("number", &field), Ok(5));
    }
}
