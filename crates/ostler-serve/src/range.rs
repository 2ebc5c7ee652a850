//! Which part of a file a request asks for.
//!
//! One range of bytes is understood: `bytes=FIRST-LAST`, `bytes=FIRST-`, `bytes=-LENGTH`. Several at once, and what cannot be
//! read, are answered with the whole file, which the protocol allows.

use hyper::header::{self, HeaderMap};
use std::ops::Range;
use std::time::SystemTime;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// The range begins behind the end.
    Unsatisfiable,
}

/// Reads what is asked of a file of `size` bytes in the state that `tag` and `modified` tell.
pub(crate) fn asked(headers: &HeaderMap, size: u64, tag: &str, modified: Option<SystemTime>) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE) else {
        return Part::Whole;
    };
    let same = text(header::IF_RANGE).is_none_or(|state| {
        state == tag
            || httpdate::parse_http_date(state)
                .ok()
                .is_some_and(|time| Some(time) == modified)
    });
    if same {
        parse(range, size).unwrap_or(Part::Whole)
    } else {
        Part::Whole
    }
}

fn parse(range: &str, size: u64) -> Option<Part> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        plain.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let bytes = if first.is_empty() {
        size.saturating_sub(number(last)?)..size
    } else {
        let first = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        if last < first {
            return None;
        }
        first..last.saturating_add(1).min(size)
    };
    Some(if bytes.is_empty() {
        Part::Unsatisfiable
    } else {
        Part::Bytes(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood() {
        for (range, part) in [
            ("bytes=2-5", Some(Part::Bytes(2..6))),
            ("bytes=5-", Some(Part::Bytes(5..10))),
            ("bytes=-3", Some(Part::Bytes(7..10))),
            ("bytes=-30", Some(Part::Bytes(0..10))),
            ("bytes=0-99999999999999999999999", Some(Part::Bytes(0..10))),
            ("bytes=10-", Some(Part::Unsatisfiable)),
            ("bytes=99999999999999999999999-", Some(Part::Unsatisfiable)),
            ("bytes=-0", Some(Part::Unsatisfiable)),
            ("bytes=5-2", None),
            ("bytes=+1-2", None),
            ("bytes=1-2,4-5", None),
            ("bytes=-", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(parse(range, 10), part, "{range}");
        }
    }
}
