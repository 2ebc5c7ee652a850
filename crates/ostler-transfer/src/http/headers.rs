//! The few values of headers that reqwest leaves to us.
//!
//! Each reader takes whatever a server sends and returns `None` for what breaks the grammar of RFC 9110.

use httpdate::parse_http_date;
use std::time::{Duration, UNIX_EPOCH};

/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Reads `Content-Range: bytes FIRST-LAST/TOTAL`; returns the first and the last byte, and the size of the whole if it is known.
pub fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = match total {
        "*" => None,
        total => Some(number(total)?),
    };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, last, total))
}

/// Reads `Retry-After`: seconds, or a date, which counts from the server's own `Date`. At most a minute.
pub fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    let pause = if let Some(seconds) = number(value) {
        Duration::from_secs(seconds)
    } else {
        let (then, now) = (parse_http_date(value).ok()?, parse_http_date(date?).ok()?);
        then.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// Reads a date of HTTP as seconds since the epoch.
pub fn date(value: &str) -> Option<u64> {
    let time = parse_http_date(value).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// Writes seconds since the epoch as a date of HTTP; `None` where there is no such year.
pub(crate) fn to_date(seconds: u64) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    (seconds < YEAR_10000).then(|| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// Returns whether an entity tag stands for equal bytes, and not only for equal meaning.
pub(crate) fn is_strong(etag: &str) -> bool {
    etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_servers_send_is_read_without_a_panic(value in "(bytes )?[0-9-/* ,:GMT]{0,40}|\\PC{0,40}") {
            if let Some((first, last, Some(total))) = content_range(&value) {
                prop_assert!(first <= last && last < total);
            }
            if let Some(pause) = retry_after(&value, Some(&value)) {
                prop_assert!(pause <= LONGEST_PAUSE);
            }
            let _seconds = date(&value).and_then(to_date);
        }
    }

    #[test]
    fn ranges_are_read_and_nonsense_is_none() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, 0, None)));
        for bad in [
            "",
            "bytes",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes */10",
            "octets 0-1/2",
            "bytes -1-2/3",
            "bytes 0-99999999999999999999/*",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn pauses_that_servers_ask_for_are_bounded() {
        assert_eq!(retry_after("2", None), Some(Duration::from_secs(2)));
        assert_eq!(retry_after("999999", None), Some(LONGEST_PAUSE));
        assert_eq!(retry_after("99999999999999999999999", None), None);
        let (early, late) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:40 GMT");
        assert_eq!(retry_after(late, Some(early)), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(early, Some(late)), Some(Duration::ZERO));
        assert_eq!(retry_after(late, None), None);
        assert_eq!(retry_after("soon", Some(early)), None);
    }

    #[test]
    fn dates_go_both_ways() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(
            to_date(784_111_777).as_deref(),
            Some("Sun, 06 Nov 1994 08:49:37 GMT")
        );
        assert_eq!(to_date(u64::MAX), None);
        assert!(is_strong("\"a\"") && !is_strong("W/\"a\"") && !is_strong("a"));
    }
}
