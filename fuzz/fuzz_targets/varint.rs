//! Numbers of variable length: what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{read_varint, write_varint};

fuzz_target!(|data: &[u8]| {
    if let Ok((value, rest)) = read_varint(data) {
        let mut bytes = Vec::new();
        write_varint(&mut bytes, value);
        assert_eq!(bytes, data[..data.len() - rest.len()]);
    }
});
