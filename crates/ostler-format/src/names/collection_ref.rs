//! Refs that are known by the collection to which they belong.

use super::{CollectionId, RefName};
use crate::error::{FormatError, Result};
use std::fmt;
use std::str::FromStr;

/// A ref and its collection, if it has one. As text: `[collection:]ref`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionRef {
    /// The collection.
    pub collection: Option<CollectionId>,
    /// The ref.
    pub name: RefName,
}

impl fmt::Display for CollectionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.collection {
            Some(collection) => write!(f, "{collection}:{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl FromStr for CollectionRef {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self> {
        let (collection, name) = match text.split_once(':') {
            Some((collection, name)) => (Some(CollectionId::new(collection)?), name),
            None => (None, text),
        };
        let name = RefName::new(name)?;
        Ok(Self { collection, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_refs_read_back_as_they_are_written() {
        for good in ["a/b", "org.example.Os:a/b"] {
            assert_eq!(good.parse::<CollectionRef>().unwrap().to_string(), good);
        }
        for bad in [":a", "org:a", "org.example:", "org.example:a:b"] {
            assert!(bad.parse::<CollectionRef>().is_err(), "{bad:?}");
        }
    }
}
