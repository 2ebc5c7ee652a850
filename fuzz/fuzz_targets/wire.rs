//! Messages of a push: the first byte is the type, the rest the payload. What is read is written again as it was, and the entries
//! of a batch fill it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::wire::{Batch, Header, Message};

fuzz_target!(|data: &[u8]| {
    let Some((kind, payload)) = data.split_first() else {
        return;
    };
    if let Ok(entries) = Batch::entries(payload) {
        let mut plain = Vec::new();
        for entry in &entries {
            Batch::push(&mut plain, &entry.name, entry.bytes);
        }
        assert_eq!(plain, payload);
    }
    let Ok(message) = Message::parse(*kind, payload.to_vec()) else {
        return;
    };
    let mut written = Vec::new();
    message.write(&mut written).expect("what fitted fits again");
    let (header, body) = written.split_first_chunk().expect("a header");
    let header = Header::parse(*header).expect("our own");
    assert_eq!((header.kind, header.length), (*kind, body.len()));
    // Later versions add to what these hold.
    if !matches!(message, Message::Hello(_) | Message::Unknown(_)) {
        assert_eq!(body, payload);
    }
});
