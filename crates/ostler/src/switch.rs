//! Values of options that are the same in several commands, in the forms that stock reads, and refused in its words.

/// Reads the truth value of options such as `--fsync=false`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "none" | "off" => Ok(false),
        _ => Err(format!("Invalid boolean argument '{}'", text.escape_debug())),
    }
}

/// Reads a number as C programs do: decimal, with `0x` hexadecimal, with `0` octal; it may have a sign.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    let refused = || format!("Cannot parse integer value “{}”", text.escape_debug());
    let trimmed = text.trim_start();
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => (16, digits),
        (None, Some(digits)) if !digits.is_empty() => (8, digits),
        _ => (10, digits),
    };
    // A second sign is no digit.
    if digits.starts_with(['+', '-']) {
        return Err(refused());
    }
    match i64::from_str_radix(digits, radix) {
        Ok(number) if number <= i64::from(u32::MAX) => Ok(if negative { -number } else { number }),
        Ok(_) => Err(format!("Integer value “{}” out of range", text.escape_debug())),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => {
            Err(format!("Integer value “{}” out of range", text.escape_debug()))
        }
        Err(_) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_c() {
        for (text, number) in [
            ("0", 0),
            ("5", 5),
            (" +5", 5),
            ("-5", -5),
            ("010", 8),
            ("0x1F", 31),
            ("-0X1", -1),
            ("4294967295", 0xFFFF_FFFF),
        ] {
            assert_eq!(integer(text), Ok(number), "{text}");
        }
        for text in [
            "",
            " ",
            "x",
            "5 ",
            "0x",
            "08",
            "--5",
            "0x-5",
            "4294967296",
            "99999999999999999999",
        ] {
            assert!(integer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn truth_has_many_names() {
        for text in ["1", "true", "YES", "On"] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["0", "FALSE", "no", "None", "off"] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        assert!(boolean("").is_err() && boolean("2").is_err());
    }
}
