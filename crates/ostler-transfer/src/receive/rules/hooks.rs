//! `[hooks]`: the programs that judge a push before refs move, or hear of it afterwards.

use super::file::{Source, Words};
use crate::error::Result;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// How long a hook may take where the file does not say.
const LIMIT: Duration = Duration::from_secs(600);

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HooksTable {
    pre_receive: Option<Spanned<Words>>,
    update: Option<Spanned<Words>>,
    post_receive: Option<Spanned<Words>>,
    timeout: Option<Spanned<String>>,
}

/// A program with its first arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookProgram {
    /// Absolute.
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// The hooks of a receiver.
#[derive(Debug, Clone)]
pub(crate) struct Hooks {
    /// May refuse a push.
    pub(crate) pre_receive: Option<HookProgram>,
    /// May refuse a ref.
    pub(crate) update: Option<HookProgram>,
    /// Hears of a push that was accepted.
    pub(crate) post_receive: Option<HookProgram>,
    /// How long each call may take.
    pub(crate) limit: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            pre_receive: None,
            update: None,
            post_receive: None,
            limit: LIMIT,
        }
    }
}

impl Hooks {
    /// Returns the hooks that there are, by their names.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &HookProgram)> {
        let named = [
            ("pre-receive", &self.pre_receive),
            ("update", &self.update),
            ("post-receive", &self.post_receive),
        ];
        named
            .into_iter()
            .filter_map(|(name, program)| Some((name, program.as_ref()?)))
    }
}

impl HooksTable {
    pub(super) fn read(&self, source: &Source<'_>) -> Result<Hooks> {
        let limit = match &self.timeout {
            None => LIMIT,
            Some(text) => match source.span(text)? {
                0 => return Err(source.wrong(text.span(), "no hook is through in no time")),
                seconds => Duration::from_secs(seconds),
            },
        };
        Ok(Hooks {
            pre_receive: program(source, self.pre_receive.as_ref())?,
            update: program(source, self.update.as_ref())?,
            post_receive: program(source, self.post_receive.as_ref())?,
            limit,
        })
    }
}

fn program(source: &Source<'_>, words: Option<&Spanned<Words>>) -> Result<Option<HookProgram>> {
    let Some(words) = words else {
        return Ok(None);
    };
    let mut list = words.get_ref().list().into_iter();
    let path = list.next().map(PathBuf::from).filter(|path| path.is_absolute());
    let path =
        path.ok_or_else(|| source.wrong(words.span(), "the absolute path of a program is expected"))?;
    let arguments: Vec<_> = list.collect();
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(source.wrong(words.span(), "no argument holds a zero byte"));
    }
    Ok(Some(HookProgram { path, arguments }))
}
