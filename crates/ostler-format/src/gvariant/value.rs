//! A value of any type.

use super::types::Type;

/// A GVariant value.
///
/// Every `ay` is [`Value::Bytes`], never an `Array` of `Byte`. Strings without NUL, elements of the type
/// that their array names, and paths and signatures that follow their grammar are up to whoever builds a
/// value; what is read always has them.
#[derive(Debug, Clone)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `h`
    Handle(i32),
    /// `d`
    Double(f64),
    /// `s`
    Str(String),
    /// `o`
    ObjectPath(String),
    /// `g`
    Signature(String),
    /// `v`
    Variant(Box<Value>),
    /// `m…`: the type that may be missing, and the value if it is not.
    Maybe(Type, Option<Box<Value>>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `a…`: the type of the elements, and the elements.
    Array(Type, Vec<Value>),
    /// `(…)`
    Tuple(Vec<Value>),
    /// `{…}`
    DictEntry(Box<Value>, Box<Value>),
}

impl Value {
    /// Returns the value's type.
    pub fn ty(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Byte(_) => Type::Byte,
            Self::I16(_) => Type::I16,
            Self::U16(_) => Type::U16,
            Self::I32(_) => Type::I32,
            Self::U32(_) => Type::U32,
            Self::I64(_) => Type::I64,
            Self::U64(_) => Type::U64,
            Self::Handle(_) => Type::Handle,
            Self::Double(_) => Type::Double,
            Self::Str(_) => Type::Str,
            Self::ObjectPath(_) => Type::ObjectPath,
            Self::Signature(_) => Type::Signature,
            Self::Variant(_) => Type::Variant,
            Self::Maybe(inner, _) => Type::Maybe(Box::new(inner.clone())),
            Self::Bytes(_) => Type::bytes(),
            Self::Array(element, _) => Type::Array(Box::new(element.clone())),
            Self::Tuple(members) => Type::Tuple(members.iter().map(Self::ty).collect()),
            Self::DictEntry(key, value) => Type::DictEntry(Box::new(key.ty()), Box::new(value.ty())),
        }
    }

    /// Returns the `ay` that GLib calls a bytestring: the bytes and a NUL.
    pub fn bytestring(bytes: &[u8]) -> Self {
        let mut terminated = Vec::with_capacity(bytes.len() + 1);
        terminated.extend_from_slice(bytes);
        terminated.push(0);
        Self::Bytes(terminated)
    }

    /// Returns the `as` of these strings, in their order.
    pub fn strings<S: Into<String>>(strings: impl IntoIterator<Item = S>) -> Self {
        Self::Array(
            Type::Str,
            strings.into_iter().map(|text| Self::Str(text.into())).collect(),
        )
    }

    /// Returns the text of an `s`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the bytes of an `ay`.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns a `b`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns a `u`, as it is stored in little endian.
    pub fn as_u32(&self) -> Option<u32> {
        match self {
            Self::U32(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns a `t`, as it is stored in little endian.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::U64(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the elements of an array other than `ay`.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(_, elements) => Some(elements),
            _ => None,
        }
    }
}

/// Equal means of the same type and with the same bytes: a NaN equals itself, 0.0 and -0.0 differ.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Byte(a), Self::Byte(b)) => a == b,
            (Self::I16(a), Self::I16(b)) => a == b,
            (Self::U16(a), Self::U16(b)) => a == b,
            (Self::I32(a), Self::I32(b)) | (Self::Handle(a), Self::Handle(b)) => a == b,
            (Self::U32(a), Self::U32(b)) => a == b,
            (Self::I64(a), Self::I64(b)) => a == b,
            (Self::U64(a), Self::U64(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::Str(a), Self::Str(b))
            | (Self::ObjectPath(a), Self::ObjectPath(b))
            | (Self::Signature(a), Self::Signature(b)) => a == b,
            (Self::Variant(a), Self::Variant(b)) => a == b,
            (Self::Maybe(a, x), Self::Maybe(b, y)) => a == b && x == y,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Array(a, x), Self::Array(b, y)) => a == b && x == y,
            (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::DictEntry(a, x), Self::DictEntry(b, y)) => a == b && x == y,
            _ => false,
        }
    }
}

impl Eq for Value {}
