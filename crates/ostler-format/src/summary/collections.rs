//! The refs of other collections in a summary.

use super::{SummaryRef, WHAT, find, invalid, read_refs, sort_refs};
use crate::error::Result;
use crate::gvariant::framing::{ArrayReader, TupleReader};
use crate::gvariant::{Type, Value};
use crate::names::CollectionId;

/// The value of [`Summary::COLLECTION_MAP`](super::Summary::COLLECTION_MAP).
///
/// Shape `a{sa(s(taya{sv}))}`: refs by collection, strictly sorted by its identifier; the refs of each as in the
/// summary itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionMap(Vec<(CollectionId, Vec<SummaryRef>)>);

impl CollectionMap {
    /// Sorts collections and their refs.
    ///
    /// # Errors
    /// [`FormatError`](crate::FormatError) for a collection, or a ref within one, that occurs twice.
    pub fn new(collections: Vec<(CollectionId, Vec<SummaryRef>)>) -> Result<Self> {
        let mut collections: Vec<_> = collections
            .into_iter()
            .map(|(id, refs)| Ok((id, sort_refs(refs)?)))
            .collect::<Result<_>>()?;
        collections.sort_by(|a, b| a.0.cmp(&b.0));
        Self::from_sorted(collections)
    }

    fn from_sorted(collections: Vec<(CollectionId, Vec<SummaryRef>)>) -> Result<Self> {
        if collections.is_sorted_by(|a, b| a.0 < b.0) {
            return Ok(Self(collections));
        }
        Err(invalid("a collection is out of order, or there twice"))
    }

    /// Reads the value of the key.
    ///
    /// # Errors
    /// [`FormatError`](crate::FormatError) for a value of another type, for names that are not those of collections
    /// and refs, and for lists that are not strictly sorted.
    pub fn from_value(value: &Value) -> Result<Self> {
        let expected = Type::parse("a{sa(s(taya{sv}))}")?;
        if value.ty() != expected {
            return Err(invalid(
                "the map of collections is not of type a{sa(s(taya{sv}))}",
            ));
        }
        let collections = ArrayReader::new(WHAT, &value.to_bytes(), 8)?
            .map(|entry| {
                let mut entry = TupleReader::new(WHAT, entry?);
                let id = CollectionId::new(entry.string()?)?;
                Ok((id, read_refs(entry.last(8)?)?))
            })
            .collect::<Result<_>>()?;
        Self::from_sorted(collections)
    }

    /// Returns the value for the key.
    pub fn to_value(&self) -> Value {
        let collection = |(id, refs): &(CollectionId, Vec<SummaryRef>)| {
            let refs = refs.iter().map(SummaryRef::to_value).collect();
            Value::DictEntry(
                Box::new(Value::Str(id.as_str().to_owned())),
                Box::new(Value::Array(ref_type(), refs)),
            )
        };
        let refs = Type::Array(Box::new(ref_type()));
        let element = Type::DictEntry(Box::new(Type::Str), Box::new(refs));
        Value::Array(element, self.0.iter().map(collection).collect())
    }

    /// Iterates over collections and their refs, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&CollectionId, &[SummaryRef])> {
        self.0.iter().map(|(id, refs)| (id, refs.as_slice()))
    }

    /// Returns whether there are no collections.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the ref of this name in a collection.
    pub fn lookup(&self, collection: &CollectionId, name: &str) -> Option<&SummaryRef> {
        let at = self.0.binary_search_by(|(id, _)| id.cmp(collection)).ok()?;
        self.0.get(at).and_then(|(_, refs)| find(refs, name))
    }
}

fn ref_type() -> Type {
    let commit = Type::Tuple(vec![Type::U64, Type::bytes(), Type::vardict()]);
    Type::Tuple(vec![Type::Str, commit])
}
