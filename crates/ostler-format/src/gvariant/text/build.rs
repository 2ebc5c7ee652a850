//! From a syntax tree and a type to a value.

use super::syntax::{Entry, Kind, Node};
use super::{Parsed, fail, infer, number};
use crate::gvariant::{MAX_VALUE_DEPTH, Type, Value, is_object_path, is_signature};

/// Returns the value of type `ty` that the tree stands for. `depth` is the number of values around it.
///
/// A declaration inside the tree yields to `ty`, as in GLib: with type `u`, `byte 3` is a `u`.
pub(super) fn value(node: &Node<'_>, ty: &Type, depth: usize) -> Parsed<Value> {
    // The same limit as for reading bytes: what is parsed can be read back.
    if depth.saturating_add(ty.levels()) > MAX_VALUE_DEPTH {
        return fail(node.at, format!("more than {MAX_VALUE_DEPTH} levels"));
    }
    part(node, ty, depth)
}

fn part(node: &Node<'_>, ty: &Type, depth: usize) -> Parsed<Value> {
    match (&node.kind, ty) {
        (Kind::Typed(_, child), _) => part(child, ty, depth),
        (Kind::Nothing, Type::Maybe(inner)) => Ok(Value::Maybe((**inner).clone(), None)),
        (Kind::Just(child), Type::Maybe(inner)) => just(child, inner, depth),
        (Kind::Nothing | Kind::Just(_), _) => mismatch(node, ty),
        (_, Type::Maybe(inner)) => just(node, inner, depth),
        (Kind::Bool(value), Type::Bool) => Ok(Value::Bool(*value)),
        (Kind::Number(digits), _) => numeric(node, digits, ty),
        (Kind::Text(text), _) => textual(node, text, ty),
        (Kind::Bytes(bytes), Type::Array(element)) if **element == Type::Byte => Ok(Value::bytestring(bytes)),
        (Kind::Variant(child), Type::Variant) => {
            let child = value(child, &infer::ty(child)?, depth + 1)?;
            Ok(Value::Variant(Box::new(child)))
        }
        (Kind::Tuple(members), Type::Tuple(types)) if members.len() == types.len() => {
            let members = members.iter().zip(types);
            let members = members.map(|(member, ty)| part(member, ty, depth + 1));
            Ok(Value::Tuple(members.collect::<Parsed<_>>()?))
        }
        (Kind::Array(elements), Type::Array(element)) if **element == Type::Byte => {
            bytes(elements, depth).map(Value::Bytes)
        }
        (Kind::Array(elements), Type::Array(element)) => {
            let values = elements.iter().map(|node| part(node, element, depth + 1));
            Ok(Value::Array((**element).clone(), values.collect::<Parsed<_>>()?))
        }
        (Kind::Entry(entry), Type::DictEntry(key, value)) => self::entry(entry, key, value, depth),
        (Kind::Dict(entries), Type::Array(element)) => match &**element {
            Type::DictEntry(key, value) => {
                let values = entries
                    .iter()
                    .map(|entry| self::entry(entry, key, value, depth + 1));
                Ok(Value::Array((**element).clone(), values.collect::<Parsed<_>>()?))
            }
            _ => mismatch(node, ty),
        },
        _ => mismatch(node, ty),
    }
}

fn just(child: &Node<'_>, inner: &Type, depth: usize) -> Parsed<Value> {
    let child = part(child, inner, depth + 1)?;
    Ok(Value::Maybe(inner.clone(), Some(Box::new(child))))
}

fn entry(entry: &Entry<'_>, key: &Type, ty: &Type, depth: usize) -> Parsed<Value> {
    let key = part(&entry.key, key, depth + 1)?;
    let value = part(&entry.value, ty, depth + 1)?;
    Ok(Value::DictEntry(Box::new(key), Box::new(value)))
}

fn bytes(elements: &[Node<'_>], depth: usize) -> Parsed<Vec<u8>> {
    let byte = |node: &Node<'_>| match part(node, &Type::Byte, depth + 1)? {
        Value::Byte(byte) => Ok(byte),
        _ => mismatch(node, &Type::Byte),
    };
    elements.iter().map(byte).collect()
}

fn textual(node: &Node<'_>, text: &str, ty: &Type) -> Parsed<Value> {
    match ty {
        Type::Str => Ok(Value::Str(text.to_owned())),
        Type::ObjectPath if is_object_path(text) => Ok(Value::ObjectPath(text.to_owned())),
        Type::ObjectPath => fail(node.at, "this is no object path"),
        Type::Signature if is_signature(text) => Ok(Value::Signature(text.to_owned())),
        Type::Signature => fail(node.at, "this is no signature"),
        _ => mismatch(node, ty),
    }
}

fn numeric(node: &Node<'_>, digits: &str, ty: &Type) -> Parsed<Value> {
    if *ty == Type::Double {
        return number::double(digits)
            .map(Value::Double)
            .or_else(|reason| fail(node.at, reason));
    }
    if !ty.is_basic() || matches!(ty, Type::Bool | Type::Str | Type::ObjectPath | Type::Signature) {
        return mismatch(node, ty);
    }
    let number = number::integer(digits).or_else(|reason| fail(node.at, reason))?;
    let value = match ty {
        Type::Byte => number.try_into().map(Value::Byte),
        Type::I16 => number.try_into().map(Value::I16),
        Type::U16 => number.try_into().map(Value::U16),
        Type::I32 => number.try_into().map(Value::I32),
        Type::U32 => number.try_into().map(Value::U32),
        Type::I64 => number.try_into().map(Value::I64),
        Type::U64 => number.try_into().map(Value::U64),
        _ => number.try_into().map(Value::Handle),
    };
    value.or_else(|_out_of_range| {
        let hint = match ty {
            Type::I32 => "; a wider type is declared by a keyword such as 'int64'",
            _ => "",
        };
        fail(node.at, format!("{digits} is out of range for type '{ty}'{hint}"))
    })
}

fn mismatch<T>(node: &Node<'_>, ty: &Type) -> Parsed<T> {
    fail(node.at, format!("this cannot be a value of type '{ty}'"))
}
