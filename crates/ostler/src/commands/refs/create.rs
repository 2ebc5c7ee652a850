//! `refs --create`: a new ref at a revision, or an alias of a ref.

use super::Args;
use crate::context::Context;
use crate::exit;
use crate::program::Program;
use crate::ui::printable;
use anyhow::{Context as _, bail};
use ostler_format::{CollectionId, CollectionRef, RefName, Refspec};
use ostler_repo::refs::{Expected, RefKey};
use ostler_repo::{Repo, RepoError};

pub(super) fn run(context: &Context, repo: &Repo, args: &Args, name: &str) -> anyhow::Result<()> {
    let rev = match args.prefixes.as_slice() {
        [rev] => rev,
        [] => {
            return Err(exit::usage("You must specify a revision when creating a new ref"));
        }
        [..] => {
            return Err(exit::usage(
                "You must specify only 1 existing ref when creating a new ref",
            ));
        }
    };
    if args.alias {
        return alias(repo, args, name, rev);
    }
    let target: RefKey = if args.collections {
        let invalid = || format!("Invalid collection ID {}", printable(name));
        let (collection, name) = name
            .split_once(':')
            .with_context(|| format!("{}: COLLECTION:REF expected", invalid()))?;
        CollectionRef {
            collection: Some(CollectionId::new(collection).with_context(invalid)?),
            name: RefName::new(name)?,
        }
        .into()
    } else {
        named(name)?.into()
    };
    let expected = if args.collections && context.program() == Program::Ostree {
        // Stock does not look, and its scripts count on it.
        Expected::Any
    } else {
        expected(args)
    };
    settled(repo.point_ref(target, expected, rev).map(drop))
}

/// Reads the name of a ref to make.
fn named(name: &str) -> anyhow::Result<Refspec> {
    name.parse()
        .with_context(|| format!("Invalid refspec {}", printable(name)))
}

fn expected(args: &Args) -> Expected {
    if args.force {
        Expected::Any
    } else {
        Expected::Absent
    }
}

/// Says in the words of the command that a ref is in the way.
fn settled(result: Result<(), RepoError>) -> anyhow::Result<()> {
    match result {
        Err(RepoError::Conflict { reference, .. }) => {
            bail!("--create specified but ref {reference} already exists")
        }
        result => Ok(result?),
    }
}

fn alias(repo: &Repo, args: &Args, name: &str, target: &str) -> anyhow::Result<()> {
    let Refspec { remote, name: alias } = named(name)?;
    if remote.is_some() {
        bail!("Cannot create alias to remote ref: {name}");
    }
    let target = RefName::new(target)?;
    if repo.read_ref(&target.clone().into())?.is_none() {
        bail!("Cannot create alias to non-existent ref: {target}");
    }
    // An alias may be turned to another ref; a ref of its own is not lost that easily.
    let expected = if repo.list_aliases()?.contains_key(&alias) {
        Expected::Any
    } else {
        expected(args)
    };
    settled(repo.set_alias(&alias, &target, expected))
}
