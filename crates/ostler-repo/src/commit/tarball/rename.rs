//! Changing the paths of an archive by a regular expression: `--tar-pathname-filter`.
//!
//! Every match is replaced. The replacement is written as for GLib's regular expressions: `\0` to `\9` and `\g<NUMBER>` or
//! `\g<NAME>` are what a group matched (nothing, if there is no such group), `\l` and `\u` change the case of the next character, `\L` and `\U` that
//! of all up to `\E`, and `\a \f \n \r \t \v`, `\xHH`, `\x{HHHH}`, `\OCTAL` with a leading zero, and `\\` are characters.

use crate::error::{RepoError, Result};
use fancy_regex::{Captures, Regex};
use std::iter::Peekable;
use std::str::Chars;

/// A regular expression and what its matches become.
#[derive(Debug)]
pub struct PathnameFilter {
    regex: Regex,
    replacement: Vec<Part>,
}

/// A part of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
    Name(String),
    Case(Case),
}

/// What becomes of the case of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Keep,
    Lower,
    Upper,
    LowerNext,
    UpperNext,
}

impl PathnameFilter {
    /// Reads a regular expression and a replacement.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] if either of them is none.
    pub fn new(regex: &str, replacement: &str) -> Result<Self> {
        let invalid = |error: fancy_regex::Error| {
            RepoError::invalid(format!("regular expression '{regex}'"), error.to_string())
        };
        Ok(Self {
            regex: Regex::new(regex).map_err(invalid)?,
            replacement: parse(replacement)
                .map_err(|why| RepoError::invalid(format!("replacement '{replacement}'"), why))?,
        })
    }

    /// Changes a path.
    pub(super) fn apply(&self, path: &str) -> Result<String> {
        let mut changed = String::with_capacity(path.len());
        let mut end = 0;
        for found in self.regex.captures_iter(path) {
            let found = found.map_err(|error| {
                RepoError::invalid(format!("regular expression '{}'", self.regex), error.to_string())
            })?;
            let Some(whole) = found.get(0) else {
                continue;
            };
            changed.push_str(path.get(end..whole.start()).unwrap_or_default());
            self.expand(&found, &mut changed);
            end = whole.end();
        }
        changed.push_str(path.get(end..).unwrap_or_default());
        Ok(changed)
    }

    fn expand(&self, found: &Captures<'_, str>, out: &mut String) {
        let mut case = Case::Keep;
        for part in &self.replacement {
            let text = match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Group(number) => found.get(*number).map(|group| group.as_str()),
                Part::Name(name) => found.name(name).map(|group| group.as_str()),
                Part::Case(wanted) => {
                    case = *wanted;
                    None
                }
            };
            push(text.unwrap_or_default(), &mut case, out);
        }
    }
}

fn push(text: &str, case: &mut Case, out: &mut String) {
    for letter in text.chars() {
        match case {
            Case::Keep => out.push(letter),
            Case::Lower | Case::LowerNext => out.extend(letter.to_lowercase()),
            Case::Upper | Case::UpperNext => out.extend(letter.to_uppercase()),
        }
        if matches!(case, Case::LowerNext | Case::UpperNext) {
            *case = Case::Keep;
        }
    }
}

type Letters<'a> = Peekable<Chars<'a>>;

