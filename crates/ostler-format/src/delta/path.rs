//! Where static deltas lie, and their names.
//!
//! ```text
//! deltas/AB/REST              from nothing to commit T: T in base64, split after two characters
//! deltas/AB/REST-T            from commit F to commit T: F split after two characters, then T whole
//!   superblock 0 1 2 …        a delta exists if its superblock does
//! delta-indexes/AB/REST.index all deltas to T
//! ```
//!
//! The base64 is that of the standard alphabet with `_` for `/`, 43 characters without padding. `+` stays.

use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_";
const ENCODED: usize = 43;

/// A static delta, named by the commits between which it leads. As text, in summaries and delta indexes:
/// `<to>` or `<from>-<to>` in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeltaName {
    /// The commit that the receiver has; none for a delta from nothing.
    pub from: Option<Checksum>,
    /// The commit that it gets.
    pub to: Checksum,
}

impl DeltaName {
    /// Returns the directory of the delta within the repository, without a slash at its end.
    pub fn path(&self) -> String {
        let to = encode(&self.to);
        let whole = match &self.from {
            Some(from) => format!("{}-{to}", encode(from)),
            None => to,
        };
        split_path("deltas", &whole)
    }

    /// Reads the two parts of a delta's path below `deltas/`. Returns `None` for what is not a delta's directory.
    pub fn from_path(directory: &str, file: &str) -> Option<Self> {
        if directory.len() != 2 {
            return None;
        }
        let whole = format!("{directory}{file}");
        Some(match whole.split_once('-') {
            Some((from, to)) => Self {
                from: Some(decode(from)?),
                to: decode(to)?,
            },
            None => Self {
                from: None,
                to: decode(&whole)?,
            },
        })
    }
}

impl fmt::Display for DeltaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(from) = &self.from {
            write!(f, "{from}-")?;
        }
        write!(f, "{}", self.to)
    }
}

impl FromStr for DeltaName {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self> {
        let (from, to) = match text.split_once('-') {
            Some((from, to)) => (Some(Checksum::from_hex(from)?), to),
            None => (None, text),
        };
        let to = Checksum::from_hex(to)?;
        Ok(Self { from, to })
    }
}

/// Returns the directory of the delta between two commits within the repository, without a slash at its end.
pub fn delta_path(from: Option<&Checksum>, to: &Checksum) -> String {
    DeltaName {
        from: from.copied(),
        to: *to,
    }
    .path()
}

/// Returns the path within the repository of the index of all deltas to a commit.
pub fn delta_index_path(to: &Checksum) -> String {
    split_path("delta-indexes", &encode(to)) + ".index"
}

/// Reads the two parts of the path of an index below `delta-indexes/` and returns the commit that it is for.
pub fn parse_delta_index_path(directory: &str, file: &str) -> Option<Checksum> {
    let rest = file.strip_suffix(".index")?;
    (directory.len() == 2).then(|| decode(&format!("{directory}{rest}")))?
}

fn split_path(top: &str, name: &str) -> String {
    let (directory, rest) = name.split_at(2);
    format!("{top}/{directory}/{rest}")
}

fn encode(checksum: &Checksum) -> String {
    let mut text = String::with_capacity(ENCODED);
    let mut push = |bits: u32| {
        let digit = usize::try_from(bits & 63).ok().and_then(|at| ALPHABET.get(at));
        text.push(char::from(digit.copied().unwrap_or_default()));
    };
    for chunk in checksum.as_bytes().chunks(3) {
        let mut group = [0; 4];
        for (slot, byte) in group.iter_mut().skip(1).zip(chunk) {
            *slot = *byte;
        }
        let bits = u32::from_be_bytes(group);
        [18, 12, 6, 0]
            .into_iter()
            .take(chunk.len() + 1)
            .for_each(|shift| push(bits >> shift));
    }
    text
}

fn decode(text: &str) -> Option<Checksum> {
    if text.len() != ENCODED {
        return None;
    }
    let mut bytes = Vec::with_capacity(33);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = ALPHABET.iter().position(|known| known == digit)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        if group.len() == 3 {
            // Two bits of the last digit are beyond the 32 bytes: they must be zero.
            if bits & 3 != 0 {
                return None;
            }
            bits <<= 6;
        }
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(decoded.get(..group.len() - 1)?);
    }
    Checksum::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: &str = "6ad4764a8e30c63c461a663c10b2e35be8af0df5a84b402cf2d8e43a9903820c";

    #[test]
    fn paths_are_those_of_stock_tools() {
        let to = Checksum::from_hex(TO).unwrap();
        assert_eq!(
            delta_path(None, &to),
            "deltas/at/R2So4wxjxGGmY8ELLjW+ivDfWoS0As8tjkOpkDggw"
        );
        assert_eq!(
            delta_index_path(&to),
            "delta-indexes/at/R2So4wxjxGGmY8ELLjW+ivDfWoS0As8tjkOpkDggw.index"
        );
        let from = Checksum::from_bytes([0xff; 32]);
        assert_eq!(
            delta_path(Some(&from), &to),
            "deltas/__/________________________________________8-atR2So4wxjxGGmY8ELLjW+ivDfWoS0As8tjkOpkDggw"
        );
    }

    #[test]
    fn names_and_paths_read_back() {
        for from in [None, Some(Checksum::of(b"from"))] {
            let name = DeltaName {
                from,
                to: Checksum::of(b"to"),
            };
            assert_eq!(name.to_string().parse(), Ok(name));
            let path = name.path();
            let (directory, file) = path.strip_prefix("deltas/").unwrap().split_once('/').unwrap();
            assert_eq!(DeltaName::from_path(directory, file), Some(name));
            let index = delta_index_path(&name.to);
            let (directory, file) = index
                .strip_prefix("delta-indexes/")
                .unwrap()
                .split_once('/')
                .unwrap();
            assert_eq!(parse_delta_index_path(directory, file), Some(name.to));
        }
    }

    #[test]
    fn what_is_no_delta_is_refused() {
        let whole = "R2So4wxjxGGmY8ELLjW+ivDfWoS0As8tjkOpkDggw";
        let unclean = whole.replace("ggw", "ggx");
        for (directory, file) in [
            ("at", "x"),
            ("a", whole),
            ("at", &unclean),
            ("at", whole.strip_prefix('R').unwrap()),
            ("é", whole),
        ] {
            assert_eq!(DeltaName::from_path(directory, file), None, "{directory}/{file}");
        }
        for bad in [
            "",
            "-",
            TO.to_uppercase().as_str(),
            &format!("{TO}-"),
            &format!("-{TO}"),
            &format!("{TO}-{TO}-"),
        ] {
            assert!(bad.parse::<DeltaName>().is_err(), "{bad}");
        }
    }
}
