//! ASCII armour of OpenPGP: what is in it is smaller than itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::signatures::dearmor;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(packets)) = dearmor(data) {
        assert!(packets.len() < data.len());
    }
});
