//! The text form of values: what is read and printed reads as the same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::gvariant::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(value) = Value::parse_text(text, None) else {
        return;
    };
    let printed = value.print(true);
    let again = Value::parse_text(&printed, None).expect("what was printed");
    assert_eq!(again.ty(), value.ty(), "{printed}");
    // Bytes, because not-a-number is no number's equal.
    assert_eq!(again.to_bytes(), value.to_bytes(), "{printed}");
    let _ = value.print(false);
});