fn parse(replacement: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut letters = replacement.chars().peekable();
    while let Some(letter) = letters.next() {
        let part = if letter == '\\' {
            escape(&mut letters)?
        } else {
            Part::Text(letter.to_string())
        };
        match (parts.last_mut(), part) {
            (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
            (_, part) => parts.push(part),
        }
    }
    Ok(parts)
}

fn escape(letters: &mut Letters<'_>) -> Result<Part, String> {
    let letter = letters.next().ok_or_else(|| "stray final '\\'".to_owned())?;
    let text = |character: char| Ok(Part::Text(character.to_string()));
    match letter {
        'a' => text('\u{7}'),
        'f' => text('\u{c}'),
        'n' => text('\n'),
        'r' => text('\r'),
        't' => text('\t'),
        'v' => text('\u{b}'),
        '\\' => text('\\'),
        'x' => character(letters).map(|found| Part::Text(found.to_string())),
        'l' => Ok(Part::Case(Case::LowerNext)),
        'u' => Ok(Part::Case(Case::UpperNext)),
        'L' => Ok(Part::Case(Case::Lower)),
        'U' => Ok(Part::Case(Case::Upper)),
        'E' => Ok(Part::Case(Case::Keep)),
        'g' => group(letters),
        '0' if letters.peek().is_some_and(|next| next.is_digit(8)) => {
            let digits = take_while(letters, 3, |letter| letter.is_digit(8));
            from_digits(&digits, 8).map(|found| Part::Text(found.to_string()))
        }
        '0'..='9' => {
            let mut digits = letter.to_string();
            if letter != '0' {
                digits.push_str(&take_while(letters, 1, |letter| letter.is_ascii_digit()));
            }
            digits
                .parse()
                .map(Part::Group)
                .map_err(|_error| format!("group '{digits}'"))
        }
        other => Err(format!("unknown escape sequence '\\{other}'")),
    }
}

/// Reads what follows `\x`.
fn character(letters: &mut Letters<'_>) -> Result<char, String> {
    if letters.next_if_eq(&'{').is_none() {
        let digits = take_while(letters, 2, |letter| letter.is_ascii_hexdigit());
        return from_digits(&digits, 16);
    }
    let digits = take_while(letters, 8, |letter| letter.is_ascii_hexdigit());
    match letters.next() {
        Some('}') => from_digits(&digits, 16),
        _ => Err("hexadecimal digits or '}' expected".to_owned()),
    }
}

fn from_digits(digits: &str, radix: u32) -> Result<char, String> {
    let number = u32::from_str_radix(digits, radix).ok();
    let found = number.and_then(char::from_u32).filter(|found| *found != '\0');
    found.ok_or_else(|| format!("no character has the number '{digits}'"))
}

/// Reads what follows `\g`.
fn group(letters: &mut Letters<'_>) -> Result<Part, String> {
    if letters.next() != Some('<') {
        return Err("missing '<' in symbolic reference".to_owned());
    }
    let name = take_while(letters, usize::MAX, |letter| letter != '>');
    if letters.next().is_none() || name.is_empty() {
        return Err("unfinished symbolic reference".to_owned());
    }
    Ok(match name.parse() {
        Ok(number) => Part::Group(number),
        Err(_) => Part::Name(name),
    })
}

fn take_while(letters: &mut Letters<'_>, most: usize, fits: impl Fn(char) -> bool) -> String {
    let mut taken = String::new();
    while taken.chars().count() < most
        && let Some(letter) = letters.next_if(|letter| fits(*letter))
    {
        taken.push(letter);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_match_is_replaced() {
        for (regex, replacement, path, changed) in [
            ("^d/", "e/", "d/d/a", "e/d/a"),
            ("d", "", "d/d/a", "//a"),
            ("$", "x", "d/a", "d/ax"),
            ("^", "foo/", "", "foo/"),
            ("^(.)/(.)", r"\2/\1", "d/a/b", "a/d/b"),
            ("(?<n>d)", r"\g<n>r\g<0>\g<1>", "d", "drdd"),
            ("d", r"\7\g<nobody>x", "d", "x"),
            ("(?=d)", "x", "ad", "axd"),
            (r"(\w+)/", r"\U\1\E/\u\1/\L\1Ä\l", "Bin/x", "BIN/Bin/binäx"),
            ("z", r"\x41\x{e9}\t\\\0101", "z", "Aé\t\\A"),
            ("nothing", "x", "größe", "größe"),
        ] {
            let filter = PathnameFilter::new(regex, replacement).unwrap();
            assert_eq!(filter.apply(path).unwrap(), changed, "{regex} {replacement}");
        }
    }

    #[test]
    fn what_is_no_expression_or_replacement_is_refused() {
        for (regex, replacement) in [
            ("(", "x"),
            ("x", "\\"),
            ("x", "\\q"),
            ("x", "\\g<"),
            ("x", "\\g<>"),
            ("x", "\\gx"),
            ("x", "\\xzz"),
            ("x", "\\x{41"),
            ("x", "\\x{110000}"),
        ] {
            assert!(
                PathnameFilter::new(regex, replacement).is_err(),
                "{regex} {replacement}"
            );
        }
    }
}
