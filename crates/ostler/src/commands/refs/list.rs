//! `refs` without an action: listing. Refs that are damaged are listed by their names, and told.

use super::Args;
use crate::context::Context;
use crate::program::Program;
use crate::ui::printable;
use anyhow::{Context as _, bail};
use ostler_format::{Checksum, CollectionId, Refspec, RemoteName};
use ostler_repo::Repo;
use ostler_repo::refs::{DamagedRef, RefScope};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Display;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'a str>,
    #[serde(rename = "ref")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// What is wrong with a ref that names no commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<&'a str>,
}

/// What a ref names, or what is wrong with it.
type Value = Result<Checksum, DamagedRef>;

pub(super) fn run(context: &Context, repo: &Repo, args: &Args) -> anyhow::Result<()> {
    if args.collections {
        return collections(context, repo, args);
    }
    if args.alias {
        return aliases(context, repo, args);
    }
    let refs = repo.survey_refs(RefScope::All)?.into_all();
    if args.prefixes.is_empty() {
        // Scripts take it for a sign of a broken repository; published copies lack it.
        if context.program() == Program::Ostree && !repo.path().join("refs/remotes").exists() {
            bail!("Listing refs: opendir(refs/remotes): No such file or directory");
        }
        return plain(
            context,
            args,
            refs.iter().map(|(name, value)| (name.to_string(), value)),
        );
    }
    for prefix in &args.prefixes {
        let prefix = Prefix::parse(prefix)?;
        plain(
            context,
            args,
            prefix
                .matches(&refs)
                .map(|(name, value)| (prefix.shown(name, args.list), value)),
        )?;
    }
    Ok(())
}

fn plain<'a>(
    context: &Context,
    args: &Args,
    refs: impl Iterator<Item = (String, &'a Value)>,
) -> anyhow::Result<()> {
    for (name, value) in refs {
        let shown = printable(&name);
        one(context, args, (None, &name, value), shown)?;
    }
    Ok(())
}

/// Prints a ref, and notes that it is damaged if it is.
fn one(
    context: &Context,
    args: &Args,
    (collection, name, value): (Option<&str>, &str, &Value),
    shown: impl Display,
) -> anyhow::Result<()> {
    let ui = context.ui();
    let damaged = value.as_ref().err();
    let line = Line {
        collection,
        name,
        alias_of: None,
        commit: value.as_ref().ok().map(ToString::to_string),
        damaged: damaged.map(|damaged| damaged.detail.as_str()),
    };
    match value {
        Ok(commit) if args.revision => ui.either(&line, format_args!("{shown}\t{commit}"))?,
        Err(_) if args.revision => ui.either(&line, format_args!("{shown}\tdamaged"))?,
        _ => ui.either(&line, shown)?,
    }
    if let Some(DamagedRef {
        reference, detail, ..
    }) = damaged
    {
        ui.note(&format!("ref {reference} is damaged: {detail}"));
    }
    Ok(())
}

fn aliases(context: &Context, repo: &Repo, args: &Args) -> anyhow::Result<()> {
    let prefixes = args
        .prefixes
        .iter()
        .map(|text| Prefix::parse(text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (alias, target) in repo.list_aliases()? {
        if !prefixes.is_empty() && !prefixes.iter().any(|prefix| prefix.holds(None, alias.as_str())) {
            continue;
        }
        let line = Line {
            collection: None,
            name: alias.as_str(),
            alias_of: Some(target.as_str()),
            commit: None,
            damaged: None,
        };
        context.ui().either(&line, format_args!("{alias} -> {target}"))?;
    }
    Ok(())
}

fn collections(context: &Context, repo: &Repo, args: &Args) -> anyhow::Result<()> {
    let wanted = args
        .prefixes
        .iter()
        .map(|text| Ok(CollectionId::new(text)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (reference, value) in repo.survey_collection_refs()?.into_all() {
        let Some(collection) = &reference.collection else {
            continue;
        };
        if !wanted.is_empty() && !wanted.contains(collection) {
            continue;
        }
        let shown = format!("({collection}, {})", reference.name);
        let parts = (Some(collection.as_str()), reference.name.as_str(), &value);
        one(context, args, parts, shown)?;
    }
    Ok(())
}

/// What listing and deleting select by: `os`, `remote:os`, or `remote:` for all of a remote, for which Flatpak
/// writes `remote:.`.
pub(super) struct Prefix {
    remote: Option<RemoteName>,
    /// Empty for all names.
    name: String,
}

impl Prefix {
    /// Reads it.
    ///
    /// # Errors
    /// What is no beginning of a ref.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(remote) = text.strip_suffix(":.").or_else(|| text.strip_suffix(':')) {
            return Ok(Self {
                remote: Some(RemoteName::new(remote)?),
                name: String::new(),
            });
        }
        let Refspec { remote, name } = text
            .parse()
            .with_context(|| format!("Invalid refspec {}", printable(text)))?;
        Ok(Self {
            remote,
            name: name.as_str().to_owned(),
        })
    }

    /// Returns those of `refs` that are equal to the prefix or below it.
    pub(super) fn matches<'a>(
        &'a self,
        refs: &'a BTreeMap<Refspec, Value>,
    ) -> impl Iterator<Item = (&'a Refspec, &'a Value)> {
        refs.iter()
            .filter(|(name, _)| self.holds(name.remote.as_ref(), name.name.as_str()))
    }

    fn holds(&self, remote: Option<&RemoteName>, name: &str) -> bool {
        self.remote.as_ref() == remote
            && (self.name.is_empty() || name == self.name || self.below(name).is_some())
    }

    fn below<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.name)?.strip_prefix('/')
    }

    /// Returns the name as listed: without the prefix, unless it is all of the name or is to stay.
    fn shown(&self, reference: &Refspec, whole: bool) -> String {
        match (self.below(reference.name.as_str()), &self.remote) {
            (Some(rest), Some(remote)) if !whole => format!("{remote}:{rest}"),
            (Some(rest), None) if !whole => rest.to_owned(),
            _ => reference.to_string(),
        }
    }
}
