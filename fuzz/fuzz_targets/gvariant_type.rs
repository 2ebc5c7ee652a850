//! Type strings: what is read prints as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::gvariant::Type;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(ty) = Type::parse(text) {
        assert_eq!(ty.to_string(), text);
    }
});
