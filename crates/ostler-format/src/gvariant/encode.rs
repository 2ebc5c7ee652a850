//! From values to bytes.

use super::Value;
use super::framing::{Sink, Size, TupleWriter};

impl Value {
    /// Returns the value's bytes: little endian, normal form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut sink = Sink::default();
        sink.value(self);
        sink.out
    }

    /// Returns the alignment of the value's type.
    fn alignment(&self) -> usize {
        match self {
            Self::Bool(_)
            | Self::Byte(_)
            | Self::Str(_)
            | Self::ObjectPath(_)
            | Self::Signature(_)
            | Self::Bytes(_) => 1,
            Self::I16(_) | Self::U16(_) => 2,
            Self::I32(_) | Self::U32(_) | Self::Handle(_) => 4,
            Self::I64(_) | Self::U64(_) | Self::Double(_) | Self::Variant(_) => 8,
            Self::Maybe(inner, _) | Self::Array(inner, _) => inner.alignment(),
            Self::Tuple(members) => members.iter().map(Self::alignment).max().unwrap_or(1),
            Self::DictEntry(key, value) => key.alignment().max(value.alignment()),
        }
    }
}

impl TupleWriter<'_> {
    /// Appends a member of the value's type.
    pub fn value(&mut self, value: &Value) {
        self.member(value.alignment(), |sink| sink.value(value));
    }

    /// Appends a member of type `v` that holds the value.
    pub fn variant(&mut self, value: &Value) {
        self.member(8, |sink| {
            sink.variant(value);
            Size::Variable
        });
    }
}

impl Sink {
    fn value(&mut self, value: &Value) -> Size {
        match value {
            Value::Bool(value) => self.fixed([u8::from(*value)]),
            Value::Byte(value) => self.fixed([*value]),
            Value::I16(value) => self.fixed(value.to_le_bytes()),
            Value::U16(value) => self.fixed(value.to_le_bytes()),
            Value::I32(value) | Value::Handle(value) => self.fixed(value.to_le_bytes()),
            Value::U32(value) => self.fixed(value.to_le_bytes()),
            Value::I64(value) => self.fixed(value.to_le_bytes()),
            Value::U64(value) => self.fixed(value.to_le_bytes()),
            Value::Double(value) => self.fixed(value.to_bits().to_le_bytes()),
            Value::Tuple(members) => {
                self.tuple(|tuple| members.iter().for_each(|member| tuple.value(member)))
            }
            Value::DictEntry(key, value) => self.tuple(|entry| {
                entry.value(key);
                entry.value(value);
            }),
            Value::Str(_)
            | Value::ObjectPath(_)
            | Value::Signature(_)
            | Value::Variant(_)
            | Value::Maybe(..)
            | Value::Bytes(_)
            | Value::Array(..) => {
                self.variable(value);
                Size::Variable
            }
        }
    }

    fn variable(&mut self, value: &Value) {
        match value {
            Value::Str(text) | Value::ObjectPath(text) | Value::Signature(text) => self.string(text),
            Value::Variant(inner) => self.variant(inner),
            Value::Maybe(_, Some(inner)) => {
                let size = self.value(inner);
                // Tells an inner value of zero bytes from nothing.
                self.out
                    .resize(self.out.len() + usize::from(size == Size::Variable), 0);
            }
            Value::Bytes(bytes) => self.out.extend_from_slice(bytes),
            Value::Array(element, elements) => self.array(element.alignment(), |array| {
                for element in elements {
                    array.element(|sink| sink.value(element));
                }
            }),
            _ => {}
        }
    }

    fn variant(&mut self, inner: &Value) {
        self.value(inner);
        self.out.push(0);
        self.out.extend_from_slice(inner.ty().to_string().as_bytes());
    }

    fn fixed<const N: usize>(&mut self, bytes: [u8; N]) -> Size {
        self.out.extend_from_slice(&bytes);
        Size::Fixed
    }
}
