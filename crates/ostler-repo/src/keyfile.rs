//! Key files as GLib reads and writes them: `[group]`, `key=value`, `#` comments.
//!
//! A file that is read and written back keeps every byte; a change touches only its own lines, so comments,
//! order and keys that we do not know survive. Of a key that is given twice the last one counts, and a group
//! that is given twice is one group, as in GLib.
//!
//! Escapes in values: `\s` (space), `\n`, `\t`, `\r`, `\\`; in lists, which are separated by `;`, also `\;`.
//! Refused: anything before the first group that is neither blank nor a comment, lines that are neither group,
//! key nor comment, groups and keys that are not UTF-8 or break GLib's grammar of names, NUL, unknown escapes.

use ostler_format::{FormatError, Result};

/// A key file with the bytes that it was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFile {
    lines: Vec<Line>,
}

/// One line, with its line ending.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    raw: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Blank, or a comment.
    Other,
    Group(String),
    Key {
        name: String,
        value: String,
    },
}

impl Line {
    fn is_blank(&self) -> bool {
        self.raw.trim_ascii().is_empty()
    }

    fn is_header(&self) -> bool {
        matches!(self.kind, Kind::Group(_))
    }

    fn is_header_of(&self, group: &str) -> bool {
        matches!(&self.kind, Kind::Group(name) if name == group)
    }
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] with the number of the line that breaks a rule.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut lines = Vec::new();
        let mut in_group = false;
        for (index, raw) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let kind = line_kind(raw)
                .and_then(|kind| match kind {
                    Kind::Key { .. } if !in_group => Err("a key before the first group"),
                    kind => Ok(kind),
                })
                .map_err(|rule| invalid(format!("line {}: {rule}", index + 1)))?;
            in_group |= matches!(kind, Kind::Group(_));
            lines.push(Line {
                raw: raw.to_vec(),
                kind,
            });
        }
        Ok(Self { lines })
    }

    /// Returns the whole file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| &line.raw).copied().collect()
    }

    /// Returns the groups, in order, each once.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for line in &self.lines {
            if let Kind::Group(name) = &line.kind
                && !groups.contains(&name.as_str())
            {
                groups.push(name);
            }
        }
        groups
    }

    /// Returns whether there is such a group.
    pub fn has_group(&self, group: &str) -> bool {
        self.lines
            .iter()
            .any(|line| matches!(&line.kind, Kind::Group(name) if name == group))
    }

    /// Returns the keys of a group, in order, each once.
    pub fn keys(&self, group: &str) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for (_, name, _) in self.entries(group) {
            if !keys.contains(&name) {
                keys.push(name);
            }
        }
        keys
    }

    /// Returns a value as it is written, escapes and all.
    pub fn raw(&self, group: &str, key: &str) -> Option<&str> {
        self.entries(group)
            .filter(|(_, name, _)| *name == key)
            .last()
            .map(|(_, _, value)| value)
    }

    /// Returns a value.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for an unknown escape.
    pub fn get(&self, group: &str, key: &str) -> Result<Option<String>> {
        let Some(raw) = self.raw(group, key) else {
            return Ok(None);
        };
        match unescape(raw, false) {
            Ok(mut parts) => Ok(parts.pop()),
            Err(rule) => Err(value_error(group, key, &rule)),
        }
    }

    /// Returns a list, whose elements are separated or ended by `;`.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for an unknown escape.
    pub fn get_list(&self, group: &str, key: &str) -> Result<Option<Vec<String>>> {
        self.raw(group, key)
            .map(|raw| unescape(raw, true).map_err(|rule| value_error(group, key, &rule)))
            .transpose()
    }

    /// Returns a boolean: `true`, `1`, `false` or `0`.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for anything else.
    pub fn get_bool(&self, group: &str, key: &str) -> Result<Option<bool>> {
        match self.raw(group, key).map(str::trim_ascii_end) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(value_error(group, key, "true or false expected")),
        }
    }

    /// Returns a decimal number.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for anything else.
    pub fn get_int(&self, group: &str, key: &str) -> Result<Option<i64>> {
        let Some(raw) = self.raw(group, key) else {
            return Ok(None);
        };
        match raw.trim_ascii().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(value_error(group, key, "a number expected")),
        }
    }

    /// Sets a value: in the line of the last such key, or in a new line at the end of the group, which is made
    /// when it is missing.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for a group or key whose name breaks the grammar, a value with NUL, or one that begins with a form feed.
    pub fn set(&mut self, group: &str, key: &str, value: &str) -> Result<()> {
        self.set_raw(group, key, escape(value, false))
    }

    /// Sets a list, each element ended by `;`.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_list<S: AsRef<str>>(&mut self, group: &str, key: &str, values: &[S]) -> Result<()> {
        let text = values
            .iter()
            .map(|value| escape(value.as_ref(), true) + ";")
            .collect();
        self.set_raw(group, key, text)
    }

    fn set_raw(&mut self, group: &str, key: &str, value: String) -> Result<()> {
        if !is_group_name(group) {
            return Err(invalid(format!(
                "'{}' is not the name of a group",
                group.escape_debug()
            )));
        }
        if !is_key_name(key) {
            return Err(invalid(format!(
                "'{}' is not the name of a key",
                key.escape_debug()
            )));
        }
        if value.contains('\0') {
            return Err(value_error(group, key, "contains NUL"));
        }
        if value.starts_with('\x0C') {
            // White space to readers, and the grammar has no escape for it.
            return Err(value_error(group, key, "begins with a form feed"));
        }
        let line = Line {
            raw: format!("{key}={value}\n").into_bytes(),
            kind: Kind::Key {
                name: key.to_owned(),
                value,
            },
        };
        let existing = self
            .entries(group)
            .filter(|(_, name, _)| *name == key)
            .last()
            .map(|(index, _, _)| index);
        if let Some(slot) = existing.and_then(|index| self.lines.get_mut(index)) {
            *slot = line;
            return Ok(());
        }
        self.end_last_line();
        let index = match self.last_line_of(group) {
            Some(index) => index + 1,
            None => self.add_group(group),
        };
        self.lines.insert(index, line);
        Ok(())
    }

    /// Removes a key; returns whether it was there.
    pub fn unset(&mut self, group: &str, key: &str) -> bool {
        let before = self.lines.len();
        let mut inside = false;
        self.lines.retain(|line| match &line.kind {
            Kind::Group(name) => {
                inside = name == group;
                true
            }
            Kind::Key { name, .. } => !(inside && name == key),
            Kind::Other => true,
        });
        self.lines.len() != before
    }

    /// Removes a group with its keys, the comments between and right behind them, and the empty lines that follow;
    /// returns whether it was there. Comments after an empty line or right before the next group are not its own.
    pub fn remove_group(&mut self, group: &str) -> bool {
        let before = self.lines.len();
        let mut kept: Vec<Line> = Vec::with_capacity(before);
        let mut left = before;
        for section in self.lines.chunk_by(|_, next| !next.is_header()) {
            left -= section.len();
            let doomed = section.first().is_some_and(|line| line.is_header_of(group));
            let own = if doomed { own_lines(section, left == 0) } else { 0 };
            kept.extend(section.iter().skip(own).cloned());
            if own > 0 && left == 0 && own == section.len() {
                while kept.last().is_some_and(Line::is_blank) {
                    kept.pop();
                }
            }
        }
        self.lines = kept;
        self.lines.len() != before
    }

    /// The keys of a group: index of the line, name, raw value.
    fn entries<'a, 'g>(
        &'a self,
        group: &'g str,
    ) -> impl Iterator<Item = (usize, &'a str, &'a str)> + use<'a, 'g> {
        let mut inside = false;
        self.lines
            .iter()
            .enumerate()
            .filter_map(move |(index, line)| match &line.kind {
                Kind::Group(name) => {
                    inside = name == group;
                    None
                }
                Kind::Key { name, value } if inside => Some((index, name.as_str(), value.as_str())),
                Kind::Key { .. } | Kind::Other => None,
            })
    }

    /// The last line of the group that is its header or one of its keys.
    fn last_line_of(&self, group: &str) -> Option<usize> {
        let mut inside = false;
        let mut last = None;
        for (index, line) in self.lines.iter().enumerate() {
            match &line.kind {
                Kind::Group(name) => inside = name == group,
                Kind::Key { .. } => {}
                Kind::Other => continue,
            }
            if inside {
                last = Some(index);
            }
        }
        last
    }

    /// Adds a group at the end, after an empty line, and returns where its first key goes.
    fn add_group(&mut self, group: &str) -> usize {
        if self.lines.last().is_some_and(|line| !line.is_blank()) {
            self.lines.push(Line {
                raw: b"\n".to_vec(),
                kind: Kind::Other,
            });
        }
        self.lines.push(Line {
            raw: format!("[{group}]\n").into_bytes(),
            kind: Kind::Group(group.to_owned()),
        });
        self.lines.len()
    }

    fn end_last_line(&mut self) {
        if let Some(last) = self.lines.last_mut()
            && last.raw.last() != Some(&b'\n')
        {
            last.raw.push(b'\n');
        }
    }
}

