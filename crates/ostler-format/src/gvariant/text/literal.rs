//! What is between quotes: strings and bytestrings with their escapes.

use std::iter::Peekable;
use std::str::CharIndices;

use super::lexer::Token;
use super::{Parsed, TextError, fail};

/// Returns the text of a string literal.
///
/// Escapes: `\a \b \f \n \r \t \v`, `\u` with 4 hex digits, `\U` with 8, a backslash before a line end (both vanish),
/// and before anything else that itself.
pub(super) fn string(token: Token<'_>) -> Parsed<String> {
    let mut literal = Literal::open(token, 0);
    let mut text = String::new();
    while let Some((at, c)) = literal.next()? {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match literal.escaped()? {
            'u' => text.push(literal.unicode(at, 4)?),
            'U' => text.push(literal.unicode(at, 8)?),
            '\n' => {}
            other => text.push(control(other).map_or(other, char::from)),
        }
    }
    Ok(text)
}

/// Returns the bytes of a bytestring literal, without the NUL at the end.
///
/// Escapes: one to three octal digits, `\a \b \f \n \r \t \v`, a backslash before a line end (both
/// vanish), and before anything else that itself.
pub(super) fn bytestring(token: Token<'_>) -> Parsed<Vec<u8>> {
    let mut literal = Literal::open(token, 1);
    let mut bytes = Vec::new();
    let mut utf8 = [0; 4];
    while let Some((at, c)) = literal.next()? {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            continue;
        }
        match literal.escaped()? {
            digit @ '0'..='7' => bytes.push(literal.octal(at, digit)?),
            '\n' => {}
            other => match control(other) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(other.encode_utf8(&mut utf8).as_bytes()),
            },
        }
    }
    Ok(bytes)
}

/// The control character that a letter stands for behind a backslash.
fn control(letter: char) -> Option<u8> {
    Some(match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        _ => return None,
    })
}

struct Literal<'t> {
    start: usize,
    quote: Option<char>,
    chars: Peekable<CharIndices<'t>>,
}

impl<'t> Literal<'t> {
    fn open(token: Token<'t>, prefix: usize) -> Self {
        let mut chars = token.text.char_indices().peekable();
        let quote = chars.nth(prefix).map(|(_, c)| c);
        Self {
            start: token.at,
            quote,
            chars,
        }
    }

    /// Returns the next character and where it is, or nothing at the closing quote.
    fn next(&mut self) -> Parsed<Option<(usize, char)>> {
        match self.chars.next() {
            Some((_, c)) if Some(c) == self.quote => Ok(None),
            Some((index, '\0')) => fail(self.start + index, "NUL is not allowed in a text"),
            Some((index, c)) => Ok(Some((self.start + index, c))),
            None => Err(self.unterminated()),
        }
    }

    fn escaped(&mut self) -> Parsed<char> {
        match self.chars.next() {
            Some((index, '\0')) => fail(self.start + index, "NUL is not allowed in a text"),
            Some((_, c)) => Ok(c),
            None => Err(self.unterminated()),
        }
    }

    fn unicode(&mut self, at: usize, digits: usize) -> Parsed<char> {
        let mut code = 0_u32;
        for _ in 0..digits {
            let digit = self.chars.peek().and_then(|(_, c)| c.to_digit(16));
            let Some(digit) = digit else {
                return fail(at, format!("an escape needs {digits} hexadecimal digits"));
            };
            self.chars.next();
            code = (code << 4) | digit;
        }
        match char::from_u32(code) {
            Some('\0') | None => fail(at, format!("U+{code:04X} is no character of a string")),
            Some(c) => Ok(c),
        }
    }

    /// One byte of up to three octal digits; of a fourth hundred (`\400` and more) the low byte counts.
    fn octal(&mut self, at: usize, first: char) -> Parsed<u8> {
        let mut value = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.chars.peek().and_then(|(_, c)| c.to_digit(8)) else {
                break;
            };
            self.chars.next();
            value = (value << 3) | digit;
        }
        match u8::try_from(value & 0xff).unwrap_or(0) {
            0 => fail(at, "a bytestring ends at NUL; write it as an array of bytes"),
            byte => Ok(byte),
        }
    }

    fn unterminated(&self) -> TextError {
        TextError {
            at: self.start,
            reason: "the closing quote is missing".to_owned(),
        }
    }
}
