//! The names that a commit says it is published under: `ostree.ref-binding` and `ostree.collection-binding`.
//!
//! They keep whoever can move a ref from passing off one signed commit as another.

use ostler_format::{CollectionId, Commit, RefName};

/// The refs a commit is meant for: `as`, sorted.
pub const REF_BINDING: &str = "ostree.ref-binding";
/// The collection a commit is meant for: `s`.
pub const COLLECTION_BINDING: &str = "ostree.collection-binding";

/// Says why `commit` must not be taken for `reference` of `collection`, in stock's words; `None` if it may.
/// Without a collection, a commit without bindings fits everywhere: it is older than bindings are.
pub fn binding_problem(
    commit: &Commit,
    reference: Option<&RefName>,
    collection: Option<&CollectionId>,
) -> Option<String> {
    let Some(bound) = commit.metadata.get_strings(REF_BINDING) else {
        return collection
            .map(|_| "Expected commit metadata to have ref binding information, found none".to_owned());
    };
    if let Some(reference) = reference
        && !bound.contains(&reference.as_str())
    {
        let bound = bound.join("’, ‘");
        return Some(format!(
            "Commit has no requested ref ‘{reference}’ in ref binding metadata (‘{bound}’)"
        ));
    }
    let wanted = collection?;
    match commit.metadata.get_str(COLLECTION_BINDING) {
        None => {
            Some("Expected commit metadata to have collection ID binding information, found none".to_owned())
        }
        Some(found) if found != wanted.as_str() => Some(format!(
            "Commit has collection ID ‘{found}’ in collection binding metadata, while the remote it came from \
             has collection ID ‘{wanted}’"
        )),
        Some(_) => None,
    }
}
