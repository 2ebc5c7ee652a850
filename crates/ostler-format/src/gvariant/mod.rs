//! GVariant: the serialisation that every OSTree structure uses.
//!
//! Two ways in: [`framing`] reads and writes containers piece by piece, for structures whose type is known
//! (dirtrees by the thousand); [`Value`] holds any value of any [`Type`], for metadata dictionaries
//! ([`VarDict`]) and the text form of the command line.
//!
//! Everything is little endian. Reading is strict: only normal form is accepted, that is, exactly the bytes
//! that writing the value again would give. Whatever was read may therefore be written again without
//! changing a checksum. Where GLib also calls zero bytes the normal form of a tuple (its default value),
//! this module refuses them, since writing the tuple gives other bytes; zero bytes for an array or a
//! dictionary (`a{sv}`) are its one encoding and are accepted.
//!
//! Limits: type strings of [`MAX_TYPE_LEN`] bytes and [`MAX_TYPE_DEPTH`] levels, values of
//! [`MAX_VALUE_DEPTH`] levels and, for a [`Value`], [`MAX_VALUES`] values altogether.

mod decode;
mod dict;
mod encode;
pub mod framing;
mod hash_order;
mod names;
mod text;
mod types;
mod value;

pub use decode::{MAX_VALUE_DEPTH, MAX_VALUES};
pub use dict::VarDict;
pub use names::{is_object_path, is_signature};
pub use types::{MAX_TYPE_DEPTH, MAX_TYPE_LEN, Type};
pub use value::Value;
