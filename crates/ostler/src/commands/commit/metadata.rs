//! The metadata of a new commit. The order of its keys is part of the commit's id; it is that of stock: strings,
//! values, what is kept of the parent, and then the bindings. A key that is given twice is stored twice, as there;
//! readers see the first.

use super::Args;
use crate::key_value;
use anyhow::{Context as _, bail};
use ostler_format::Checksum;
use ostler_format::gvariant::{Value, VarDict};
use ostler_repo::{COLLECTION_BINDING, REF_BINDING, Repo};

/// Returns the metadata that `args` ask for.
pub(super) fn of_commit(repo: &Repo, args: &Args, parent: Option<&Checksum>) -> anyhow::Result<VarDict> {
    let mut metadata = strings(&args.add_metadata_string)?;
    for pair in &args.add_metadata {
        let (key, value) = key_value::variant(pair)?;
        metadata.append(key, value);
    }
    if !args.keep_metadata.is_empty() {
        keep(repo, args, parent, &mut metadata)?;
    }
    if !args.no_bindings {
        bind(repo, args, &mut metadata);
    }
    Ok(metadata)
}

/// Returns the detached metadata that `args` ask for, if any.
pub(super) fn detached(args: &Args) -> anyhow::Result<Option<VarDict>> {
    if args.add_detached_metadata_string.is_empty() {
        return Ok(None);
    }
    strings(&args.add_detached_metadata_string).map(Some)
}

fn strings(pairs: &[String]) -> anyhow::Result<VarDict> {
    let mut metadata = VarDict::new();
    for pair in pairs {
        let (key, text) = key_value::split(pair)?;
        metadata.append(key, Value::Str(text.to_owned()));
    }
    Ok(metadata)
}

fn keep(repo: &Repo, args: &Args, parent: Option<&Checksum>, metadata: &mut VarDict) -> anyhow::Result<()> {
    let Some(parent) = parent else {
        bail!("Either --branch or --parent must be specified when using --keep-metadata: there is no parent");
    };
    let old = repo.load_commit(parent)?.metadata;
    for key in &args.keep_metadata {
        let value = old.get(key).with_context(|| {
            format!(
                "Missing metadata key '{}' from commit '{parent}'",
                key.escape_debug()
            )
        })?;
        metadata.append(key, value.clone());
    }
    Ok(())
}

fn bind(repo: &Repo, args: &Args, metadata: &mut VarDict) {
    let mut refs: Vec<&str> = args
        .bind_ref
        .iter()
        .map(String::as_str)
        .chain(args.branch.as_deref())
        .collect();
    refs.sort_unstable();
    metadata.append(REF_BINDING, Value::strings(refs));
    let own = repo.config().collection_id();
    // A collection that the user names wins, as in stock.
    if let Some(collection) = own.filter(|_| metadata.get(COLLECTION_BINDING).is_none()) {
        metadata.append(COLLECTION_BINDING, Value::Str(collection.to_string()));
    }
}
