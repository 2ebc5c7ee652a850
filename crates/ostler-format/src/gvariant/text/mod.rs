//! The text form of values: what `g_variant_print` writes and `g_variant_parse` reads.
//!
//! Printing gives the same text as GLib. Parsing gives the same value as GLib for the same text, in four
//! steps, a file each: tokens, literals, the syntax tree, then the type of the whole (inferred, where it is
//! not given) and the value of that type. Where GLib is careless, an error stands instead: numbers without
//! digits or with two signs, hexadecimal fractions, bytestrings with NUL inside (GLib cuts them short).

mod build;
mod infer;
mod lexer;
mod literal;
mod number;
mod print;
mod syntax;

use super::{Type, Value};
use crate::{FormatError, Result};

impl Value {
    /// Returns the value that a text such as `{'a': <uint64 5>}` stands for.
    ///
    /// Without a type it is inferred as GLib does: numbers are `i` or, with a point or exponent, `d`;
    /// strings are `s`; the elements of an array share one type; a dictionary's values have the type of its
    /// first; empty arrays need a declaration such as `@as []`.
    ///
    /// # Errors
    /// `Invalid` with the position in the text (counted in characters, from 1) and the reason.
    pub fn parse_text(text: &str, ty: Option<&Type>) -> Result<Self> {
        parse(text, ty).map_err(|error| {
            let before = text.char_indices().take_while(|(at, _)| *at < error.at).count();
            FormatError::invalid(
                "GVariant text",
                format!("at character {}: {}", before + 1, error.reason),
            )
        })
    }
}

fn parse(text: &str, ty: Option<&Type>) -> Parsed<Value> {
    let tree = syntax::parse(text)?;
    match ty {
        Some(ty) => build::value(&tree, ty, 0),
        None => build::value(&tree, &infer::ty(&tree)?, 0),
    }
}

/// Why a text was refused.
#[derive(Debug)]
struct TextError {
    /// Where, in bytes from the start.
    at: usize,
    reason: String,
}

type Parsed<T> = std::result::Result<T, TextError>;

fn fail<T>(at: usize, reason: impl Into<String>) -> Parsed<T> {
    let reason = reason.into();
    Err(TextError { at, reason })
}
