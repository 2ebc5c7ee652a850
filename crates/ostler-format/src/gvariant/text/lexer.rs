//! From text to tokens.

/// A token and where it starts, in bytes from the start of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) at: usize,
    pub(super) text: &'t str,
}

impl Token<'_> {
    /// Whether the token is a number by its looks; what is wrong with it shows when it is converted.
    pub(super) fn is_number(&self) -> bool {
        self.text.starts_with(is_number_start) || matches!(self.text, "inf" | "nan")
    }

    pub(super) fn is_string(&self) -> bool {
        self.text.starts_with(['\'', '"'])
    }

    pub(super) fn is_bytestring(&self) -> bool {
        self.text.starts_with("b'") || self.text.starts_with("b\"")
    }

    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_lowercase()) && !self.is_bytestring()
    }
}

/// Cuts a text into tokens, one at a time.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    rest: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text, at: 0 }
    }

    /// Returns where the next token starts.
    pub(super) fn position(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// Returns the next token without moving behind it.
    pub(super) fn peek(&mut self) -> Option<Token<'t>> {
        self.skip_space();
        let first = self.rest.chars().next()?;
        let len = match first {
            _ if is_number_start(first) => run(self.rest, |c| {
                c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')
            }),
            'b' if self.rest.starts_with("b'") || self.rest.starts_with("b\"") => quoted(self.rest, 1),
            'a'..='z' => run(self.rest, |c| c.is_ascii_alphanumeric()),
            '\'' | '"' => quoted(self.rest, 0),
            '@' => type_declaration(self.rest),
            _ => first.len_utf8(),
        };
        let text = self.rest.get(..len)?;
        Some(Token { at: self.at, text })
    }

    /// Moves behind the next token and returns it.
    pub(super) fn next(&mut self) -> Option<Token<'t>> {
        let token = self.peek()?;
        self.rest = self.rest.get(token.text.len()..).unwrap_or_default();
        self.at += token.text.len();
        Some(token)
    }

    /// Moves behind the next token if it is `expected`, and returns whether it is.
    pub(super) fn accept(&mut self, expected: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.text == expected);
        if found {
            self.next();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = self
            .rest
            .trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
        self.at += self.rest.len() - rest.len();
        self.rest = rest;
    }
}

fn is_number_start(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '+' | '.')
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The length of a literal whose opening quote is at `quote`: to the closing quote or, without one, to the
/// end.
fn quoted(text: &str, quote: usize) -> usize {
    let mut escaped = false;
    let mut chars = text.char_indices().skip(quote);
    let open = chars.next().map(|(_, c)| c);
    for (index, c) in chars {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if Some(c) == open => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `@` and the type behind it: to a space, comma, colon, `]`, `>` or the bracket that closes
/// something around the declaration.
fn type_declaration(text: &str) -> usize {
    let mut open = 0_usize;
    for (index, c) in text.char_indices() {
        match c {
            ',' | ':' | '>' | ']' => return index,
            _ if c.is_ascii_whitespace() => return index,
            '(' | '{' => open += 1,
            ')' | '}' if open == 0 => return index,
            ')' | '}' => open -= 1,
            _ => {}
        }
    }
    text.len()
}
