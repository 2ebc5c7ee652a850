//! From bytes to values.
//!
//! Only normal form is read; see the framing for what that refuses, and besides: booleans other than 0 and
//! 1, strings that are not UTF-8 with one NUL at the end, object paths and signatures that break their
//! grammar, types of variants that are not one definite type.

use super::framing::{ArrayReader, TupleReader, fixed_elements, string};
use super::{Type, Value, is_object_path, is_signature};
use crate::{FormatError, Result};

/// The deepest nesting of values that is read, the outermost and the innermost included. Empty arrays count
/// as if they had elements.
pub const MAX_VALUE_DEPTH: usize = 128;
/// The most values that one call reads: a byte of input may cost some sixty bytes of memory.
pub const MAX_VALUES: usize = 1 << 22;

const WHAT: &str = "GVariant";

impl Value {
    /// Returns the value of this type that is the whole of `bytes`: little endian, strict normal form.
    ///
    /// # Errors
    /// `Invalid` for anything but the one encoding of a value, or above [`MAX_VALUE_DEPTH`]; `TooLarge`
    /// above [`MAX_VALUES`].
    pub fn from_bytes(ty: &Type, bytes: &[u8]) -> Result<Self> {
        check_levels(ty, 0)?;
        Decoder::default().value(ty, bytes, 0)
    }
}

/// Counts the values of one reading.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    values: usize,
}

impl Decoder {
    fn value(&mut self, ty: &Type, bytes: &[u8], depth: usize) -> Result<Value> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(FormatError::TooLarge {
                what: "number of values in a GVariant",
                found: self.values as u64,
                limit: MAX_VALUES as u64,
            });
        }
        Ok(match ty {
            Type::Bool => match bytes {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err(invalid("a boolean is neither 0 nor 1")),
            },
            Type::Byte => Value::Byte(u8::from_le_bytes(number(bytes)?)),
            Type::I16 => Value::I16(i16::from_le_bytes(number(bytes)?)),
            Type::U16 => Value::U16(u16::from_le_bytes(number(bytes)?)),
            Type::I32 => Value::I32(i32::from_le_bytes(number(bytes)?)),
            Type::U32 => Value::U32(u32::from_le_bytes(number(bytes)?)),
            Type::I64 => Value::I64(i64::from_le_bytes(number(bytes)?)),
            Type::U64 => Value::U64(u64::from_le_bytes(number(bytes)?)),
            Type::Handle => Value::Handle(i32::from_le_bytes(number(bytes)?)),
            Type::Double => Value::Double(f64::from_bits(u64::from_le_bytes(number(bytes)?))),
            Type::Str => Value::Str(string(WHAT, bytes)?.to_owned()),
            Type::ObjectPath => Value::ObjectPath(named(bytes, is_object_path, "object path")?),
            Type::Signature => Value::Signature(named(bytes, is_signature, "signature")?),
            Type::Variant => Value::Variant(Box::new(self.child_of_variant(bytes, depth)?)),
            Type::Maybe(inner) => self.maybe(inner, bytes, depth)?,
            Type::Array(element) if **element == Type::Byte => Value::Bytes(bytes.to_vec()),
            Type::Array(element) => self.array(element, bytes, depth)?,
            Type::Tuple(members) => Value::Tuple(self.members(members.iter(), bytes, depth)?),
            Type::DictEntry(key, value) => self.entry([key, value], bytes, depth)?,
        })
    }

    fn entry(&mut self, types: [&Type; 2], bytes: &[u8], depth: usize) -> Result<Value> {
        let mut members = self
            .members(types.into_iter(), bytes, depth)?
            .into_iter()
            .map(Box::new);
        match (members.next(), members.next()) {
            (Some(key), Some(value)) => Ok(Value::DictEntry(key, value)),
            _ => Err(invalid("a dictionary entry is no pair")),
        }
    }

    /// Returns what the variant that is the whole of `bytes` holds; `depth` is the variant's own.
    pub(super) fn child_of_variant(&mut self, bytes: &[u8], depth: usize) -> Result<Value> {
        let end = bytes
            .iter()
            .rposition(|byte| *byte == 0)
            .ok_or_else(|| invalid("a variant names no type"))?;
        let (child, ty) = bytes.split_at(end);
        let ty = ty
            .get(1..)
            .and_then(|ty| std::str::from_utf8(ty).ok())
            .ok_or_else(|| invalid("a variant's type is not ASCII"))?;
        let ty = Type::parse(ty)?;
        check_levels(&ty, depth + 1)?;
        self.value(&ty, child, depth + 1)
    }

    fn maybe(&mut self, inner: &Type, bytes: &[u8], depth: usize) -> Result<Value> {
        let child = if inner.fixed_size().is_some() {
            (!bytes.is_empty()).then_some(bytes)
        } else {
            match bytes.split_last() {
                None => None,
                Some((0, child)) => Some(child),
                Some(_) => return Err(invalid("an optional value does not end in a zero byte")),
            }
        };
        let child = child
            .map(|child| self.value(inner, child, depth + 1).map(Box::new))
            .transpose()?;
        Ok(Value::Maybe(inner.clone(), child))
    }

    fn array(&mut self, element: &Type, bytes: &[u8], depth: usize) -> Result<Value> {
        let elements: Result<Vec<Value>> = if let Some(size) = element.fixed_size() {
            fixed_elements(WHAT, bytes, size)?
                .map(|bytes| self.value(element, bytes, depth + 1))
                .collect()
        } else {
            ArrayReader::new(WHAT, bytes, element.alignment())?
                .map(|bytes| self.value(element, bytes?, depth + 1))
                .collect()
        };
        Ok(Value::Array(element.clone(), elements?))
    }

    fn members<'t>(
        &mut self,
        types: impl Iterator<Item = &'t Type>,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Vec<Value>> {
        let mut reader = TupleReader::new(WHAT, bytes);
        let mut types = types.peekable();
        let mut members = Vec::with_capacity(types.size_hint().0);
        while let Some(ty) = types.next() {
            let alignment = ty.alignment();
            let bytes = match ty.fixed_size() {
                Some(size) => reader.fixed(alignment, size)?,
                None if types.peek().is_some() => reader.variable(alignment)?,
                None => {
                    members.push(self.value(ty, reader.last(alignment)?, depth + 1)?);
                    return Ok(members);
                }
            };
            members.push(self.value(ty, bytes, depth + 1)?);
        }
        reader.finish()?;
        Ok(members)
    }
}

