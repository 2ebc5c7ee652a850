//! Times as users write and read them; inside, a time is seconds since the epoch, UTC.

use crate::environment::Environment;
use anyhow::{anyhow, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::num::IntErrorKind;

/// Reads a time in the grammar of GNU `date`: `@SECONDS`, `2026-11-23 06:00:00 UTC`, `3 days ago`.
///
/// Relative times count from `now`; a time without a zone is local.
pub(crate) fn parse(text: &str, now: u64) -> anyhow::Result<u64> {
    if let Some(seconds) = text.strip_prefix('@').and_then(|digits| digits.parse().ok()) {
        return Ok(seconds);
    }
    let now = zoned(now, TimeZone::system())?;
    let parsed = parse_datetime::parse_datetime_at_date(now, text)
        .map_err(|error| anyhow!("Could not parse '{}': {error}", text.escape_debug()))?;
    // Commits hold no sign: libostree stores a time before 1970 as the number with the same bits, and so do we.
    Ok(parsed.unix_epoch_second().cast_unsigned())
}

/// Returns the time of a commit that is given none: `SOURCE_DATE_EPOCH`, else now.
pub(crate) fn of_new_commit(environment: &Environment) -> anyhow::Result<u64> {
    let Some(epoch) = &environment.source_date_epoch else {
        return Ok(environment.now());
    };
    // In the words that scripts look for. No date is shown for a number that does not fit.
    match epoch.to_str().map(str::parse::<i64>) {
        // One before 1970 as for `--timestamp`.
        Some(Ok(seconds)) => Ok(seconds.cast_unsigned()),
        Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => {
            bail!(
                "Parsing SOURCE_DATE_EPOCH: Numerical result out of range: '{}'",
                epoch.display()
            )
        }
        _ => bail!(
            "Failed to convert SOURCE_DATE_EPOCH: '{}' is no number of seconds",
            epoch.display()
        ),
    }
}

/// Returns the form of `show` and `log`: `2023-11-14 22:13:20 +0000`, in UTC.
pub(crate) fn commit_date(seconds: u64) -> String {
    match zoned(seconds, TimeZone::UTC) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S +0000").to_string(),
        Err(_) => format!("@{seconds}"),
    }
}

/// Returns the form of `summary --view`: `2023-11-14T22:13:20+00`, in local time.
pub(crate) fn summary_date(seconds: u64) -> String {
    match zoned(seconds, TimeZone::system()) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S%:::z").to_string(),
        Err(_) => "invalid".to_owned(),
    }
}

/// Returns the form of signatures: `Tue Nov 14 22:13:20 2023`, in local time.
pub(crate) fn local_text(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => {
            let time = time.to_zoned(TimeZone::system());
            time.strftime("%a %b %e %H:%M:%S %Y").to_string()
        }
        Err(_) => format!("@{seconds}"),
    }
}

/// Returns the form of `find-remotes`: `2023-11-14T22:13:20Z`.
pub(crate) fn found_date(seconds: u64) -> String {
    match zoned(seconds, TimeZone::UTC) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => "invalid".to_owned(),
    }
}

/// Returns the time in a zone.
///
/// # Errors
/// A time after the year 9999; commits may claim one. Those before 1970 are large numbers, see [`parse`].
fn zoned(seconds: u64, zone: TimeZone) -> anyhow::Result<jiff::Zoned> {
    Ok(Timestamp::from_second(seconds.cast_signed())?.to_zoned(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_gnu_date_reads_them() {
        let now = 1_700_000_000;
        for (text, seconds) in [
            ("@1", 1),
            ("@1700000000", 1_700_000_000),
            ("1970-01-02 00:00:00 UTC", 86_400),
            ("2023-12-01T10:00:00Z", 1_701_424_800),
            ("2023-12-01 10:00:00 +0100", 1_701_421_200),
            ("1 hour ago", now - 3600),
            ("now", now),
        ] {
            assert_eq!(parse(text, now).unwrap(), seconds, "{text}");
        }
        for (text, seconds) in [("@-1", -1_i64), ("1960-01-01 UTC", -315_619_200)] {
            assert_eq!(parse(text, now).unwrap(), seconds.cast_unsigned(), "{text}");
        }
        for bad in ["garbage", "@x"] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_are_shown_for_every_number_that_a_commit_may_carry() {
        assert_eq!(commit_date(1_700_000_000), "2023-11-14 22:13:20 +0000");
        assert_eq!(commit_date(253_402_000_000), "9999-12-28 12:26:40 +0000");
        assert_eq!(commit_date(253_402_300_800), "@253402300800");
        assert_eq!(commit_date((-5_i64).cast_unsigned()), "1969-12-31 23:59:55 +0000");
        assert_eq!(commit_date(1 << 63), format!("@{}", 1_u64 << 63));
    }
}
