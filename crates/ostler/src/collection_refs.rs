//! Arguments that come in pairs: a collection and a ref in it.

use crate::exit;
use anyhow::Context as _;
use ostler_format::{CollectionId, CollectionRef, RefName};

/// Reads the pairs.
///
/// # Errors
/// A usage error where there is none, or one of them is not complete; names that are none.
pub(crate) fn parse(arguments: &[String]) -> anyhow::Result<Vec<CollectionRef>> {
    if arguments.len() < 2 {
        return Err(exit::usage(
            "At least one COLLECTION-ID REF pair must be specified",
        ));
    }
    let mut refs = Vec::new();
    for pair in arguments.chunks(2) {
        let [collection, name] = pair else {
            return Err(exit::usage(
                "Only complete COLLECTION-ID REF pairs may be specified",
            ));
        };
        let invalid = |what: &str, text: &str| format!("Invalid {what} {}", text.escape_debug());
        refs.push(CollectionRef {
            collection: Some(
                CollectionId::new(collection).with_context(|| invalid("collection ID", collection))?,
            ),
            name: RefName::new(name).with_context(|| invalid("ref name", name))?,
        });
    }
    Ok(refs)
}

/// Returns the form in which stock shows one.
pub(crate) fn shown(name: &CollectionRef) -> String {
    let collection = name.collection.as_ref().map_or("", CollectionId::as_str);
    format!("({collection}, {})", name.name)
}