/// Returns how many lines at the start of a group's section, whose header is its first, go with the group.
fn own_lines(section: &[Line], is_last: bool) -> usize {
    let to_last_key = section
        .iter()
        .rposition(|line| line.kind != Kind::Other)
        .map_or(0, |index| index + 1);
    let behind = || section.iter().skip(to_last_key);
    let comments = behind().take_while(|line| !line.is_blank()).count();
    let blank = behind().skip(comments).take_while(|line| line.is_blank()).count();
    if blank == 0 && !is_last {
        return to_last_key;
    }
    to_last_key + comments + blank
}

fn line_kind(raw: &[u8]) -> Result<Kind, &'static str> {
    let line = raw.strip_suffix(b"\n").unwrap_or(raw);
    let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(Kind::Other);
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Err("not UTF-8");
    };
    if text.contains('\0') {
        return Err("contains NUL");
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (name, after) = rest.split_once(']').ok_or("a group without ']'")?;
        if !after.trim_matches([' ', '\t']).is_empty() || !is_group_name(name) {
            return Err("not the name of a group");
        }
        return Ok(Kind::Group(name.to_owned()));
    }
    let (name, value) = text.split_once('=').ok_or("neither group, key nor comment")?;
    let name = name.trim_ascii_end();
    if !is_key_name(name) {
        return Err("not the name of a key");
    }
    Ok(Kind::Key {
        name: name.to_owned(),
        value: value.trim_ascii_start().to_owned(),
    })
}

