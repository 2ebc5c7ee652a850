//! Sizes in a file of rules: a number of bytes, or a text with a unit (`"512K"`, `"20G"`), in powers of 1024.

use super::file::Source;
use crate::error::Result;
use serde::Deserialize;
use toml::Spanned;

/// A number, or a number with a unit.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    Number(u64),
    Text(String),
}

impl Size {
    fn bytes(&self) -> Option<u64> {
        match self {
            Self::Number(bytes) => Some(*bytes),
            Self::Text(text) => parse(text),
        }
    }
}

/// Returns the bytes that a size means.
pub(super) fn read(source: &Source<'_>, size: &Spanned<Size>) -> Result<u64> {
    let expected = "a number of bytes is expected, or one with K, M, G or T, as in \"20G\"";
    let bytes = size.get_ref().bytes();
    bytes.ok_or_else(|| source.wrong(size.span(), expected))
}

/// Returns a size with the largest unit that fits it exactly.
pub(super) fn text(bytes: u64) -> String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)?.trim_end_matches("iB") {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_are_written_with_them() {
        for (written, bytes, shown) in [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("2048", 2048, "2K"),
            ("20G", 20 << 30, "20G"),
            ("3MiB", 3 << 20, "3M"),
        ] {
            assert_eq!(parse(written), Some(bytes), "{written}");
            assert_eq!(text(bytes), shown, "{written}");
        }
        for wrong in ["", "G", "-1", "+1", "1.5G", "1 G", "1Q", "99999999T", "1GB"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
