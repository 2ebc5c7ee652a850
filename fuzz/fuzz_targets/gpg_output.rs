//! What gpg says: nothing panics, and nothing is good without the line that says so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::signatures::{GpgVerdict, parse_gpg_import, parse_gpg_listing, parse_gpg_status};

fuzz_target!(|data: &[u8]| {
    let _keys = parse_gpg_listing(data);
    let _counts = parse_gpg_import(data);
    let good = parse_gpg_status(data)
        .iter()
        .filter(|found| found.verdict == GpgVerdict::Good)
        .count();
    let lines = data
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"[GNUPG:] VALIDSIG "))
        .count();
    assert!(good <= lines);
});
