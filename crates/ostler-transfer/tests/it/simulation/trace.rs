//! What happened in a play, short enough to be read when a law is broken.

use std::fmt;

/// How many lines of a trace are printed.
const LINES: usize = 100;

/// A step of an actor; told before it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// A command begins, or a pull.
    Begin(&'static str),
    /// A file is read or looked at; of a directory, with a slash at its end, the names in it.
    Read(String),
    /// The lease is taken.
    Lease,
    /// A file is put.
    Put(String),
    /// A flip begins.
    Intent,
    /// A file is changed by a flip.
    Edit(String),
    /// A flip is done.
    Done,
    /// A file is removed by a sweep.
    Remove(String),
}

impl Op {
    /// Returns the file that is changed, if one is.
    pub(crate) fn changed(&self) -> Option<&str> {
        match self {
            Self::Put(path) | Self::Edit(path) | Self::Remove(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(what) => write!(f, "begins: {what}"),
            Self::Read(path) => write!(f, "read {}", Short(path)),
            Self::Lease => f.write_str("lease"),
            Self::Put(path) => write!(f, "put {}", Short(path)),
            Self::Intent => f.write_str("flip begins"),
            Self::Edit(path) => write!(f, "edit {}", Short(path)),
            Self::Done => f.write_str("flip done"),
            Self::Remove(path) => write!(f, "remove {}", Short(path)),
        }
    }
}

/// A path with the checksum in it cut short.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self
            .0
            .strip_prefix("objects/")
            .and_then(|rest| rest.rsplit_once('.'))
        {
            Some((name, kind)) => write!(f, "{}….{kind}", name.get(..9).unwrap_or(name)),
            None => f.write_str(self.0),
        }
    }
}

/// The steps of a play.
#[derive(Debug, Default)]
pub(crate) struct Trace(Vec<(String, String, bool)>);

impl Trace {
    /// Notes a step; reads of one actor in a row are told as one.
    pub(crate) fn note(&mut self, actor: &str, what: String, is_read: bool) {
        self.0.push((actor.to_owned(), what, is_read));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(String, String, usize)> = Vec::new();
        for (actor, what, is_read) in &self.0 {
            match lines.last_mut() {
                Some((last, text, count)) if *is_read && *count > 0 && last == actor => {
                    text.clone_from(what);
                    *count += 1;
                }
                _ => lines.push((actor.clone(), what.clone(), usize::from(*is_read))),
            }
        }
        let skipped = lines.len().saturating_sub(LINES);
        if skipped > 0 {
            writeln!(f, "  … {skipped} lines before")?;
        }
        for (actor, what, count) in lines.iter().skip(skipped) {
            match count {
                0 | 1 => writeln!(f, "  {actor}: {what}")?,
                _ => writeln!(f, "  {actor}: {count} reads, the last: {what}")?,
            }
        }
        Ok(())
    }
}
