//! GVariant types and their strings.
//!
//! A type string is one complete, definite type: no `*`, `?`, `r`. Alignment and fixed size follow from it
//! and nothing else.

use std::fmt;

use crate::{FormatError, Result};

/// The longest type string that is accepted, in bytes.
pub const MAX_TYPE_LEN: usize = 255;
/// The deepest nesting of containers in a type that is accepted.
pub const MAX_TYPE_DEPTH: usize = 64;

/// A definite GVariant type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// `b`
    Bool,
    /// `y`
    Byte,
    /// `n`
    I16,
    /// `q`
    U16,
    /// `i`
    I32,
    /// `u`
    U32,
    /// `x`
    I64,
    /// `t`
    U64,
    /// `h`: an index into a list of file descriptors.
    Handle,
    /// `d`
    Double,
    /// `s`
    Str,
    /// `o`
    ObjectPath,
    /// `g`
    Signature,
    /// `v`
    Variant,
    /// `m` and the type that may be missing.
    Maybe(Box<Type>),
    /// `a` and the type of the elements.
    Array(Box<Type>),
    /// `(…)`
    Tuple(Vec<Type>),
    /// `{…}`: a key of a basic type, and a value.
    DictEntry(Box<Type>, Box<Type>),
}

impl Type {
    /// Returns the type that a type string such as `a{sv}` stands for.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_TYPE_LEN`], `Invalid` for anything but one definite type of at most
    /// [`MAX_TYPE_DEPTH`] levels.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_TYPE_LEN {
            return Err(FormatError::TooLarge {
                what: "GVariant type string",
                found: text.len() as u64,
                limit: MAX_TYPE_LEN as u64,
            });
        }
        let mut rest = text.as_bytes();
        let ty = scan(&mut rest, 0)?;
        if rest.is_empty() {
            Ok(ty)
        } else {
            Err(invalid(format!(
                "'{}' is more than one type",
                text.escape_debug()
            )))
        }
    }

    /// Returns `a{sv}`, the type of every metadata dictionary.
    pub fn vardict() -> Self {
        Self::Array(Box::new(Self::DictEntry(
            Box::new(Self::Str),
            Box::new(Self::Variant),
        )))
    }

    /// Returns `ay`, the type of byte strings.
    pub fn bytes() -> Self {
        Self::Array(Box::new(Self::Byte))
    }

    /// Returns the alignment of values of this type: 1, 2, 4 or 8 bytes.
    pub fn alignment(&self) -> usize {
        match self {
            Self::Bool | Self::Byte | Self::Str | Self::ObjectPath | Self::Signature => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::Handle => 4,
            Self::I64 | Self::U64 | Self::Double | Self::Variant => 8,
            Self::Maybe(inner) | Self::Array(inner) => inner.alignment(),
            Self::Tuple(members) => members.iter().map(Self::alignment).max().unwrap_or(1),
            Self::DictEntry(key, value) => key.alignment().max(value.alignment()),
        }
    }

    /// Returns the size in bytes that every value of this type has, if they all have the same.
    pub fn fixed_size(&self) -> Option<usize> {
        match self {
            Self::Bool | Self::Byte => Some(1),
            Self::I16 | Self::U16 => Some(2),
            Self::I32 | Self::U32 | Self::Handle => Some(4),
            Self::I64 | Self::U64 | Self::Double => Some(8),
            Self::Tuple(members) => fixed_size_of(members.iter(), self.alignment()),
            Self::DictEntry(key, value) => {
                fixed_size_of([key, value].into_iter().map(AsRef::as_ref), self.alignment())
            }
            Self::Str
            | Self::ObjectPath
            | Self::Signature
            | Self::Variant
            | Self::Maybe(_)
            | Self::Array(_) => None,
        }
    }

    /// Returns whether this is a single value and no container: what a dictionary's key can be.
    pub fn is_basic(&self) -> bool {
        !matches!(
            self,
            Self::Variant | Self::Maybe(_) | Self::Array(_) | Self::Tuple(_) | Self::DictEntry(..)
        )
    }

    /// Returns how many levels of values this type makes by itself: one, and one for each container around.
    pub(super) fn levels(&self) -> usize {
        match self {
            Self::Maybe(inner) | Self::Array(inner) => 1 + inner.levels(),
            Self::Tuple(members) => 1 + members.iter().map(Self::levels).max().unwrap_or(0),
            Self::DictEntry(key, value) => 1 + key.levels().max(value.levels()),
            _ => 1,
        }
    }

    fn basic(letter: u8) -> Option<Self> {
        Some(match letter {
            b'b' => Self::Bool,
            b'y' => Self::Byte,
            b'n' => Self::I16,
            b'q' => Self::U16,
            b'i' => Self::I32,
            b'u' => Self::U32,
            b'x' => Self::I64,
            b't' => Self::U64,
            b'h' => Self::Handle,
            b'd' => Self::Double,
            b's' => Self::Str,
            b'o' => Self::ObjectPath,
            b'g' => Self::Signature,
            b'v' => Self::Variant,
            _ => return None,
        })
    }
}

