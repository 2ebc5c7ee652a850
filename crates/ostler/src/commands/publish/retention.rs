//! How much of the history of refs DEST keeps, as the command line says it.

use crate::context::Context;
use crate::dates;
use anyhow::Context as _;
use ostler_repo::{Repo, RepoError};
use ostler_transfer::{Keep, Policy, Retention, Snapshot, Store};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The options for it.
#[derive(Debug, clap::Args)]
pub(crate) struct RetentionArgs {
    /// Of each published ref that no rule is for, keep at DEST its commit and so many parents, and send no more; -1 for all
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1..),
    )]
    depth: Option<i64>,
    /// Of each published ref that no rule is for, keep at DEST its commit and those before it that are not older than this
    #[arg(long, value_name = "DATE")]
    keep_younger_than: Option<String>,
    /// Rules for what DEST keeps of which refs, in place of those of its own (extensions/ostler/policy.toml)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl RetentionArgs {
    /// Returns whether they say anything.
    pub(crate) const fn is_given(&self) -> bool {
        self.depth.is_some() || self.keep_younger_than.is_some() || self.policy.is_some()
    }

    /// Returns what they say, but for the rules of DEST. A commit that one of the options keeps is kept; they are for refs
    /// that no rule is for.
    pub(crate) fn read(&self, context: &Context) -> anyhow::Result<Retention> {
        let mut retention = match &self.policy {
            Some(path) => read_policy(path)?,
            None => Retention::default(),
        };
        retention.others = self.keep(context.environment().now())?;
        Ok(retention)
    }

    /// Adds the rules of DEST, unless others are named.
    pub(crate) fn add_rules(&self, retention: &mut Retention, store: &dyn Store) -> anyhow::Result<()> {
        if self.policy.is_none() {
            retention.rules = Retention::of_target(store)?.rules;
        }
        Ok(())
    }

    fn keep(&self, now: u64) -> anyhow::Result<Option<Keep>> {
        if self.depth.is_none() && self.keep_younger_than.is_none() {
            return Ok(None);
        }
        let since = self.keep_younger_than.as_deref();
        Ok(Some(Keep {
            forever: self.depth == Some(-1),
            last: match self.depth.map(u64::try_from) {
                Some(Ok(parents)) => parents.saturating_add(1),
                _ => 1,
            },
            since: since.map(|text| dates::parse(text, now)).transpose()?,
            age: None,
        }))
    }
}

/// Says which of the refs that are published the options for history are not for. What cannot be read is told by the run.
pub(crate) fn note_rules(context: &Context, source: &Repo, policy: &Policy) {
    let retention = &policy.retention;
    if retention.others.is_none() || retention.rules.is_empty() {
        return;
    }
    let Ok(snapshot) = Snapshot::take(source, &policy.selection) else {
        return;
    };
    let names = snapshot.refs.keys().map(|key| key.name.as_str());
    let ruled: Vec<_> = names.filter(|name| retention.has_rule_for(name)).collect();
    if !ruled.is_empty() {
        let text = format!(
            "for {}, rules say what stays, and not the options",
            ruled.join(", ")
        );
        context.ui().note(&text);
    }
}

/// Reads a policy; the lists that it names lie beside it.
fn read_policy(path: &Path) -> anyhow::Result<Retention> {
    let bytes = read_at_most(path, Retention::LIMIT);
    let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
    let holder = path.parent().unwrap_or(Path::new(""));
    let parsed = Retention::parse(&bytes, &path.display().to_string(), &mut |name| {
        let list = holder.join(name);
        match read_at_most(&list, Retention::LIST_LIMIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(RepoError::io("read", list)(fault).into()),
        }
    });
    Ok(parsed?)
}

fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let text = format!("it has more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}
