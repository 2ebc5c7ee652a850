//! Parts of static deltas: layout, lists and operations of whatever bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::delta::{
    Operations, PartLayout, PatchControl, parse_part_modes, parse_part_xattrs, part_tail, push_operation,
};
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::ops::Range;

fuzz_target!(|data: &[u8]| {
    if let Some(control) = data.first_chunk() {
        let _ = PatchControl::parse(control);
    }
    let total = data.len() as u64;
    let Some(tail) = data.len().checked_sub(part_tail(total)) else {
        return;
    };
    let Ok(layout) = PartLayout::read(total, &data[tail..]) else {
        return;
    };
    let cut = |range: &Range<u64>| &data[range.start as usize..range.end as usize];
    let _ = parse_part_modes(cut(&layout.modes));
    let _ = parse_part_xattrs(cut(&layout.xattrs));
    let objects = [ObjectType::DirTree, ObjectType::File, ObjectType::File]
        .map(|kind| ObjectName::new(Checksum::of(b"object"), kind));
    let operations = cut(&layout.operations);
    if let Ok(read) = Operations::new(operations, &objects).collect::<Result<Vec<_>, _>>() {
        let mut written = Vec::new();
        for operation in &read {
            push_operation(&mut written, operation);
        }
        assert_eq!(written, operations);
    }
});