/// The size of a tuple of fixed-size members: each aligned, the whole padded to its own alignment. A tuple
/// without members takes one byte, so that an array of them has a length.
fn fixed_size_of<'a>(members: impl Iterator<Item = &'a Type>, alignment: usize) -> Option<usize> {
    let mut size = 0_usize;
    for member in members {
        size = size
            .checked_next_multiple_of(member.alignment())?
            .checked_add(member.fixed_size()?)?;
    }
    size.max(1).checked_next_multiple_of(alignment)
}

/// Reads one complete type from the start of `rest` and moves `rest` behind it.
pub(super) fn scan(rest: &mut &[u8], depth: usize) -> Result<Type> {
    let letter = take(rest)?;
    if let Some(ty) = Type::basic(letter) {
        return Ok(ty);
    }
    if depth >= MAX_TYPE_DEPTH {
        return Err(invalid(format!("more than {MAX_TYPE_DEPTH} levels")));
    }
    match letter {
        b'm' => Ok(Type::Maybe(Box::new(scan(rest, depth + 1)?))),
        b'a' => Ok(Type::Array(Box::new(scan(rest, depth + 1)?))),
        b'(' => {
            let mut members = Vec::new();
            while rest.first() != Some(&b')') {
                members.push(scan(rest, depth + 1)?);
            }
            take(rest)?;
            Ok(Type::Tuple(members))
        }
        b'{' => {
            let key = scan(rest, depth + 1)?;
            if !key.is_basic() {
                return Err(invalid(format!("'{key}' cannot be the key of a dictionary")));
            }
            let value = scan(rest, depth + 1)?;
            if take(rest)? != b'}' {
                return Err(invalid("a dictionary entry has one key and one value"));
            }
            Ok(Type::DictEntry(Box::new(key), Box::new(value)))
        }
        other => Err(invalid(format!(
            "'{}' is no type",
            char::from(other).escape_debug()
        ))),
    }
}

fn take(rest: &mut &[u8]) -> Result<u8> {
    let (first, others) = rest
        .split_first()
        .ok_or_else(|| invalid("the type is incomplete"))?;
    *rest = others;
    Ok(*first)
}

fn invalid(rule: impl Into<String>) -> FormatError {
    FormatError::invalid("GVariant type string", rule)
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self {
            Self::Bool => "b",
            Self::Byte => "y",
            Self::I16 => "n",
            Self::U16 => "q",
            Self::I32 => "i",
            Self::U32 => "u",
            Self::I64 => "x",
            Self::U64 => "t",
            Self::Handle => "h",
            Self::Double => "d",
            Self::Str => "s",
            Self::ObjectPath => "o",
            Self::Signature => "g",
            Self::Variant => "v",
            Self::Maybe(inner) => return write!(f, "m{inner}"),
            Self::Array(inner) => return write!(f, "a{inner}"),
            Self::Tuple(members) => {
                f.write_str("(")?;
                for member in members {
                    write!(f, "{member}")?;
                }
                return f.write_str(")");
            }
            Self::DictEntry(key, value) => return write!(f, "{{{key}{value}}}"),
        };
        f.write_str(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_and_size_follow_from_the_type_string() {
        let table = [
            ("y", 1, Some(1)),
            ("b", 1, Some(1)),
            ("q", 2, Some(2)),
            ("h", 4, Some(4)),
            ("d", 8, Some(8)),
            ("s", 1, None),
            ("v", 8, None),
            ("()", 1, Some(1)),
            ("(())", 1, Some(1)),
            ("(yu)", 4, Some(8)),
            ("(uy)", 4, Some(8)),
            ("(ty)", 8, Some(16)),
            ("{yq}", 2, Some(4)),
            ("(us)", 4, None),
            ("my", 1, None),
            ("mt", 8, None),
            ("a(uuu)", 4, None),
            ("a{sv}", 8, None),
            ("(a(say)a(sayay))", 1, None),
            ("(a{sv}aya(say)sstayay)", 8, None),
        ];
        for (text, alignment, size) in table {
            let ty = Type::parse(text).unwrap();
            assert_eq!(ty.to_string(), text);
            assert_eq!(ty.alignment(), alignment, "{text}");
            assert_eq!(ty.fixed_size(), size, "{text}");
        }
    }

    #[test]
    fn what_is_not_one_definite_type_is_refused() {
        for text in [
            "", "a", "m", "(", "(s", ")", "{sv", "{s}", "{svs}", "{vs}", "{ass}", "{}", "*", "?", "r", "ss",
            "()s", "z", "A", "a\u{e9}", "a ", "\0",
        ] {
            assert!(Type::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nesting_and_length_are_limited() {
        let nested = |levels: usize| format!("{}y", "a".repeat(levels));
        assert!(Type::parse(&nested(MAX_TYPE_DEPTH)).is_ok());
        assert!(Type::parse(&nested(MAX_TYPE_DEPTH + 1)).is_err());
        let wide = |members: usize| format!("({})", "y".repeat(members));
        assert!(Type::parse(&wide(MAX_TYPE_LEN - 2)).is_ok());
        assert!(Type::parse(&wide(MAX_TYPE_LEN - 1)).is_err());
    }
}
