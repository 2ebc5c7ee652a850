//! An end of a push that a test plays: it speaks the messages, and keeps to nothing but what it is told.

use ostler_format::wire::{
    Batch, Encoding, Finished, Header, Hello, Message, Offer, Ruling, Update, Verdict,
};
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long one waits for the other end: only a test that fails gets there.
const PATIENCE: Duration = Duration::from_secs(120);

/// One end.
pub(crate) struct Peer {
    reader: BufReader<UnixStream>,
}

impl Peer {
    pub(crate) fn new(line: UnixStream) -> Self {
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        line.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            reader: BufReader::new(line),
        }
    }

    /// Sends bytes; returns whether the other end is still there.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> bool {
        self.reader.get_ref().write_all(bytes).is_ok()
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &Message) -> bool {
        self.send_bytes(&bytes_of(std::slice::from_ref(message)))
    }

    /// Returns the next message; `None` if the other end is gone.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let mut header = [0; Header::LENGTH];
        self.reader.read_exact(&mut header).ok()?;
        let header = Header::parse(header).expect("we keep to the protocol");
        let mut payload = vec![0; header.length];
        self.reader.read_exact(&mut payload).ok()?;
        Some(Message::parse(header.kind, payload).expect("we keep to the protocol"))
    }

    /// Says no more.
    pub(crate) fn close(&self) {
        drop(self.reader.get_ref().shutdown(Shutdown::Write));
    }

    /// Takes all that the other end still says.
    pub(crate) fn rest(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Greets as a far end with refs, and returns the commits that are offered.
    pub(crate) fn greet_pusher(&mut self, refs: &[(&str, Checksum)]) -> Vec<Checksum> {
        self.greet_pusher_as(Hello::ours("test", ""), refs)
    }

    /// As [`greet_pusher`](Self::greet_pusher), with another greeting.
    pub(crate) fn greet_pusher_as(&mut self, hello: Hello, refs: &[(&str, Checksum)]) -> Vec<Checksum> {
        self.send(&Message::Hello(hello));
        let refs = refs.iter().map(|(name, commit)| (name.parse().unwrap(), *commit));
        self.send(&Message::Refs {
            refs: refs.collect(),
            more: false,
        });
        let mut offered = Vec::new();
        while let Some(message) = self.next() {
            match message {
                Message::Chain { commits, .. } => offered.extend(commits),
                Message::Offered => break,
                _ => {}
            }
        }
        offered
    }

    /// Pushes as a pusher that has these objects and gives them as they are asked for; returns what the far end said last.
    pub(crate) fn give(&mut self, updates: &[Message], chain: &[Checksum], bag: &Bag) -> Option<Message> {
        self.send(&Message::Hello(Hello::ours("test", "")));
        for update in updates {
            self.send(update);
        }
        self.send(&Message::Chain {
            commits: chain.to_vec(),
            more: false,
        });
        self.send(&Message::Offered);
        let mut last = None;
        while let Some(message) = self.next() {
            if let Message::Want(names) = &message {
                for name in names {
                    let known = bag.0.get(name);
                    // Detached metadata need not be there; what else is not is where this pusher stops.
                    let messages = match known {
                        Some(messages) => messages.clone(),
                        None if name.kind == ObjectType::CommitMeta => vec![plain(name, b"")],
                        None => {
                            self.close();
                            continue;
                        }
                    };
                    if !self.send_bytes(&bytes_of(&messages)) {
                        break;
                    }
                }
            }
            last = Some(message);
        }
        last
    }
}

/// Objects, with the messages that bring them.
#[derive(Default)]
pub(crate) struct Bag(pub(crate) BTreeMap<ObjectName, Vec<Message>>);

impl Bag {
    /// Adds a metadata object under its right name.
    pub(crate) fn add(&mut self, kind: ObjectType, bytes: &[u8]) -> Checksum {
        let name = ObjectName::new(Checksum::of(bytes), kind);
        self.0.insert(name, vec![plain(&name, bytes)]);
        name.checksum
    }
}

/// Returns messages as they travel.
pub(crate) fn bytes_of(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        message.write(&mut bytes).unwrap();
    }
    bytes
}

/// Returns a batch of one object, as it is.
pub(crate) fn plain(name: &ObjectName, bytes: &[u8]) -> Message {
    let mut body = Vec::new();
    Batch::push(&mut body, name, bytes);
    Message::Batch(Batch {
        encoding: Encoding::Plain,
        length: body.len(),
        body,
    })
}

/// Returns an offer to make a ref, or to move it from a commit.
pub(crate) fn update(name: &str, old: Option<Checksum>, new: Checksum) -> Message {
    Message::Offer(Offer {
        updates: vec![Update {
            name: name.parse().unwrap(),
            old,
            new: Some(new),
            force: false,
        }],
        dry_run: false,
        more: false,
    })
}

/// Returns what a far end says of refs.
pub(crate) fn verdicts(rulings: &[(&str, Ruling)]) -> Message {
    let verdict = |(name, ruling): &(&str, Ruling)| Verdict {
        name: name.parse().unwrap(),
        ruling: *ruling,
        reason: String::new(),
    };
    Message::Verdicts {
        verdicts: rulings.iter().map(verdict).collect(),
        more: false,
    }
}

/// Returns the last word of a far end.
pub(crate) fn finished() -> Message {
    Message::Finished(Finished::default())
}
