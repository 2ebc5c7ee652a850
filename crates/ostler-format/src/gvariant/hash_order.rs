//! The order in which GLib's hash tables give their keys out.
//!
//! Some metadata of commits passes through a `GVariantDict` in libostree, which is such a table; the order of the keys
//! afterwards is part of the commit's id. So the table is rebuilt here: which slot a key falls into.
//!
//! A table has a power of two of slots, at least eight. A key goes into the slot that its hash times eleven gives modulo
//! the largest prime below the number of slots (as GLib has them), or the next free one, one further, two further, and so on. When with a
//! new key no more than a sixteenth of the used slots is free, the table gets as many slots as four thirds of its
//! keys need; keys then move in the order of the old slots, and one that lies where another belongs moves next.

use super::VarDict;

/// The moduli for tables of 1, 2, 4, … slots.
const MODULI: [u32; 20] = [
    1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131_071, 262_139,
    524_287,
];
const LEAST_SHIFT: usize = 3;

/// The slots of a table, each with the index of a key and its hash.
struct Table {
    shift: usize,
    slots: Vec<Option<(usize, u32)>>,
    used: usize,
}

impl Table {
    fn new() -> Self {
        Self {
            shift: LEAST_SHIFT,
            slots: vec![None; 1 << LEAST_SHIFT],
            used: 0,
        }
    }

    fn first_slot(&self, hash: u32) -> usize {
        let modulus = MODULI.get(self.shift).copied().unwrap_or(u32::MAX);
        (hash.wrapping_mul(11) % modulus) as usize
    }

    /// Returns the first slot for a hash, from its own on, that is not taken.
    fn free_slot(&self, hash: u32, taken: impl Fn(usize) -> bool) -> usize {
        let mut slot = self.first_slot(hash);
        let mut step = 0;
        while taken(slot) {
            step += 1;
            slot = (slot + step) & (self.slots.len() - 1);
        }
        slot
    }

    fn put(&mut self, slot: usize, entry: Option<(usize, u32)>) -> Option<(usize, u32)> {
        self.slots
            .get_mut(slot)
            .and_then(|place| std::mem::replace(place, entry))
    }

    fn insert(&mut self, index: usize, hash: u32) {
        let slot = self.free_slot(hash, |slot| matches!(self.slots.get(slot), Some(Some(_))));
        self.put(slot, Some((index, hash)));
        self.used += 1;
        if self.slots.len() <= self.used + self.used / 16 {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let wanted = self.used * 1333 / 1000;
        self.shift = LEAST_SHIFT.max((usize::BITS - wanted.leading_zeros()) as usize);
        let old = self.slots.len();
        self.slots.resize(1 << self.shift, None);
        let mut settled = vec![false; self.slots.len()];
        for slot in 0..old {
            if settled.get(slot).copied().unwrap_or_default() {
                continue;
            }
            let mut moving = self.put(slot, None);
            while let Some((index, hash)) = moving {
                let place = self.free_slot(hash, |slot| settled.get(slot).copied().unwrap_or_default());
                if let Some(settled) = settled.get_mut(place) {
                    *settled = true;
                }
                moving = self.put(place, Some((index, hash)));
            }
        }
    }
}

/// The hash of a text: GLib's `g_str_hash`, with the two values moved that mean something else in a table.
fn hash(key: &str) -> u32 {
    let add = |hash: u32, byte: u8| {
        hash.wrapping_mul(33)
            .wrapping_add_signed(i32::from(byte.cast_signed()))
    };
    key.bytes().fold(5381, add).max(2)
}

impl VarDict {
    /// Returns the dictionary as it comes out of a `GVariantDict`: each key once, with its last value, in the order
    /// of a hash table.
    #[must_use]
    pub fn in_hash_order(&self) -> Self {
        let mut unique = Self::new();
        for (key, value) in self.iter() {
            unique.insert(key, value.clone());
        }
        let mut table = Table::new();
        for (index, (key, _)) in unique.iter().enumerate() {
            table.insert(index, hash(key));
        }
        let entries: Vec<_> = unique.iter().collect();
        let ordered = table.slots.iter().flatten();
        ordered
            .filter_map(|(index, _)| entries.get(*index))
            .map(|(key, value)| ((*key).to_owned(), (*value).clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;

    #[track_caller]
    fn assert_order(keys: &[&str], ordered: &[&str]) {
        let dict: VarDict = keys.iter().map(|key| (*key, Value::Bool(true))).collect();
        let dict = dict.in_hash_order();
        let found: Vec<&str> = dict.iter().map(|(key, _)| key).collect();
        assert_eq!(found, ordered);
    }

    #[test]
    fn keys_come_in_the_order_that_stock_writes() {
        assert_order(
            &["ostree.ref-binding", "ostree.bootable", "ostree.linux"],
            &["ostree.linux", "ostree.bootable", "ostree.ref-binding"],
        );
        assert_order(
            &[
                "version",
                "a",
                "zz",
                "ostree.ref-binding",
                "ostree.bootable",
                "ostree.linux",
            ],
            &[
                "ostree.ref-binding",
                "version",
                "ostree.bootable",
                "ostree.linux",
                "a",
                "zz",
            ],
        );
    }

    #[test]
    fn no_key_is_lost_in_tables_of_any_size() {
        for count in 0..200 {
            let dict: VarDict = (0..count).map(|n| (format!("key {n}"), Value::I32(n))).collect();
            let ordered = dict.in_hash_order();
            assert_eq!(ordered.len(), dict.len());
            assert!(dict.iter().all(|(key, value)| ordered.get(key) == Some(value)));
        }
    }

    #[test]
    fn the_last_value_of_a_key_stays() {
        let mut dict = VarDict::new();
        dict.append("a", Value::Byte(1));
        dict.append("a", Value::Byte(2));
        let ordered = dict.in_hash_order();
        assert_eq!((ordered.len(), ordered.get("a")), (1, Some(&Value::Byte(2))));
    }
}
