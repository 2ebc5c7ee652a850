//! Comparing two versions of a file: which bytes of the new one stand somewhere in the old one, exactly or nearly.
//!
//! Every place of the old version is entered in a table by the hash of the bytes that begin there ([`SEED`] of them; only
//! each n-th place where the file is large). The new version is read from its start. As long as it goes on as the old one
//! does from the place that was found last, nothing is looked up; else the table tells places where these bytes stand, and
//! the longest that is clearly better than going on is taken. Between two such places, each is extended towards the
//! other for as long as at least half of the bytes agree.
//!
//! What comes out is the row of controls that a [patch](super::form) of bsdiff consists of. Time is linear in the sizes but for
//! a factor that is bounded by how many places are tried; memory is [`memory_of`].

use std::cmp::Ordering;

/// How many bytes have to agree for a place to be looked at.
const SEED: usize = 12;
/// How many places with the same hash are tried.
const TRIES: usize = 12;
/// The most places that are entered.
const MAX_PLACES: usize = 1 << 24;
/// By how many bytes a place has to be better than going on.
const CLEARLY: usize = 8;
/// A match of so many bytes is not looked for a longer one.
const LONG: usize = 4096;
/// After so many places in a row without a match, places are skipped.
const PATIENCE: usize = 128;
/// The end of a chain of places.
const NONE: u32 = u32::MAX;

/// A row of bytes of the new version: some that nearly agree with old ones, then some of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Control {
    /// Where in the new version.
    pub(super) new: usize,
    /// Where in the old version.
    pub(super) old: usize,
    /// How many bytes nearly agree.
    pub(super) add: usize,
    /// How many bytes of its own follow.
    pub(super) take: usize,
}

/// Returns how many bytes comparing takes, both versions included.
pub(super) fn memory_of(old: u64, new: u64) -> u64 {
    let places = old.min(MAX_PLACES as u64);
    // Table and chain; the patch that may come out. What headers claim as sizes may be anything.
    old.saturating_add(new.saturating_mul(2))
        .saturating_add(places * 4 + places.next_power_of_two() * 4)
}

/// Compares two versions. The controls cover the new one from its start to its end.
pub(super) fn compare(old: &[u8], new: &[u8]) -> Vec<Control> {
    let table = Table::of(old);
    let mut alignment = Alignment {
        old,
        new,
        controls: Vec::new(),
        last_new: 0,
        last_old: 0,
    };
    let mut at = 0;
    let mut misses = 0;
    while at + SEED <= new.len() {
        let going_on = alignment.going_on(at);
        let same = common_prefix(going_on, slice_from(new, at));
        if same >= SEED {
            at += same;
            misses = 0;
            continue;
        }
        match table.longest(new, at) {
            Some((place, length)) if length > agreeing(going_on, slice_from(new, at), length) + CLEARLY => {
                alignment.switch(at, place);
                at += length;
                misses = 0;
            }
            // Nearly the same as going on: nothing is gained.
            Some((_, length)) => {
                at += length;
                misses = 0;
            }
            None => {
                misses += 1;
                at += 1 + misses / PATIENCE;
            }
        }
    }
    alignment.finish()
}

/// Places of the old version by the hash of what begins there.
struct Table<'a> {
    old: &'a [u8],
    step: usize,
    shift: u32,
    heads: Vec<u32>,
    /// For each place that was entered the one with the same hash that was entered before.
    chain: Vec<u32>,
}

impl<'a> Table<'a> {
    fn of(old: &'a [u8]) -> Self {
        let step = old.len().div_ceil(MAX_PLACES).max(1);
        let places = old.len().saturating_sub(SEED - 1).div_ceil(step);
        let bits = places.max(2).next_power_of_two().trailing_zeros();
        let mut table = Self {
            old,
            step,
            shift: u64::BITS - bits,
            heads: vec![NONE; 1 << bits],
            chain: vec![NONE; places],
        };
        // From behind, so that the first places are the first to be tried.
        for number in (0..places).rev() {
            let slot = table.slot(old, number * step);
            let head = slot.and_then(|slot| table.heads.get_mut(slot));
            if let (Some(head), Some(next)) = (head, table.chain.get_mut(number)) {
                *next = std::mem::replace(head, u32::try_from(number).unwrap_or(NONE));
            }
        }
        table
    }

