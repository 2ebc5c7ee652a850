//! Lists of objects with the sizes of their files, as ostler keeps them for itself.
//!
//! Shape: entries of 41 bytes one after the other: checksum (32), type (1, numbered as in static deltas), size of the file in
//! bytes (8, big endian; 0 where it is not known: no object is empty). What an entry of an unknown type says is passed over.

use crate::{Checksum, ObjectName, ObjectType};

/// The length of an entry in bytes.
pub const LIST_ENTRY: usize = 32 + 1 + 8;

/// Appends an entry to a list.
pub fn push_list_entry(list: &mut Vec<u8>, name: &ObjectName, size: u64) {
    list.extend_from_slice(name.checksum.as_bytes());
    list.push(name.kind as u8);
    list.extend_from_slice(&size.to_be_bytes());
}

/// Returns the entries of a list; bytes at its end that are no whole entry are passed over.
pub fn list_entries(list: &[u8]) -> impl Iterator<Item = (ObjectName, u64)> {
    let (entries, _) = list.as_chunks();
    entries.iter().filter_map(list_entry)
}

/// Reads an entry; `None` if it is of an unknown type.
pub fn list_entry(bytes: &[u8; LIST_ENTRY]) -> Option<(ObjectName, u64)> {
    let (checksum, rest) = bytes.split_first_chunk::<32>()?;
    let (kind, size) = rest.split_first()?;
    let kind = ObjectType::from_number(*kind).ok()?;
    let name = ObjectName::new(Checksum::from_bytes(*checksum), kind);
    Some((name, u64::from_be_bytes(size.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        let name = |byte, kind| ObjectName::new(Checksum::from_bytes([byte; 32]), kind);
        let entries = [
            (name(1, ObjectType::File), 0),
            (name(2, ObjectType::DirTree), 77),
            (name(3, ObjectType::Commit), u64::MAX),
        ];
        let mut list = Vec::new();
        for (name, size) in &entries {
            push_list_entry(&mut list, name, *size);
        }

        assert_eq!(list.len(), entries.len() * LIST_ENTRY);
        assert_eq!(list_entries(&list).collect::<Vec<_>>(), entries);
        list.truncate(list.len() - 1);
        assert_eq!(list_entries(&list).count(), 2);
        list[32] = 200;
        assert_eq!(list_entries(&list).count(), 1, "an unknown type");
    }
}
