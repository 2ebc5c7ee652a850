//! `refs` without an action: listing.

use super::Args;
use crate::context::Context;
use crate::program::Program;
use crate::ui::printable;
use anyhow::{Context as _, bail};
use ostler_format::{Checksum, CollectionId, Refspec, RemoteName};
use ostler_repo::Repo;
use ostler_repo::refs::RefScope;
use serde::Serialize;
use std::collections::BTreeMap;

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
}

pub(super) fn run(context: &Context, repo: &Repo, args: &Args) -> anyhow::Result<()> {
    if args.collections {
        return collections(context, repo, args);
    }
    if args.alias {
        return aliases(context, repo, args);
    }
    let refs = repo.list_refs(RefScope::All)?;
    if args.prefixes.is_empty() {
        // Scripts take it for a sign of a broken repository; published copies lack it.
        if context.program() == Program::Ostree && !repo.path().join("refs/remotes").exists() {
            bail!("Listing refs: opendir(refs/remotes): No such file or directory");
        }
        return plain(
            context,
            args,
            refs.iter().map(|(name, commit)| (name.to_string(), commit)),
        );
    }
    for prefix in &args.prefixes {
        let prefix = Prefix::parse(prefix)?;
        plain(
            context,
            args,
            prefix
                .matches(&refs)
                .map(|(name, commit)| (prefix.shown(name, args.list), commit)),
        )?;
    }
    Ok(())
}

fn plain<'a>(
    context: &Context,
    args: &Args,
    refs: impl Iterator<Item = (String, &'a Checksum)>,
) -> anyhow::Result<()> {
    for (name, commit) in refs {
        let line = Line {
            collection: None,
            name: &name,
            alias_of: None,
            commit: Some(commit.to_string()),
        };
        let shown = printable(&name);
        if args.revision {
            context.ui().either(&line, format_args!("{shown}\t{commit}"))?;
        } else {
            context.ui().either(&line, shown)?;
        }
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
    for (reference, commit) in repo.list_collection_refs()? {
        let Some(collection) = &reference.collection else {
            continue;
        };
        if !wanted.is_empty() && !wanted.contains(collection) {
            continue;
        }
        let line = Line {
            collection: Some(collection.as_str()),
            name: reference.name.as_str(),
            alias_of: None,
            commit: Some(commit.to_string()),
        };
        let text = format!("({collection}, {})", reference.name);
        if args.revision {
            context.ui().either(&line, format_args!("{text}\t{commit}"))?;
        } else {
            context.ui().either(&line, text)?;
        }
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
        refs: &'a BTreeMap<Refspec, Checksum>,
    ) -> impl Iterator<Item = (&'a Refspec, &'a Checksum)> {
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
