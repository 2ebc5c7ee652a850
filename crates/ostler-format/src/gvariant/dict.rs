//! Dictionaries of metadata: `a{sv}`.
//!
//! Shape: an array of entries of a string key and a variant, aligned to 8 bytes. The order is whatever the
//! writer chose and part of the checksum of what contains the dictionary: it is kept. Zero bytes are the
//! empty dictionary. A key that occurs twice is kept too, as GLib does; look-ups find the first.

use super::decode::Decoder;
use super::framing::{ArrayReader, ArrayWriter, TupleReader};
use super::{Type, Value};
use crate::Result;

/// An `a{sv}` with its stored order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VarDict(Vec<(String, Value)>);

impl VarDict {
    /// Returns an empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the dictionary that is the whole of `bytes`, in normal form.
    ///
    /// # Errors
    /// As [`Value::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "metadata dictionary";
        const ENTRY_DEPTH: usize = 1;
        let mut decoder = Decoder::default();
        let entries = ArrayReader::new(WHAT, bytes, 8)?;
        let mut dict = Vec::with_capacity(entries.len().min(64));
        for entry in entries {
            let mut entry = TupleReader::new(WHAT, entry?);
            let key = entry.string()?.to_owned();
            dict.push((key, decoder.child_of_variant(entry.last(8)?, ENTRY_DEPTH + 1)?));
        }
        Ok(Self(dict))
    }

    /// Returns the dictionary's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        ArrayWriter::encode(8, |array| {
            for (key, value) in &self.0 {
                array.tuple(|entry| {
                    entry.string(key);
                    entry.variant(value);
                });
            }
        })
    }

    /// Returns the dictionary as a value of type `a{sv}`.
    pub fn to_value(&self) -> Value {
        let entry = |(key, value): &(String, Value)| {
            Value::DictEntry(
                Box::new(Value::Str(key.clone())),
                Box::new(Value::Variant(Box::new(value.clone()))),
            )
        };
        let ty = Type::DictEntry(Box::new(Type::Str), Box::new(Type::Variant));
        Value::Array(ty, self.0.iter().map(entry).collect())
    }

    /// Returns the value of the first entry with this key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.iter()
            .find(|(found, _)| *found == key)
            .map(|(_, value)| value)
    }

    /// Returns the text under this key, if it is an `s`.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// Returns the bytes under this key, if it is an `ay`.
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.get(key).and_then(Value::as_bytes)
    }

    /// Returns the boolean under this key, if it is a `b`.
    pub fn get_bool(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    /// Returns the number under this key, if it is a `u`, as it is stored in little endian.
    pub fn get_u32(&self, key: &str) -> Option<u32> {
        self.get(key).and_then(Value::as_u32)
    }

    /// Returns the number under this key, if it is a `t`, as it is stored in little endian.
    pub fn get_u64(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(Value::as_u64)
    }

    /// Returns the strings under this key, if it is an `as`.
    pub fn get_strings(&self, key: &str) -> Option<Vec<&str>> {
        match self.get(key)? {
            Value::Array(Type::Str, elements) => elements.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    /// Puts `value` under `key`: in place of the first entry with that key, or at the end.
    /// Returns the value that was there.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) -> Option<Value> {
        let key = key.into();
        if let Some((_, old)) = self.0.iter_mut().find(|(found, _)| *found == key) {
            return Some(std::mem::replace(old, value));
        }
        self.0.push((key, value));
        None
    }

    /// Appends an entry even where there is one with this key; [`get`](Self::get) goes on finding the first.
    pub fn append(&mut self, key: impl Into<String>, value: Value) {
        self.0.push((key.into(), value));
    }

    /// Removes the first entry with this key. Returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.0.iter().position(|(found, _)| found == key)?;
        Some(self.0.remove(index).1)
    }

    /// Returns the entries in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for VarDict {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> VarDict {
        [
            ("version", Value::Str("1.0".to_owned())),
            ("a", Value::U64(7)),
            ("refs", Value::strings(["x", "y"])),
            ("a", Value::Bool(true)),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn stored_order_and_repeated_keys_survive_reading() {
        let dict = sample();
        let read = VarDict::from_bytes(&dict.to_bytes()).unwrap();
        assert_eq!(read, dict);
        let keys: Vec<&str> = read.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["version", "a", "refs", "a"]);
    }

    #[test]
    fn dictionary_has_the_bytes_of_its_value() {
        let value = sample().to_value();
        assert_eq!(value.ty(), Type::vardict());
        assert_eq!(value.to_bytes(), sample().to_bytes());
        assert_eq!(Value::from_bytes(&Type::vardict(), &value.to_bytes()), Ok(value));
    }

    #[test]
    fn zero_bytes_are_the_empty_dictionary() {
        assert_eq!(VarDict::from_bytes(&[]), Ok(VarDict::new()));
        assert!(VarDict::new().to_bytes().is_empty());
    }

    #[test]
    fn lookup_finds_the_first_and_only_the_asked_type() {
        let dict = sample();
        assert_eq!(dict.get_u64("a"), Some(7));
        assert_eq!(dict.get_bool("a"), None);
        assert_eq!(dict.get_str("version"), Some("1.0"));
        assert_eq!(dict.get_strings("refs"), Some(vec!["x", "y"]));
        assert_eq!(dict.get("missing"), None);
    }

    #[test]
    fn insert_keeps_the_place_of_a_key() {
        let mut dict = sample();
        assert_eq!(
            dict.insert("version", Value::Byte(2)),
            Some(Value::Str("1.0".to_owned()))
        );
        assert_eq!(dict.insert("new", Value::Byte(3)), None);
        assert_eq!(dict.remove("a"), Some(Value::U64(7)));
        let keys: Vec<&str> = dict.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["version", "refs", "a", "new"]);
        assert_eq!(dict.get_bool("a"), Some(true));
    }

    #[test]
    fn appended_entries_stand_behind_those_with_the_same_key() {
        let mut dict = VarDict::new();
        dict.append("key", Value::Byte(1));
        dict.append("key", Value::Byte(2));
        assert_eq!(dict.get("key"), Some(&Value::Byte(1)));
        let stored = VarDict::from_bytes(&dict.to_bytes()).unwrap();
        assert_eq!(stored.iter().len(), 2);
    }

    #[test]
    fn malformed_dictionaries_are_refused() {
        let good = sample().to_bytes();
        for cut in 1..good.len() {
            assert!(VarDict::from_bytes(good.get(..cut).unwrap()).is_err(), "{cut}");
        }
        assert!(VarDict::from_bytes(&[&good[..], &[0]].concat()).is_err());
    }
}
