//! Messages between two ostlers of which one pushes to a repository of the other; `docs/protocol.md` says who sends what
//! when.
//!
//! Shape of a message: type (1 byte), length of the payload (4), payload. All numbers are unsigned and big endian. A payload
//! has at most [`MAX_PAYLOAD`] bytes; what needs more is split into several messages, all but the last of which say that more
//! follows.
//!
//! | type | message | payload |
//! | --- | --- | --- |
//! | 1 | [`Hello`] | see there |
//! | 2 | refs | more (1), then entries: length of the name (2), name, commit (32) |
//! | 3 | offer | more (1), flags (1: bit 0 try only), then entries, see [`Update`] |
//! | 4 | chain | more (1), then commits (32 each), newest first |
//! | 5 | offered | empty |
//! | 6 | want | entries: type of the object (1), checksum (32) |
//! | 7 | batch | see [`Batch`] |
//! | 8 | content | checksum (32), bytes of the `.filez` |
//! | 9 | begin | type of the object (1), checksum (32) |
//! | 10 | data | bytes |
//! | 11 | end | empty |
//! | 12 | verdicts | more (1), then entries, see [`Verdict`] |
//! | 13 | finished | see [`Finished`] |
//! | 14 | note | UTF-8 text |
//! | 15 | alive | empty |
//! | 16 | error | UTF-8 text |
//! | 128 | beside | entries, see [`SignedRef`] |
//! | 129 | joined | entries, see [`Joined`] |
//!
//! Refused are: unknown types below 128 (those from 128 on are left out by who does not know them), payloads that are longer,
//! names that are no names of refs, objects of other types than content, dirtree, dirmeta, commit and detached metadata, flags
//! that are not zero or one, and bytes behind the end of a payload (except of [`Hello`], to which later versions add).

mod batch;
mod beside;
mod cursor;
mod hello;
mod offer;
mod outcome;

pub use batch::{Batch, BatchEntry, Encoding, MAX_BATCH};
pub use beside::{Joined, MAX_TOLD, SignedRef, signature_digest};
pub use hello::{CAN_INFLATE, CAN_JOIN, Hello, MAX_AGENT, MAX_PATH, VERSION};
pub use offer::{Offer, Update};
pub use outcome::{Finished, Ruling, Verdict};

use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::limits::check_size;
use crate::names::RefName;
use crate::object::{ObjectName, ObjectType};
use cursor::{Cursor, put_name, put_object};

/// The most bytes of a payload.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// The most bytes of data, or of the commits and objects of a list, that we put into one message: what is lost when a
/// connection is cut, and what waits before something more urgent.
pub const PIECE: usize = 256 << 10;

/// The most bytes of a text: what follows is cut off by the sender.
pub const MAX_TEXT: usize = 16 << 10;

/// The first type that may be left out by those who do not know it.
const OPTIONAL: u8 = 128;

/// The bytes before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type of the message.
    pub kind: u8,
    /// The length of its payload.
    pub length: usize,
}

impl Header {
    /// The bytes that it has itself.
    pub const LENGTH: usize = 5;

    /// Reads it.
    ///
    /// # Errors
    /// [`FormatError::TooLarge`] for a payload that no message has.
    pub fn parse(bytes: [u8; Self::LENGTH]) -> Result<Self> {
        let [kind, length @ ..] = bytes;
        let length = u32::from_be_bytes(length);
        check_size("message", u64::from(length), MAX_PAYLOAD as u64)?;
        let length = usize::try_from(length).unwrap_or(MAX_PAYLOAD);
        Ok(Self { kind, length })
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first of either end.
    Hello(Hello),
    /// Refs of the far end that the sender may know of.
    Refs {
        /// Names and commits.
        refs: Vec<(RefName, Checksum)>,
        /// Whether another message goes on.
        more: bool,
    },
    /// What the sender wants to become of refs.
    Offer(Offer),
    /// The commit that a ref shall name, and its ancestors, newest first, as far as the sender has them and the far end need
    /// not have them.
    Chain {
        /// The commits.
        commits: Vec<Checksum>,
        /// Whether another message goes on with the same chain.
        more: bool,
    },
    /// All is offered.
    Offered,
    /// Objects that the far end lacks. Each is sent once for each time that it is asked for.
    Want(Vec<ObjectName>),
    /// Metadata objects.
    Batch(Batch),
    /// A content object, whole.
    Content {
        /// Its name.
        checksum: Checksum,
        /// The bytes of its `.filez`.
        bytes: Vec<u8>,
    },
    /// An object whose bytes follow.
    Begin(ObjectName),
    /// Bytes of the object that was begun.
    Data(Vec<u8>),
    /// The object is complete.
    End,
    /// What became of refs.
    Verdicts {
        /// One for each ref that was offered.
        verdicts: Vec<Verdict>,
        /// Whether another message goes on.
        more: bool,
    },
    /// The far end is through.
    Finished(Finished),
    /// Something for the user of the other end to read.
    Note(String),
    /// Nothing, but the sender of it is at work.
    Alive,
    /// Why the sender of it gives up; nothing follows.
    Error(String),
    /// Signatures of commits whose refs do not move: only for a far end that [can join](CAN_JOIN) them.
    Beside(Vec<SignedRef>),
    /// What became of those that the far end lacked; others are not among them.
    Joined(Vec<Joined>),
    /// A message that is not known and may be left out.
    Unknown(u8),
}

impl Message {
    /// Reads the payload of a message of the type `kind`.
    ///
    /// # Errors
    /// [`FormatError`] for what the module refuses.
    pub fn parse(kind: u8, payload: Vec<u8>) -> Result<Self> {
        check_size("message", payload.len() as u64, MAX_PAYLOAD as u64)?;
        // What is most is not copied.
        match kind {
            8 => return content(payload),
            10 => return Ok(Self::Data(payload)),
            _ => {}
        }
        let mut cursor = Cursor::new(&payload);
        let message = match kind {
            1 => return Hello::parse(&mut cursor).map(Self::Hello),
            2 => Self::Refs {
                more: cursor.flag()?,
                refs: cursor.all(|entry| Ok((entry.name()?, entry.checksum()?)))?,
            },
            3 => Self::Offer(Offer::parse(&mut cursor)?),
            4 => Self::Chain {
                more: cursor.flag()?,
                commits: cursor.all(Cursor::checksum)?,
            },
            5 => Self::Offered,
            6 => Self::Want(cursor.all(Cursor::object)?),
            7 => Self::Batch(Batch::parse(&mut cursor)?),
            9 => Self::Begin(cursor.object()?),
            11 => Self::End,
            12 => Self::Verdicts {
                more: cursor.flag()?,
                verdicts: cursor.all(Verdict::parse)?,
            },
            13 => Self::Finished(Finished::parse(&mut cursor)?),
            14 => Self::Note(cursor.rest_as_text()?),
            15 => Self::Alive,
            16 => Self::Error(cursor.rest_as_text()?),
            128 => Self::Beside(cursor.all(SignedRef::parse)?),
            129 => Self::Joined(cursor.all(Joined::parse)?),
            unknown if unknown >= OPTIONAL => return Ok(Self::Unknown(unknown)),
            unknown => {
                return Err(FormatError::invalid(
                    "message",
                    format!("type {unknown} is not known"),
                ));
            }
        };
        cursor.finish()?;
        Ok(message)
    }

