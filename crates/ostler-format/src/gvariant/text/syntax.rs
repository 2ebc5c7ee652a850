//! From tokens to a syntax tree, without deciding on types.

use super::lexer::{Lexer, Token};
use super::{Parsed, fail, literal};
use crate::gvariant::{MAX_VALUE_DEPTH, Type};

/// A piece of text that stands for a value of a type still to be decided.
#[derive(Debug)]
pub(super) struct Node<'t> {
    /// Where it starts, in bytes from the start of the text.
    pub(super) at: usize,
    pub(super) kind: Kind<'t>,
}

#[derive(Debug)]
pub(super) enum Kind<'t> {
    Bool(bool),
    /// A number as it is written.
    Number(&'t str),
    /// An `s`, `o` or `g`.
    Text(String),
    /// A bytestring, without the NUL at its end.
    Bytes(Vec<u8>),
    Nothing,
    Just(Box<Node<'t>>),
    Array(Vec<Node<'t>>),
    Tuple(Vec<Node<'t>>),
    Variant(Box<Node<'t>>),
    /// `{key: value, …}`
    Dict(Vec<Entry<'t>>),
    /// `{key, value}`
    Entry(Box<Entry<'t>>),
    /// A value behind `@type` or a keyword.
    Typed(Type, Box<Node<'t>>),
}

#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: Node<'t>,
    pub(super) value: Node<'t>,
}

/// Parses a text that is one value and nothing else.
pub(super) fn parse(text: &str) -> Parsed<Node<'_>> {
    let mut lexer = Lexer::new(text);
    let node = node(&mut lexer, 0)?;
    match lexer.peek() {
        None => Ok(node),
        Some(token) => fail(token.at, "the text goes on behind the value"),
    }
}

fn node<'t>(lexer: &mut Lexer<'t>, depth: usize) -> Parsed<Node<'t>> {
    let at = lexer.position();
    if depth >= MAX_VALUE_DEPTH {
        return fail(at, format!("more than {MAX_VALUE_DEPTH} levels"));
    }
    let Some(token) = lexer.next() else {
        return fail(at, "a value is expected, but the text ends");
    };
    let kind = match token.text {
        "[" => Kind::Array(array(lexer, depth)?),
        "(" => Kind::Tuple(tuple(lexer, depth)?),
        "{" => dictionary(lexer, depth)?,
        "<" => {
            let child = node(lexer, depth + 1)?;
            require(lexer, ">", "is expected behind the value of a variant")?;
            Kind::Variant(Box::new(child))
        }
        "true" => Kind::Bool(true),
        "false" => Kind::Bool(false),
        "nothing" => Kind::Nothing,
        "just" => Kind::Just(Box::new(node(lexer, depth + 1)?)),
        number if token.is_number() => Kind::Number(number),
        _ if token.is_string() => Kind::Text(literal::string(token)?),
        _ if token.is_bytestring() => Kind::Bytes(literal::bytestring(token)?),
        _ => Kind::Typed(declared_type(token)?, Box::new(node(lexer, depth + 1)?)),
    };
    Ok(Node { at, kind })
}

fn array<'t>(lexer: &mut Lexer<'t>, depth: usize) -> Parsed<Vec<Node<'t>>> {
    let mut elements = Vec::new();
    while !lexer.accept("]") {
        if !elements.is_empty() {
            require(lexer, ",", "or ']' is expected behind an element of an array")?;
        }
        elements.push(node(lexer, depth + 1)?);
    }
    Ok(elements)
}

/// A tuple of one member has a comma behind it: `(1,)`.
fn tuple<'t>(lexer: &mut Lexer<'t>, depth: usize) -> Parsed<Vec<Node<'t>>> {
    let mut members = Vec::new();
    while !lexer.accept(")") {
        if members.len() > 1 {
            require(lexer, ",", "or ')' is expected behind a member of a tuple")?;
        }
        members.push(node(lexer, depth + 1)?);
        if members.len() == 1 {
            require(lexer, ",", "is expected behind the first member of a tuple")?;
        }
    }
    Ok(members)
}

fn dictionary<'t>(lexer: &mut Lexer<'t>, depth: usize) -> Parsed<Kind<'t>> {
    if lexer.accept("}") {
        return Ok(Kind::Dict(Vec::new()));
    }
    let key = node(lexer, depth + 1)?;
    if lexer.accept(",") {
        let value = node(lexer, depth + 1)?;
        require(lexer, "}", "is expected behind a dictionary entry")?;
        return Ok(Kind::Entry(Box::new(Entry { key, value })));
    }
    require(
        lexer,
        ":",
        "or ',' is expected behind the key of a dictionary entry",
    )?;
    let value = node(lexer, depth + 1)?;
    let mut entries = vec![Entry { key, value }];
    while !lexer.accept("}") {
        require(lexer, ",", "or '}' is expected behind a dictionary entry")?;
        let key = node(lexer, depth + 1)?;
        require(lexer, ":", "is expected behind the key of a dictionary entry")?;
        let value = node(lexer, depth + 1)?;
        entries.push(Entry { key, value });
    }
    Ok(Kind::Dict(entries))
}

/// Moves behind a token that must be there. `place` completes the message "',' …".
fn require(lexer: &mut Lexer<'_>, expected: &str, place: &str) -> Parsed<()> {
    if lexer.accept(expected) {
        Ok(())
    } else {
        fail(lexer.position(), format!("'{expected}' {place}"))
    }
}

/// The type that `@type` or a keyword declares.
fn declared_type(token: Token<'_>) -> Parsed<Type> {
    if let Some(ty) = token.text.strip_prefix('@') {
        return Type::parse(ty).or_else(|error| fail(token.at, error.to_string()));
    }
    Ok(match token.text {
        "boolean" => Type::Bool,
        "byte" => Type::Byte,
        "int16" => Type::I16,
        "uint16" => Type::U16,
        "int32" => Type::I32,
        "uint32" => Type::U32,
        "int64" => Type::I64,
        "uint64" => Type::U64,
        "handle" => Type::Handle,
        "double" => Type::Double,
        "string" => Type::Str,
        "objectpath" => Type::ObjectPath,
        "signature" => Type::Signature,
        word if token.is_word() => {
            return fail(token.at, format!("'{word}' is no keyword; a string needs quotes"));
        }
        other => {
            return fail(
                token.at,
                format!("a value is expected, not '{}'", other.escape_debug()),
            );
        }
    })
}
