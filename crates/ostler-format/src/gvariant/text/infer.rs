//! The type that a syntax tree has by itself.
//!
//! Each piece of text has a shape: a type with some parts left open. The shapes of an array's elements are
//! unified into one; what is open at the end gets its default (`i` for numbers, `s` for strings) or, if
//! nothing at all is known of it, is an error.

use super::number;
use super::syntax::{Entry, Kind, Node};
use super::{Parsed, fail};
use crate::gvariant::Type;

/// What is known of the type of a piece of text.
#[derive(Debug, Clone)]
struct Shape {
    /// The value may turn out to be wrapped into `just`, any number of times, without the text saying so.
    bare: bool,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// Nothing: an element of an empty array.
    Any,
    /// Any type of numbers.
    Number,
    /// `s`, `o` or `g`.
    Text,
    /// A type without parts.
    Leaf(Type),
    Maybe(Box<Shape>),
    Array(Box<Shape>),
    Tuple(Vec<Shape>),
    Entry(Box<Shape>, Box<Shape>),
}

/// Returns the type of a tree on its own.
pub(super) fn ty(node: &Node<'_>) -> Parsed<Type> {
    let Some(ty) = default_type(shape(node)?) else {
        return fail(
            node.at,
            "the type cannot be inferred; declare it, such as '@as []'",
        );
    };
    // A type declared inside may exceed the limits once it is part of another.
    Type::parse(&ty.to_string()).or_else(|error| fail(node.at, error.to_string()))
}

fn shape(node: &Node<'_>) -> Parsed<Shape> {
    let form = match &node.kind {
        Kind::Bool(_) => Form::Leaf(Type::Bool),
        Kind::Number(digits) if number::looks_fractional(digits) => Form::Leaf(Type::Double),
        Kind::Number(_) => Form::Number,
        Kind::Text(_) => Form::Text,
        Kind::Bytes(_) => Form::Array(Box::new(Shape::said(Form::Leaf(Type::Byte)))),
        Kind::Variant(_) => Form::Leaf(Type::Variant),
        Kind::Nothing => return Ok(Shape::said(Form::Maybe(Box::new(Shape::said(Form::Any))))),
        Kind::Just(child) => return Ok(Shape::said(Form::Maybe(Box::new(shape(child)?)))),
        Kind::Typed(ty, _) => return Ok(Shape::of(ty)),
        Kind::Array(elements) => Form::Array(Box::new(common(elements.iter())?)),
        Kind::Tuple(members) => Form::Tuple(members.iter().map(shape).collect::<Parsed<_>>()?),
        Kind::Entry(entry) => self::entry(std::slice::from_ref(&**entry))?,
        Kind::Dict(entries) => Form::Array(Box::new(Shape::said(entry(entries)?))),
    };
    Ok(Shape { bare: true, form })
}

/// The shape that fits all nodes.
fn common<'n, 't: 'n>(nodes: impl Iterator<Item = &'n Node<'t>>) -> Parsed<Shape> {
    let mut common = Shape::said(Form::Any);
    for node in nodes {
        let Some(unified) = unify(common, shape(node)?) else {
            return fail(node.at, "this has another type than what precedes it");
        };
        common = unified;
    }
    Ok(common)
}

/// The shape of a dictionary's entries. The first value decides for all.
fn entry(entries: &[Entry<'_>]) -> Parsed<Form> {
    let keys = common(entries.iter().map(|entry| &entry.key))?;
    let value = match entries.first() {
        None => Shape::said(Form::Any),
        Some(first) => {
            if !keys.form.is_basic() {
                return fail(first.key.at, "this cannot be the key of a dictionary");
            }
            shape(&first.value)?
        }
    };
    Ok(Form::Entry(Box::new(Shape::said(keys.form)), Box::new(value)))
}

impl Shape {
    /// A shape that is no more wrapped than the text says.
    fn said(form: Form) -> Self {
        Self { bare: false, form }
    }

    /// The shape of a type that is known.
    fn of(ty: &Type) -> Self {
        let boxed = |ty: &Type| Box::new(Self::of(ty));
        Self::said(match ty {
            Type::Maybe(inner) => Form::Maybe(boxed(inner)),
            Type::Array(element) => Form::Array(boxed(element)),
            Type::Tuple(members) => Form::Tuple(members.iter().map(Self::of).collect()),
            Type::DictEntry(key, value) => Form::Entry(boxed(key), boxed(value)),
            leaf => Form::Leaf(leaf.clone()),
        })
    }
}

impl Form {
    fn is_basic(&self) -> bool {
        match self {
            Self::Number | Self::Text => true,
            Self::Leaf(ty) => ty.is_basic(),
            _ => false,
        }
    }
}

/// Returns the shape of which both are special cases, if there is one.
fn unify(a: Shape, b: Shape) -> Option<Shape> {
    let bare = a.bare && b.bare;
    let form = match (a.form, b.form) {
        (Form::Any, form) => return Some(Shape { bare: b.bare, form }),
        (form, Form::Any) => return Some(Shape { bare: a.bare, form }),
        (Form::Maybe(x), Form::Maybe(y)) => Form::Maybe(Box::new(unify(*x, *y)?)),
        (Form::Maybe(x), form) if b.bare => Form::Maybe(Box::new(unify(*x, Shape { bare: true, form })?)),
        (form, Form::Maybe(y)) if a.bare => Form::Maybe(Box::new(unify(Shape { bare: true, form }, *y)?)),
        (Form::Number, Form::Number) => Form::Number,
        (Form::Text, Form::Text) => Form::Text,
        (Form::Number, Form::Leaf(ty)) | (Form::Leaf(ty), Form::Number) if is_number(&ty) => Form::Leaf(ty),
        (Form::Text, Form::Leaf(ty)) | (Form::Leaf(ty), Form::Text) if is_text(&ty) => Form::Leaf(ty),
        (Form::Leaf(x), Form::Leaf(y)) if x == y => Form::Leaf(x),
        (Form::Array(x), Form::Array(y)) => Form::Array(Box::new(unify(*x, *y)?)),
        (Form::Tuple(x), Form::Tuple(y)) if x.len() == y.len() => {
            let members = x.into_iter().zip(y).map(|(x, y)| unify(x, y));
            Form::Tuple(members.collect::<Option<_>>()?)
        }
        (Form::Entry(key, value), Form::Entry(other_key, other_value)) => Form::Entry(
            Box::new(unify(*key, *other_key)?),
            Box::new(unify(*value, *other_value)?),
        ),
        _ => return None,
    };
    Some(Shape { bare, form })
}

fn is_number(ty: &Type) -> bool {
    ty.is_basic() && !is_text(ty) && *ty != Type::Bool
}

fn is_text(ty: &Type) -> bool {
    matches!(ty, Type::Str | Type::ObjectPath | Type::Signature)
}

fn default_type(shape: Shape) -> Option<Type> {
    Some(match shape.form {
        Form::Any => return None,
        Form::Number => Type::I32,
        Form::Text => Type::Str,
        Form::Leaf(ty) => ty,
        Form::Maybe(inner) => Type::Maybe(Box::new(default_type(*inner)?)),
        Form::Array(element) => Type::Array(Box::new(default_type(*element)?)),
        Form::Tuple(members) => Type::Tuple(members.into_iter().map(default_type).collect::<Option<_>>()?),
        Form::Entry(key, value) => {
            Type::DictEntry(Box::new(default_type(*key)?), Box::new(default_type(*value)?))
        }
    })
}