    /// Appends the message with its header to `bytes`.
    ///
    /// # Errors
    /// [`FormatError::TooLarge`] for what does not fit into one message: nothing is appended then.
    pub fn write(&self, bytes: &mut Vec<u8>) -> Result<()> {
        let start = bytes.len();
        bytes.extend_from_slice(&[self.kind(), 0, 0, 0, 0]);
        let body = start + Header::LENGTH;
        self.write_payload(bytes);
        let length = bytes.len() - body;
        if length > MAX_PAYLOAD {
            bytes.truncate(start);
            check_size("message", length as u64, MAX_PAYLOAD as u64)?;
        }
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = bytes.get_mut(start + 1..body) {
            place.copy_from_slice(&length);
        }
        Ok(())
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 1,
            Self::Refs { .. } => 2,
            Self::Offer(_) => 3,
            Self::Chain { .. } => 4,
            Self::Offered => 5,
            Self::Want(_) => 6,
            Self::Batch(_) => 7,
            Self::Content { .. } => 8,
            Self::Begin(_) => 9,
            Self::Data(_) => 10,
            Self::End => 11,
            Self::Verdicts { .. } => 12,
            Self::Finished(_) => 13,
            Self::Note(_) => 14,
            Self::Alive => 15,
            Self::Error(_) => 16,
            Self::Beside(_) => 128,
            Self::Joined(_) => 129,
            Self::Unknown(kind) => *kind,
        }
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.write(out),
            Self::Refs { refs, more } => {
                out.push(u8::from(*more));
                for (name, commit) in refs {
                    put_name(out, name);
                    out.extend_from_slice(commit.as_bytes());
                }
            }
            Self::Offer(offer) => offer.write(out),
            Self::Chain { commits, more } => {
                out.push(u8::from(*more));
                for commit in commits {
                    out.extend_from_slice(commit.as_bytes());
                }
            }
            Self::Want(names) => {
                for name in names {
                    put_object(out, name);
                }
            }
            Self::Batch(batch) => batch.write(out),
            Self::Content { checksum, bytes } => {
                out.extend_from_slice(checksum.as_bytes());
                out.extend_from_slice(bytes);
            }
            Self::Begin(name) => put_object(out, name),
            Self::Data(bytes) => out.extend_from_slice(bytes),
            Self::Verdicts { verdicts, more } => {
                out.push(u8::from(*more));
                for verdict in verdicts {
                    verdict.write(out);
                }
            }
            Self::Finished(finished) => finished.write(out),
            Self::Beside(refs) => refs.iter().for_each(|signed| signed.write(out)),
            Self::Joined(all) => all.iter().for_each(|joined| joined.write(out)),
            Self::Note(text) | Self::Error(text) => out.extend_from_slice(cut(text).as_bytes()),
            Self::Offered | Self::End | Self::Alive | Self::Unknown(_) => {}
        }
    }
}

fn content(mut payload: Vec<u8>) -> Result<Message> {
    let Some(checksum) = payload.first_chunk::<32>() else {
        return Err(FormatError::invalid("message", "content without a name"));
    };
    let checksum = Checksum::from_bytes(*checksum);
    payload.drain(..32);
    Ok(Message::Content {
        checksum,
        bytes: payload,
    })
}

/// Returns whether objects of a type travel.
fn travels(kind: ObjectType) -> bool {
    matches!(
        kind,
        ObjectType::File
            | ObjectType::DirTree
            | ObjectType::DirMeta
            | ObjectType::Commit
            | ObjectType::CommitMeta
    )
}

/// Returns as much of a text as may be sent.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
