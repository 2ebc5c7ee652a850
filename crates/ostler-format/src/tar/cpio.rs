//! The header of an entry of a cpio archive, in the form `newc` that initial file systems of Linux have.
//!
//! Shape: 110 characters, the magic `070701` (or `070702`, with a sum of the bytes, which is not looked at) and
//! thirteen numbers of eight hexadecimal digits; then the name with a NUL, filled up with zeros so that header and name
//! are a multiple of four bytes, and the content, filled up in the same way. A file named `TRAILER!!!` is the end.
//!
//! Refused are other magics and digits, and names of more than [`MAX_NAME`] bytes.

use crate::error::{FormatError, Result};
use crate::limits::check_size;

/// The size of the header, without the name.
pub const CPIO_HEADER: usize = 110;

const WHAT: &str = "cpio header";
/// The longest path of Linux, with its NUL.
const MAX_NAME: u64 = 4096;

/// What the header of an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpioHeader {
    /// The number of the file on its device.
    pub inode: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// How many names the file has.
    pub links: u32,
    /// The size of the content.
    pub size: u32,
    /// The device, major and minor number.
    pub device: (u32, u32),
    /// The length of the name, with its NUL.
    pub name_length: u32,
}

impl CpioHeader {
    /// Returns whether these bytes begin such an archive.
    pub fn is_magic(bytes: &[u8]) -> bool {
        bytes.starts_with(b"070701") || bytes.starts_with(b"070702")
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`FormatError`] as the module says.
    pub fn parse(bytes: &[u8; CPIO_HEADER]) -> Result<Self> {
        if !Self::is_magic(bytes) {
            return Err(FormatError::invalid(WHAT, "unknown magic"));
        }
        let number = |index: usize| {
            let digits = bytes.get(6 + 8 * index..14 + 8 * index).unwrap_or_default();
            hexadecimal(digits)
                .ok_or_else(|| FormatError::invalid(WHAT, format!("number '{}'", digits.escape_ascii())))
        };
        let header = Self {
            inode: number(0)?,
            mode: number(1)?,
            uid: number(2)?,
            gid: number(3)?,
            links: number(4)?,
            size: number(6)?,
            device: (number(7)?, number(8)?),
            name_length: number(11)?,
        };
        check_size("name in a cpio archive", u64::from(header.name_length), MAX_NAME)?;
        Ok(header)
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(number << 4 | value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8; CPIO_HEADER] = b"070701000000A1000081ED000003E800000064000000020000000000000010\
                                        0000000800000001000000000000000000000006000000FF";

    #[test]
    fn numbers_are_where_they_belong() {
        let header = CpioHeader {
            inode: 0xa1,
            mode: 0o100_755,
            uid: 1000,
            gid: 100,
            links: 2,
            size: 16,
            device: (8, 1),
            name_length: 6,
        };
        assert_eq!(CpioHeader::parse(BYTES), Ok(header));
    }

    #[test]
    fn other_magics_digits_and_long_names_are_refused() {
        for (at, byte) in [(5, b'7'), (20, b'G'), (20, b'-'), (94, b'F')] {
            let mut bytes = *BYTES;
            bytes[at] = byte;
            assert!(CpioHeader::parse(&bytes).is_err(), "{at}");
        }
    }
}
