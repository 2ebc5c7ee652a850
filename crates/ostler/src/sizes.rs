//! Numbers of bytes as GLib's `g_format_size` writes them: decimal units, a no-break space before them.

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Returns `bytes` for people: `0 bytes`, `1 byte`, `300.0 kB`.
pub(crate) fn format_size(bytes: u64) -> String {
    match bytes {
        1 => return "1 byte".to_owned(),
        0..1000 => return format!("{bytes} bytes"),
        _ => {}
    }
    let mut unit_bytes: u64 = 1000;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        let Some(next) = unit_bytes.checked_mul(1000).filter(|next| bytes >= *next) else {
            break;
        };
        unit_bytes = next;
        unit = larger;
    }
    let value = approximate(bytes) / approximate(unit_bytes);
    format!("{value:.1}\u{a0}{unit}")
}

/// Returns `number` as a float; what is lost is far below the one digit that is shown.
#[expect(clippy::cast_precision_loss, reason = "one decimal of the quotient is shown")]
fn approximate(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_glib_writes_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0\u{a0}kB"),
            (300_000, "300.0\u{a0}kB"),
            (1_234_567, "1.2\u{a0}MB"),
            (u64::MAX, "18.4\u{a0}EB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }
}
