//! Spans of time on the command line.

use ostler_transfer::parse_span;
use std::str::FromStr;

/// A span: `24h`, `7d`, `1d12h`, `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(u64);

impl Span {
    /// How long what is retired stays where nothing else is said.
    pub(crate) const GRACE: &str = "24h";

    /// Returns its seconds.
    pub(crate) const fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_span(text)
            .map(Self)
            .ok_or_else(|| "numbers with w, d, h, m or s are expected, such as 7d or 1d12h, or 0".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_grace_is_a_day() {
        assert_eq!(Span::GRACE.parse(), Ok(Span(86_400)));
        assert!("7".parse::<Span>().is_err());
    }
}