fn is_group_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| matches!(c, '[' | ']') || c.is_ascii_control())
}

/// A key, with the locale in brackets that GLib allows after it.
fn is_key_name(name: &str) -> bool {
    let (key, locale) = match name.split_once('[') {
        None => (name, None),
        Some((key, rest)) => (key, Some(rest)),
    };
    let locale_fits = locale.is_none_or(|rest| {
        rest.strip_suffix(']')
            .is_some_and(|l| l.chars().all(|c| c.is_alphanumeric() || "-_.@".contains(c)))
    });
    let first_fits = !key.starts_with(|c: char| c == '#' || c.is_ascii_whitespace());
    !key.is_empty()
        && first_fits
        && !key.ends_with(' ')
        && locale_fits
        && !key.contains(['=', ']', '\n', '\r', '\0'])
}

/// Reads the escapes of a value; with `list`, splits at `;`.
fn unescape(raw: &str, list: bool) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        match character {
            ';' if list => parts.push(std::mem::take(&mut part)),
            '\\' => part.push(match characters.next() {
                Some('s') => ' ',
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('\\') => '\\',
                Some(';') if list => ';',
                Some(other) => return Err(format!("unknown escape '\\{}'", other.escape_debug())),
                None => return Err("'\\' at the end".to_owned()),
            }),
            other => part.push(other),
        }
    }
    if !list || !part.is_empty() {
        parts.push(part);
    }
    Ok(parts)
}

/// Writes a value so that it reads back: leading white space would be dropped.
fn escape(value: &str, list: bool) -> String {
    let mut text = String::with_capacity(value.len());
    let mut leading = true;
    for character in value.chars() {
        match character {
            ' ' if leading => text.push_str("\\s"),
            '\t' if leading => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' => text.push_str("\\\\"),
            ';' if list => text.push_str("\\;"),
            other => text.push(other),
        }
        leading &= matches!(character, ' ' | '\t');
    }
    text
}

fn invalid(rule: String) -> FormatError {
    FormatError::invalid("key file", rule)
}

