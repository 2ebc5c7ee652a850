//! Text from outside, made safe for a terminal: a subject or file name must not move the cursor or reorder the line.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns `text` with control characters and those that change the direction of writing escaped; tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\0'..='\u{7f}' if is_unsafe(character) => {
                let _written = write!(escaped, "\\x{:02x}", u32::from(character));
            }
            _ if is_unsafe(character) => {
                let _written = write!(escaped, "\\u{{{:x}}}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

fn is_unsafe(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        for (text, shown) in [
            ("plain é\tñ", "plain é\tñ"),
            ("\u{1b}[2J", "\\x1b[2J"),
            ("a\nb\r\0\u{7f}", "a\\nb\\r\\x00\\x7f"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt", "\\u{202e}txt"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