/// Only a variant adds levels that its container's type does not tell, so that this is checked there and at
/// the top, and not for each value.
fn check_levels(ty: &Type, depth: usize) -> Result<()> {
    if depth.saturating_add(ty.levels()) > MAX_VALUE_DEPTH {
        return Err(invalid(format!("more than {MAX_VALUE_DEPTH} levels")));
    }
    Ok(())
}

fn number<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes
        .first_chunk()
        .filter(|_| bytes.len() == N)
        .copied()
        .ok_or_else(|| invalid(format!("{} bytes where a number of {N} is expected", bytes.len())))
}

fn named(bytes: &[u8], is_valid: fn(&str) -> bool, kind: &str) -> Result<String> {
    let text = string(WHAT, bytes)?;
    if is_valid(text) {
        Ok(text.to_owned())
    } else {
        Err(invalid(format!("'{}' is no {kind}", text.escape_debug())))
    }
}

fn invalid(rule: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ty: &str, bytes: &[u8]) -> Result<Value> {
        Value::from_bytes(&Type::parse(ty).unwrap(), bytes)
    }

    #[test]
    fn every_type_is_read_in_little_endian() {
        let table: [(&str, &[u8], Value); 8] = [
            ("q", &[1, 2], Value::U16(0x0201)),
            ("i", &[0xfe, 0xff, 0xff, 0xff], Value::I32(-2)),
            ("x", &[0, 0, 0, 0, 0, 0, 0, 0x80], Value::I64(i64::MIN)),
            ("d", &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], Value::Double(1.5)),
            ("mq", &[], Value::Maybe(Type::U16, None)),
            (
                "mq",
                &[1, 0],
                Value::Maybe(Type::U16, Some(Box::new(Value::U16(1)))),
            ),
            (
                "may",
                &[7, 0],
                Value::Maybe(Type::bytes(), Some(Box::new(Value::Bytes(vec![7])))),
            ),
            ("v", &[5, 0, b'y'], Value::Variant(Box::new(Value::Byte(5)))),
        ];
        for (ty, bytes, value) in table {
            assert_eq!(read(ty, bytes), Ok(value.clone()));
            assert_eq!(value.to_bytes(), bytes);
        }
    }

    #[test]
    fn what_is_not_normal_form_is_refused() {
        let table: [(&str, &[u8]); 19] = [
            ("b", &[2]),
            ("b", &[]),
            ("u", &[0, 0, 0]),
            ("u", &[0, 0, 0, 0, 0]),
            ("s", &[]),
            ("s", b"a"),
            ("s", b"a\0b\0"),
            ("s", b"\xff\0"),
            ("o", b"a\0"),
            ("o", b"/a/\0"),
            ("g", b"ms\0"),
            ("mu", &[0]),
            ("ms", b"a\0\x01"),
            ("v", &[]),
            ("v", &[0]),
            ("v", &[5, 0, b'z']),
            ("v", &[5, 0, b'y', b'y']),
            ("v", &[5, 6, 0, b'y']),
            ("aq", &[1, 0, 2]),
        ];
        for (ty, bytes) in table {
            assert!(read(ty, bytes).is_err(), "{ty} {bytes:?}");
        }
    }

    #[test]
    fn zero_bytes_are_an_empty_array_and_no_tuple() {
        assert_eq!(read("as", &[]), Ok(Value::Array(Type::Str, Vec::new())));
        assert_eq!(read("ay", &[]), Ok(Value::Bytes(Vec::new())));
        for ty in ["()", "(s)", "(ss)", "{sv}"] {
            assert!(read(ty, &[]).is_err(), "{ty}");
        }
    }

    #[test]
    fn variants_nest_to_the_limit_and_no_deeper() {
        let nested = |variants: usize, child: &[u8]| [child, &b"\0v".repeat(variants - 1)].concat();
        assert!(read("v", &nested(MAX_VALUE_DEPTH - 1, b"\x05\0y")).is_ok());
        assert!(read("v", &nested(MAX_VALUE_DEPTH, b"\x05\0y")).is_err());
        assert!(read("v", &nested(MAX_VALUE_DEPTH - 2, b"\x05\0ay")).is_ok());
        assert!(read("v", &nested(MAX_VALUE_DEPTH - 1, b"\x05\0ay")).is_err());
        assert!(read("v", &nested(1_000_000, b"\x05\0y")).is_err());
    }

    #[test]
    fn number_of_values_is_limited() {
        let units = vec![0; MAX_VALUES];
        let found = read("a()", &units).map(|_| ());
        assert!(matches!(found, Err(FormatError::TooLarge { .. })), "{found:?}");
    }
}
