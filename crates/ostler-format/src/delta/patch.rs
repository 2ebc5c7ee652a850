//! The patches of bsdiff, without any header of a file.
//!
//! Shape: repeated control of 24 bytes, bytes to be added to those of the old file, bytes to be taken as they are. The
//! control is three numbers of eight bytes, little endian with the sign in the top bit: how many bytes to add, how many
//! to take, how far to move in the old file then. Refused are negative lengths.

use crate::error::{FormatError, Result};

/// The size of a control in bytes.
pub const PATCH_CONTROL: usize = 24;

/// A control of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchControl {
    /// How many bytes are added to those of the old file.
    pub add: u64,
    /// How many bytes are taken as they are.
    pub take: u64,
    /// How far to move in the old file then.
    pub seek: i64,
}

impl PatchControl {
    /// Reads a control.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for negative lengths.
    pub fn parse(bytes: &[u8; PATCH_CONTROL]) -> Result<Self> {
        let [add, take, seek] = [0, 8, 16].map(|at| {
            let number = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
            number.map(u64::from_le_bytes).unwrap_or_default()
        });
        let length = |number: u64| match u64::try_from(signed(number)) {
            Ok(length) => Ok(length),
            Err(_negative) => Err(FormatError::invalid("patch", "a length is negative")),
        };
        Ok(Self {
            add: length(add)?,
            take: length(take)?,
            seek: signed(seek),
        })
    }

    /// Returns the bytes of the control.
    pub fn to_bytes(&self) -> [u8; PATCH_CONTROL] {
        let sign = if self.seek < 0 { 1 << 63 } else { 0 };
        let numbers = [self.add, self.take, self.seek.unsigned_abs() | sign].map(u64::to_le_bytes);
        let mut bytes = [0; PATCH_CONTROL];
        for (slot, byte) in bytes.iter_mut().zip(numbers.as_flattened()) {
            *slot = *byte;
        }
        bytes
    }
}

/// Reads a number with its sign in the top bit.
fn signed(number: u64) -> i64 {
    const SIGN: u64 = 1 << 63;
    let magnitude = i64::try_from(number & !SIGN).unwrap_or(i64::MAX);
    if number & SIGN == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_read_back_with_their_sign_in_the_top_bit() {
        for seek in [0, 1, -1, i64::MAX, -i64::MAX] {
            let control = PatchControl {
                add: 5,
                take: 1 << 40,
                seek,
            };
            assert_eq!(PatchControl::parse(&control.to_bytes()), Ok(control));
        }
        let back = PatchControl {
            add: 0,
            take: 0,
            seek: -2,
        };
        assert_eq!(back.to_bytes()[16..], [2, 0, 0, 0, 0, 0, 0, 0x80]);
    }

    #[test]
    fn negative_lengths_are_refused() {
        for at in [7, 15] {
            let mut bytes = [1; PATCH_CONTROL];
            bytes[at] |= 0x80;
            assert!(PatchControl::parse(&bytes).is_err());
        }
    }
}
