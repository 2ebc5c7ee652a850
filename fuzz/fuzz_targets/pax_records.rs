//! Records of pax: those that are read are written as they were, but for how their length is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::tar::{PaxAttributes, PaxRecords, push_pax_record};

fuzz_target!(|data: &[u8]| {
    let Ok(records) = PaxRecords::new(data).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let mut written = Vec::new();
    for (key, value) in &records {
        push_pax_record(&mut written, key, value);
    }
    let again: Result<Vec<_>, _> = PaxRecords::new(&written).collect();
    assert_eq!(again.as_ref(), Ok(&records));
    let _attributes = PaxAttributes::parse(data);
});
