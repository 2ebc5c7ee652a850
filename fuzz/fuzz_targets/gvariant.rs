//! Values of any type: a type string, NUL, and the bytes. What is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::gvariant::{Type, Value};

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == 0) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(&data[..end]) else {
        return;
    };
    let Ok(ty) = Type::parse(text) else { return };
    let bytes = &data[end + 1..];
    if let Ok(value) = Value::from_bytes(&ty, bytes) {
        assert_eq!(value.ty(), ty);
        assert_eq!(value.to_bytes(), bytes);
    }
});
