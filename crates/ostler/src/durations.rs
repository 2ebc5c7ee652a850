//! Lengths of time as users write them: `90`, `90s`, `30m`, `24h`, `7d`, `2w`.

use anyhow::anyhow;

/// The units, by what follows the number.
const UNITS: [(&str, u64); 6] = [
    ("", 1),
    ("s", 1),
    ("m", 60),
    ("h", 60 * 60),
    ("d", 24 * 60 * 60),
    ("w", 7 * 24 * 60 * 60),
];

/// Reads a length of time; returns it in seconds.
pub(crate) fn parse(text: &str) -> anyhow::Result<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let seconds = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, seconds)| *seconds);
    let number = digits
        .parse::<u64>()
        .ok()
        .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let product = seconds
        .zip(number)
        .and_then(|(unit, number)| number.checked_mul(unit));
    product.ok_or_else(|| {
        let text = text.escape_debug();
        anyhow!("'{text}' is no length of time: write a whole number and s, m, h, d or w, as in 24h")
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_unit_is_known() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("30m", 1800),
            ("24h", 86_400),
            ("7d", 604_800),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse(text).unwrap(), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in [
            "",
            "h",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "1y",
            "1H",
            "99999999999999999999",
            "99999999999999999w",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
