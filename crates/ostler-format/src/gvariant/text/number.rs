//! Numbers as they are written: decimal, `0x` hexadecimal, `0` octal, fractions and exponents.

/// Returns whether a number without a declared type is a `d`: it has a point, an exponent, or is `inf` or
/// `nan`. (`-0xe` is one too, as for GLib: only `0x` at the very start tells a digit `e` from an exponent.)
pub(super) fn looks_fractional(digits: &str) -> bool {
    digits.contains('.')
        || (digits.contains('e') && !digits.starts_with("0x"))
        || digits.contains("inf")
        || digits.contains("nan")
}

/// Returns an integer; it fits into 65 bits.
pub(super) fn integer(text: &str) -> Result<i128, &'static str> {
    let (negative, digits) = sign(text);
    let magnitude = i128::from(magnitude(digits)?);
    Ok(if negative { -magnitude } else { magnitude })
}

/// Returns a fraction.
pub(super) fn double(text: &str) -> Result<f64, &'static str> {
    let (negative, digits) = sign(text);
    let value = if hex_digits(digits).is_some() {
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is wanted")]
        let value = magnitude(digits)? as f64;
        value
    } else {
        match digits.parse::<f64>() {
            Ok(value) if !digits.starts_with(['+', '-']) => value,
            _ => return Err("this is no number"),
        }
    };
    if value.is_infinite() && digits.contains(|c: char| c.is_ascii_digit()) {
        return Err("the number is too big for any type");
    }
    Ok(if negative { -value } else { value })
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn hex_digits(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

fn magnitude(text: &str) -> Result<u64, &'static str> {
    let (radix, digits) = match (hex_digits(text), text.strip_prefix('0')) {
        (Some(digits), _) => (16, digits),
        (None, Some(digits)) if !digits.is_empty() => (8, digits),
        _ => (10, text),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(match radix {
            16 => "this is no hexadecimal number",
            8 => "this is no octal number (a leading 0 means octal)",
            _ => "this is no whole number",
        });
    }
    u64::from_str_radix(digits, radix).or(Err("the number is too big for any type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_three_bases() {
        let table: [(&str, Option<i128>); 16] = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+5", Some(5)),
            ("010", Some(8)),
            ("-0x1F", Some(-31)),
            ("0XfF", Some(255)),
            ("18446744073709551615", Some(u64::MAX.into())),
            ("18446744073709551616", None),
            ("08", None),
            ("0x", None),
            ("0xx1", None),
            ("-", None),
            ("--5", None),
            ("-+5", None),
            ("1.5", None),
            ("5-", None),
        ];
        for (text, value) in table {
            assert_eq!(integer(text).ok(), value, "{text}");
        }
    }

    #[test]
    fn fractions_are_read_as_the_nearest_double() {
        let table = [
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("-.5e-3", Some(-0.0005)),
            ("1E3", Some(1000.0)),
            ("1e-400", Some(0.0)),
            ("-0xe", Some(-14.0)),
            ("inf", Some(f64::INFINITY)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("1e400", None),
            ("0x1.8p3", None),
            (".", None),
            ("1e", None),
            ("--1.0", None),
            ("-+1.0", None),
            ("1.2.3", None),
        ];
        for (text, value) in table {
            let found = double(text).ok().map(f64::to_bits);
            assert_eq!(found, value.map(f64::to_bits), "{text}");
        }
        assert!(double("-nan").unwrap().is_nan());
    }
}
