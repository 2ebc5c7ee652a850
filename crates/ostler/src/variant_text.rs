//! Values as text in the way of `--raw` and `--print-metadata-key`.
//!
//! libostree stores its integers big-endian inside little-endian data and so turns the bytes of every integer round
//! before it prints a value, also of those that were little-endian (`-B` leaves them). Scripts rely on that text.

use crate::ui::{Ui, printable};
use anyhow::Context as _;
use ostler_format::Xattrs;
use ostler_format::gvariant::{Type, Value, VarDict};
use serde::Serialize;

/// The types of the objects that `--raw` prints.
pub(crate) const COMMIT: &str = "(a{sv}aya(say)sstayay)";
pub(crate) const DIRTREE: &str = "(a(say)a(sayay))";
pub(crate) const DIRMETA: &str = "(uuua(ayay))";
/// The type of a summary.
pub(crate) const SUMMARY: &str = "(a(s(taya{sv}))a{sv})";

/// Returns the text of `bytes` read as a value of type `shape`, for a terminal.
pub(crate) fn of_bytes(shape: &str, bytes: &[u8], byteswap: bool) -> anyhow::Result<String> {
    let value = Value::from_bytes(&Type::parse(shape)?, bytes)?;
    Ok(of_value(value, byteswap))
}

/// Returns the text of `value` with types, for a terminal.
pub(crate) fn of_value(value: Value, byteswap: bool) -> String {
    let value = if byteswap { swapped(value) } else { value };
    printable(&value.print(true)).into_owned()
}

/// Returns the value of a key that a user asked for.
pub(crate) fn entry<'a>(metadata: &'a VarDict, key: &str) -> anyhow::Result<&'a Value> {
    metadata
        .get(key)
        .with_context(|| format!("No such metadata key '{}'", printable(key)))
}

/// Prints the text of a value, as JSON with what it is the value of.
pub(crate) fn print(ui: &Ui, key: &str, value: String) -> anyhow::Result<()> {
    if ui.json() {
        return ui.object(&Record { key, value });
    }
    ui.line(value)
}

/// The text of a value, as JSON.
#[derive(Serialize)]
struct Record<'a> {
    key: &'a str,
    value: String,
}

/// The keys of a dictionary, as JSON.
#[derive(Serialize)]
struct Keys<'a> {
    keys: Vec<&'a str>,
}

/// Prints the keys, sorted, a line each.
pub(crate) fn print_keys(ui: &Ui, metadata: &VarDict) -> anyhow::Result<()> {
    let mut keys: Vec<&str> = metadata.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    if ui.json() {
        return ui.object(&Keys { keys });
    }
    keys.into_iter().try_for_each(|key| ui.line(printable(key)))
}

/// Returns the text of extended attributes, as an array of pairs of byte strings.
pub(crate) fn of_xattrs(xattrs: &Xattrs) -> String {
    let pairs = xattrs
        .iter()
        .map(|(name, value)| Value::Tuple(vec![Value::bytestring(name), Value::Bytes(value.to_vec())]))
        .collect();
    let pair = Type::Tuple(vec![
        Type::Array(Box::new(Type::Byte)),
        Type::Array(Box::new(Type::Byte)),
    ]);
    of_value(Value::Array(pair, pairs), false)
}

/// Returns `value` with the bytes of every number in it turned round. Values nest at most 128 levels deep.
fn swapped(value: Value) -> Value {
    let boxed = |value: Box<Value>| Box::new(swapped(*value));
    let all = |values: Vec<Value>| values.into_iter().map(swapped).collect();
    match value {
        Value::I16(number) => Value::I16(number.swap_bytes()),
        Value::U16(number) => Value::U16(number.swap_bytes()),
        Value::I32(number) => Value::I32(number.swap_bytes()),
        Value::U32(number) => Value::U32(number.swap_bytes()),
        Value::I64(number) => Value::I64(number.swap_bytes()),
        Value::U64(number) => Value::U64(number.swap_bytes()),
        Value::Handle(number) => Value::Handle(number.swap_bytes()),
        Value::Double(number) => Value::Double(f64::from_bits(number.to_bits().swap_bytes())),
        Value::Variant(inner) => Value::Variant(boxed(inner)),
        Value::Maybe(ty, inner) => Value::Maybe(ty, inner.map(boxed)),
        Value::Array(ty, values) => Value::Array(ty, all(values)),
        Value::Tuple(values) => Value::Tuple(all(values)),
        Value::DictEntry(key, inner) => Value::DictEntry(boxed(key), boxed(inner)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_in_a_value_is_turned_round() {
        let value = Value::parse_text("('s', <uint32 5>, [uint64 1], {'k': <byte 3>})", None).unwrap();
        assert_eq!(
            of_value(value, true),
            "('s', <uint32 83886080>, [uint64 72057594037927936], {'k': <byte 0x03>})"
        );
    }
}
