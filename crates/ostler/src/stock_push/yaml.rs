//! The YAML of configurations: one mapping of names to texts, switches, lists of texts, or nothing.
//!
//! As in YAML 1.1, which ostree-push reads, words without quotation marks such as `yes`, `off` and `~` are switches and nothing; here all else
//! is text, also what looks like a number. Refused: mappings within the mapping, lists within lists, anchors and aliases, and files of
//! more than 64 KiB.

use std::collections::BTreeMap;
use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// The largest file that is read.
pub(super) const LIMIT: u64 = 64 << 10;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    Switch(bool),
    Text(String),
    List(Vec<String>),
}

impl Value {
    fn of(text: String, style: TScalarStyle) -> Self {
        if style != TScalarStyle::Plain {
            return Self::Text(text);
        }
        match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Self::Nothing,
            "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Self::Switch(true),
            "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Self::Switch(false),
            _ => Self::Text(text),
        }
    }

    /// Returns what kind it is, in the words of ostree-push.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "<class 'NoneType'>",
            Self::Switch(_) => "<class 'bool'>",
            Self::Text(_) => "<class 'str'>",
            Self::List(_) => "<class 'list'>",
        }
    }
}

/// Reads a file; an empty one is an empty mapping.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut reader = Reader::default();
    let parsed = Parser::new_from_str(text).load(&mut reader, true);
    match (parsed, reader.fault) {
        (_, Some(fault)) => Err(fault),
        (Err(error), None) => Err(error.to_string()),
        (Ok(()), None) => Ok(reader.found),
    }
}

/// Takes the parser's events.
#[derive(Debug, Default)]
struct Reader {
    found: BTreeMap<String, Value>,
    in_mapping: bool,
    key: Option<String>,
    list: Option<Vec<String>>,
    documents: usize,
    fault: Option<String>,
}

impl MarkedEventReceiver for Reader {
    fn on_event(&mut self, event: Event, mark: Marker) {
        if self.fault.is_none()
            && let Err(what) = self.take(event)
        {
            self.fault = Some(format!("{what} in line {}", mark.line()));
        }
    }
}

impl Reader {
    fn take(&mut self, event: Event) -> Result<(), &'static str> {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentEnd
            | Event::MappingEnd => Ok(()),
            Event::DocumentStart => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document");
                }
                Ok(())
            }
            Event::Alias(_) => Err("an alias"),
            Event::Scalar(_, _, anchor, _) if anchor != 0 => Err("an anchor"),
            Event::Scalar(text, style, _, _) => self.scalar(text, style),
            Event::MappingStart(..) if self.in_mapping => Err("a mapping within the mapping"),
            Event::MappingStart(..) => {
                self.in_mapping = true;
                Ok(())
            }
            Event::SequenceStart(..) if self.key.is_none() || self.list.is_some() => {
                Err("not a YAML mapping: a list")
            }
            Event::SequenceStart(..) => {
                self.list = Some(Vec::new());
                Ok(())
            }
            Event::SequenceEnd => {
                let list = self.list.take().unwrap_or_default();
                self.put(Value::List(list))
            }
        }
    }

    fn scalar(&mut self, text: String, style: TScalarStyle) -> Result<(), &'static str> {
        if !self.in_mapping {
            return match Value::of(text, style) {
                Value::Nothing => Ok(()),
                _ => Err("not a YAML mapping: a text"),
            };
        }
        if let Some(list) = &mut self.list {
            list.push(text);
            return Ok(());
        }
        if self.key.is_none() {
            self.key = Some(text);
            return Ok(());
        }
        self.put(Value::of(text, style))
    }

    /// The last of several values of one name counts, as in ostree-push.
    fn put(&mut self, value: Value) -> Result<(), &'static str> {
        let key = self.key.take().ok_or("a value without a name")?;
        self.found.insert(key, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_people_write_for_them() {
        let text = "# a comment\nroot: /srv/repos\nupdate: no\nforce: \"no\"\ndry_run: On\ngpg_homedir: ~\nupdate_hook:\n\
                    gpg_sign: [ABCD, 'E F', 1234]\nsign_keyfiles:\n  - /a\n  - /b # two\nlog_level: 'INFO'\n";
        let found = parse(text).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let list = |texts: &[&str]| Value::List(texts.iter().map(|&text| text.to_owned()).collect());
        for (name, value) in [
            ("root", text("/srv/repos")),
            ("update", Value::Switch(false)),
            ("force", text("no")),
            ("dry_run", Value::Switch(true)),
            ("gpg_homedir", Value::Nothing),
            ("update_hook", Value::Nothing),
            ("gpg_sign", list(&["ABCD", "E F", "1234"])),
            ("sign_keyfiles", list(&["/a", "/b"])),
            ("log_level", text("INFO")),
        ] {
            assert_eq!(found.get(name), Some(&value), "{name}");
        }
        assert_eq!(parse("# nothing\n").unwrap(), BTreeMap::new());
        assert_eq!(parse("---\nnull\n").unwrap(), BTreeMap::new());
    }

    #[test]
    fn what_is_no_plain_mapping_is_refused_with_its_line() {
        for (text, fault) in [
            ("- a\n", "not a YAML mapping"),
            ("text\n", "not a YAML mapping"),
            ("a: 1\nb: {c: d}\n", "line 2"),
            ("a: &x 1\nb: *x\n", "line 1"),
            ("a: [[b]]\n", "line 1"),
            ("a: 1\n---\nb: 2\n", "line 2"),
            ("a: 'b\n", "line"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(fault), "{text}: {told}");
        }
    }
}