fn value_error(group: &str, key: &str, rule: &str) -> FormatError {
    invalid(format!("{key} in [{group}]: {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str =
        "# about\n[core]\nrepo_version=1\n mode = bare \n\n[remote \"a\"]\nurl=http://x\nbranches=a;b\\;c;\n";

    #[test]
    fn values_are_read_as_glib_reads_them() {
        let file = KeyFile::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(file.groups(), ["core", "remote \"a\""]);
        assert_eq!(file.keys("core"), ["repo_version", "mode"]);
        assert_eq!(file.get("core", "mode").unwrap().as_deref(), Some("bare "));
        assert_eq!(file.get_int("core", "repo_version"), Ok(Some(1)));
        assert_eq!(file.get_bool("core", "repo_version"), Ok(Some(true)));
        assert!(file.get_bool("core", "mode").is_err());
        assert_eq!(
            file.get_list("remote \"a\"", "branches").unwrap().unwrap(),
            ["a", "b;c"]
        );
        assert_eq!(file.get("core", "absent"), Ok(None));
    }

    #[test]
    fn value_that_would_not_be_read_as_it_was_set_is_refused() {
        let mut file = KeyFile::default();
        assert!(file.set("a", "k", "\x0C x").is_err());
        assert!(file.to_bytes().is_empty());
        file.set("a", "k", " \x0C\t").unwrap();
        let read = KeyFile::parse(&file.to_bytes()).unwrap();
        assert_eq!(read.get("a", "k").unwrap().as_deref(), Some(" \x0C\t"));
    }

    #[test]
    fn changes_touch_only_their_own_lines() {
        let mut file = KeyFile::parse(TEXT.as_bytes()).unwrap();
        file.set("core", "mode", "archive-z2").unwrap();
        file.set("core", "fsync", "false").unwrap();
        file.set("new", "k", " v").unwrap();
        assert!(file.unset("remote \"a\"", "branches"));
        assert!(!file.unset("remote \"a\"", "branches"));
        let expected = "# about\n[core]\nrepo_version=1\nmode=archive-z2\nfsync=false\n\n[remote \"a\"]\nurl=http://x\n\n[new]\nk=\\sv\n";
        assert_eq!(String::from_utf8(file.to_bytes()).unwrap(), expected);
        assert!(file.remove_group("remote \"a\""));
        assert_eq!(file.groups(), ["core", "new"]);
    }

    #[test]
    fn a_group_takes_only_its_own_comments_along() {
        for (before, after) in [
            ("[k]\nx=1\n\n[a]\nk=v\n", "[k]\nx=1\n"),
            ("[k]\nx=1\n\n[a]\nk=v\n\n[b]\n", "[k]\nx=1\n\n[b]\n"),
            (
                "# top\n[a]\n# in\nk=v\n# end\n\n# of b\n[b]\n",
                "# top\n# of b\n[b]\n",
            ),
            ("[a]\nk=v\n# of b\n[b]\n", "# of b\n[b]\n"),
            ("[k]\n\n[a]\nk=v\n\n# last\n", "[k]\n\n# last\n"),
            ("[k]\n\n[a]\nk=v\n# its own", "[k]\n"),
            ("[a]\nk=1\n[b]\n[a]\nl=1\n", "[b]\n"),
            ("[a]\n", ""),
        ] {
            let mut file = KeyFile::parse(before.as_bytes()).unwrap();
            assert!(file.remove_group("a"), "{before:?}");
            assert_eq!(String::from_utf8(file.to_bytes()).unwrap(), after, "{before:?}");
            assert!(!file.remove_group("a"), "{before:?}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_equal_groups_are_one() {
        let mut file = KeyFile::parse(b"[a]\nk=1\n[b]\n[a]\nk=2\nk=3").unwrap();
        assert_eq!(file.get_int("a", "k"), Ok(Some(3)));
        file.set("a", "k", "4").unwrap();
        assert_eq!(file.get_int("a", "k"), Ok(Some(4)));
        file.set("a", "l", "5").unwrap();
        assert_eq!(file.to_bytes(), b"[a]\nk=1\n[b]\n[a]\nk=2\nk=4\nl=5\n");
    }

    #[test]
    fn what_glib_refuses_is_refused() {
        for bad in [
            "k=v\n",
            "[a]\nword\n",
            "[a\n",
            "[]\n",
            "[a]b\n",
            "[a]\n=v\n",
            "[a[b]\n",
            "[a]\nk]=v\n",
            "[a]\nk\0=v\n",
        ] {
            assert!(KeyFile::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(KeyFile::parse(b"[a]\nk=\xff\n").is_err());
        assert!(KeyFile::parse(b"# \xff\n[a]\nk[de_DE]=\n").is_ok());
        let file = KeyFile::parse(b"[a]\nk=\\q\nl=\\\n").unwrap();
        assert!(file.get("a", "k").is_err());
        assert!(file.get("a", "l").is_err());
        let mut file = KeyFile::default();
        for (group, key) in [("", "k"), ("a]", "k"), ("a", ""), ("a", "k=l"), ("a", "#k")] {
            assert!(file.set(group, key, "v").is_err(), "{group:?} {key:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_is_written_back_to_the_byte(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'['), Just(b']'), Just(b'='), Just(b'#'), Just(b'a'), Just(b' '), any::<u8>()], 0..60)
        ) {
            if let Ok(file) = KeyFile::parse(&bytes) {
                prop_assert_eq!(file.to_bytes(), bytes);
            }
        }

        #[test]
        fn values_that_are_set_read_back(
            key in "[a-z][a-z-]{0,9}", value in "([^\0\x0C][^\0]{0,19})?",
            list in proptest::collection::vec("[^\0\x0C]{1,6}", 0..4)
        ) {
            let mut file = KeyFile::parse(TEXT.as_bytes()).unwrap();
            file.set("core", &key, &value).unwrap();
            file.set_list("lists", &key, &list).unwrap();
            let again = KeyFile::parse(&file.to_bytes()).unwrap();
            prop_assert_eq!(&again, &file);
            prop_assert_eq!(again.get("core", &key).unwrap(), Some(value));
            prop_assert_eq!(again.get_list("lists", &key).unwrap(), Some(list));
        }
    }
}
