//! Spans of time as users write them: `24h`, `7d`, `90m`, `1d12h`.

/// Units, with the seconds of each.
const UNITS: [(char, u64); 5] = [
    ('s', 1),
    ('m', 60),
    ('h', 60 * 60),
    ('d', 24 * 60 * 60),
    ('w', 7 * 24 * 60 * 60),
];

/// Reads a span: numbers with a unit each (`w`, `d`, `h`, `m`, `s`), or `0`. Returns seconds; `None` for what is no span.
pub fn parse_span(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut sum: u64 = 0;
    let mut number: Option<u64> = None;
    for letter in text.chars() {
        if let Some(digit) = letter.to_digit(10) {
            let before = number.unwrap_or(0).checked_mul(10)?;
            number = Some(before.checked_add(u64::from(digit))?);
        } else {
            let (_, seconds) = UNITS.iter().find(|(unit, _)| *unit == letter)?;
            sum = sum.checked_add(number.take()?.checked_mul(*seconds)?)?;
        }
    }
    // A number without a unit is left over.
    (number.is_none() && !text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_units() {
        for (text, seconds) in [
            ("0", 0),
            ("0h", 0),
            ("45s", 45),
            ("90m", 5400),
            ("24h", 86_400),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1d12h", 129_600),
        ] {
            assert_eq!(parse_span(text), Some(seconds), "{text}");
        }
        for bad in [
            "",
            "7",
            "d",
            "7x",
            "-1d",
            "1 d",
            "7d3",
            "99999999999999999999s",
            "99999999999999999w",
        ] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }
}