    fn slot(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let (first, rest) = bytes.get(at..)?.first_chunk::<SEED>()?.split_first_chunk()?;
        let first = u64::from_le_bytes(*first);
        let rest = u64::from(u32::from_le_bytes(*rest.first_chunk()?));
        let mixed = (first ^ rest.rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_mul(0xff51_afd7_ed55_8ccd);
        usize::try_from((mixed ^ (mixed >> 29)).wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> self.shift).ok()
    }

    /// Returns the place where most bytes agree, and how many; `None` for less than a seed.
    fn longest(&self, new: &[u8], at: usize) -> Option<(usize, usize)> {
        let wanted = slice_from(new, at);
        let mut number = *self.heads.get(self.slot(new, at)?)?;
        let mut best = None;
        let mut length = SEED - 1;
        for _ in 0..TRIES {
            let index = usize::try_from(number).ok().filter(|_| number != NONE);
            let Some(index) = index else { break };
            let place = index * self.step;
            let same = common_prefix(slice_from(self.old, place), wanted);
            if same > length {
                length = same;
                best = Some((place, same));
                if same >= LONG {
                    break;
                }
            }
            number = self.chain.get(index).copied().unwrap_or(NONE);
        }
        best
    }
}

/// Which old bytes the new ones are held against, from where on.
struct Alignment<'a> {
    old: &'a [u8],
    new: &'a [u8],
    controls: Vec<Control>,
    last_new: usize,
    last_old: usize,
}

impl<'a> Alignment<'a> {
    /// Returns the old bytes that the new ones from `at` on are held against if nothing better is found.
    fn going_on(&self, at: usize) -> &'a [u8] {
        slice_from(self.old, self.last_old + (at - self.last_new))
    }

    /// Goes over to another place, at which the bytes from `at` on agree.
    fn switch(&mut self, at: usize, place: usize) {
        let gap = self.new.get(self.last_new..at).unwrap_or_default();
        let mut forward = nearly(gap.iter().zip(slice_from(self.old, self.last_old)));
        let before = self.old.get(..place).unwrap_or_default();
        let mut backward = nearly(gap.iter().rev().zip(before.iter().rev()));
        if let Some(overlap) = (forward + backward)
            .checked_sub(gap.len())
            .filter(|overlap| *overlap > 0)
        {
            let kept = self.divide(at, place, forward, backward, overlap);
            backward -= kept;
            forward -= overlap - kept;
        }
        self.push(forward, at - backward);
        self.last_new = at - backward;
        self.last_old = place - backward;
    }

    /// Returns how many of the bytes that both sides claim go to the first: where most of them agree altogether.
    fn divide(&self, at: usize, place: usize, forward: usize, backward: usize, overlap: usize) -> usize {
        let start = at - backward;
        let claimed = self.new.get(start..start + overlap).unwrap_or_default();
        let first = slice_from(self.old, self.last_old + forward - overlap);
        let second = slice_from(self.old, place - backward);
        let (mut score, mut best, mut kept) = (0_isize, 0_isize, 0);
        for (number, ((new, first), second)) in claimed.iter().zip(first).zip(second).enumerate() {
            score += isize::from(new == first) - isize::from(new == second);
            if score > best {
                best = score;
                kept = number + 1;
            }
        }
        kept
    }

    fn push(&mut self, add: usize, end: usize) {
        self.controls.push(Control {
            new: self.last_new,
            old: self.last_old,
            add,
            take: end - self.last_new - add,
        });
    }

    fn finish(mut self) -> Vec<Control> {
        let rest = slice_from(self.new, self.last_new);
        let forward = nearly(rest.iter().zip(slice_from(self.old, self.last_old)));
        self.push(forward, self.new.len());
        self.controls
    }
}

