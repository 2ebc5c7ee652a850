//! The commit that `ostree-receive` makes of one that it has received: the same tree, bound to the ref and to the collection of the
//! repository that receives it, on top of what the ref has there.
//!
//! From the same commits, and the same settings, stock makes commits of the same ids: subject, body and time are those of the
//! commit that came, and the keys of the metadata stand in the order of the table that they go through there.

use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{Checksum, Commit, RefName};
use ostler_repo::{COLLECTION_BINDING, REF_BINDING, Repo};

/// Where Flatpak writes which ref a commit is for, and of which commit it was made.
const FLATPAK_REF: &str = "xa.ref";
const FLATPAK_FROM: &str = "xa.from_commit";

/// Returns whether a ref is one of Flatpak's.
pub(super) fn is_flatpak(name: &str) -> bool {
    name.starts_with("app/") || name.starts_with("runtime/")
}

/// Returns the commit for `name`, of one whose id is `id`.
pub(super) fn recommitted(
    target: &Repo,
    (id, from): (&Checksum, Commit),
    name: &RefName,
    parent: Option<Checksum>,
) -> Commit {
    Commit {
        metadata: bound(target, from.metadata, id, name),
        parent,
        related: Vec::new(),
        subject: from.subject,
        body: from.body,
        timestamp: from.timestamp,
        root_tree: from.root_tree,
        root_meta: from.root_meta,
    }
}

fn bound(target: &Repo, mut metadata: VarDict, id: &Checksum, name: &RefName) -> VarDict {
    metadata.insert(REF_BINDING, Value::strings([name.as_str()]));
    let collection = target.config().collection_id();
    if let Some(collection) = collection {
        metadata.insert(COLLECTION_BINDING, Value::Str(collection.to_string()));
    }
    if is_flatpak(name.as_str()) {
        metadata.insert(FLATPAK_REF, Value::Str(name.to_string()));
        metadata.insert(FLATPAK_FROM, Value::Str(id.to_string()));
    }
    // A key that goes has taken its place in the table.
    let mut ordered = metadata.in_hash_order();
    if collection.is_none() {
        ordered.remove(COLLECTION_BINDING);
    }
    ordered
}
