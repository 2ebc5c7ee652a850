//! Headers of cpio archives: nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::tar::CpioHeader;

fuzz_target!(|data: &[u8]| {
    if let Some(header) = data.first_chunk() {
        let _header = CpioHeader::parse(header);
    }
});