/// Returns how many bytes nearly agree: up to where the surplus of those that do over those that do not is the largest.
fn nearly<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    let (mut score, mut best, mut length) = (0_isize, 0_isize, 0);
    for (number, (one, other)) in pairs.enumerate() {
        score += if one == other { 1 } else { -1 };
        if score.cmp(&best) == Ordering::Greater {
            best = score;
            length = number + 1;
        }
    }
    length
}

/// Returns how many of the first `length` bytes agree.
fn agreeing(one: &[u8], other: &[u8], length: usize) -> usize {
    let pairs = one.iter().zip(other).take(length);
    pairs.filter(|(one, other)| one == other).count()
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    const WORD: usize = 8;
    let words = one.chunks_exact(WORD).zip(other.chunks_exact(WORD));
    let whole = words.take_while(|(one, other)| one == other).count() * WORD;
    let rest = slice_from(one, whole).iter().zip(slice_from(other, whole));
    whole + rest.take_while(|(one, other)| one == other).count()
}

fn slice_from(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Puts the new version together from what the controls say.
    fn rebuilt(old: &[u8], new: &[u8], controls: &[Control]) -> Vec<u8> {
        let mut made = Vec::new();
        for control in controls {
            assert_eq!(made.len(), control.new, "{control:?}");
            let end = control.new + control.add;
            let difference = new[control.new..end]
                .iter()
                .zip(&old[control.old..control.old + control.add])
                .map(|(new, old)| new.wrapping_sub(*old));
            let added = difference
                .zip(&old[control.old..])
                .map(|(d, o)| d.wrapping_add(*o));
            made.extend(added);
            made.extend(&new[end..end + control.take]);
        }
        made
    }

    fn own_bytes(controls: &[Control]) -> usize {
        controls.iter().map(|control| control.take).sum()
    }

    #[test]
    fn moved_and_edited_blocks_are_found() {
        let random = |seed: u64| {
            let mut state = seed;
            move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                u8::try_from(state >> 56).unwrap()
            }
        };
        let old: Vec<u8> = std::iter::repeat_with(random(1)).take(50_000).collect();
        let mut new = old[20_000..].to_vec();
        new.extend_from_slice(&old[..20_000]);
        new.splice(1000..1000, *b"some text put in");
        for at in (0..new.len()).step_by(97) {
            new[at] ^= 1;
        }
        let controls = compare(&old, &new);
        assert_eq!(rebuilt(&old, &new, &controls), new);
        assert!(own_bytes(&controls) < 200, "{}", own_bytes(&controls));
        assert!(controls.len() < 20, "{}", controls.len());
    }

    #[test]
    fn equal_bytes_and_long_runs_take_no_time() {
        for (old, new) in [
            (vec![0; 3 << 20], vec![0; 3 << 20]),
            (vec![0; 3 << 20], vec![1; 3 << 20]),
            (vec![7; 1 << 20], [vec![7; 1 << 20], vec![0; 1 << 20]].concat()),
            (Vec::new(), vec![1; 100]),
            (vec![1; 100], Vec::new()),
        ] {
            let controls = compare(&old, &new);
            assert_eq!(rebuilt(&old, &new, &controls), new);
        }
    }

    #[test]
    fn sizes_that_nothing_has_take_more_memory_than_there_is() {
        for (old, new) in [
            (u64::MAX, u64::MAX),
            (u64::MAX, 1),
            (1, u64::MAX),
            (1 << 63, 1 << 62),
        ] {
            assert!(memory_of(old, new) >= 1 << 63, "{old} {new}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_the_new_version(
            old in prop::collection::vec(0_u8..4, 0..600),
            edits in prop::collection::vec((0_usize..600, 0_usize..40, prop::collection::vec(0_u8..4, 0..30)), 0..6),
        ) {
            let mut new = old.clone();
            for (at, cut, put) in edits {
                let at = at.min(new.len());
                let end = (at + cut).min(new.len());
                new.splice(at..end, put);
            }
            let controls = compare(&old, &new);
            prop_assert_eq!(rebuilt(&old, &new, &controls), new);
        }
    }
}
