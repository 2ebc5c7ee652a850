//! ASCII armour of OpenPGP: what is in it is smaller than itself. And signature packets: those behind each other are some as well, and half
//! of them are none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::signatures::{are_signature_packets, dearmor};

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(packets)) = dearmor(data) {
        assert!(packets.len() < data.len());
    }
    if are_signature_packets(data) {
        assert!(are_signature_packets(&data.repeat(2)));
        assert!(!are_signature_packets(&data[..data.len() - 1]));
    }
});
