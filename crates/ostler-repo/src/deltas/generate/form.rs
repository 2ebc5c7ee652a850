//! How a file goes into a delta: whole, put together from rows of another, or as a patch of another.
//!
//! What comes out smaller is taken. Rows of equal bytes cost some bytes of operations each and nothing in the payload;
//! a patch costs 24 bytes for each of its controls (of which most are zero) and has zeros for all bytes that agree, which
//! compress to nearly nothing, so that it is better where bytes differ here and there, as addresses in programs do.

use super::compare::{Control, compare};
use ostler_format::delta::PatchControl;

/// The shortest row of equal bytes that is worth its operations.
const SHORTEST_ROW: usize = 32;
/// What a row costs in bytes of compressed operations, going over to it and back.
const ROW_COST: usize = 12;
/// What a control of a patch costs in compressed bytes.
const CONTROL_COST: usize = 11;
/// Bytes of its own compress to about half.
const OWN_COST: (usize, usize) = (1, 2);
/// A patch of a file up to this size is taken unless rows are clearly cheaper: zeros for so few bytes cost nothing.
const SMALL: usize = 64 << 10;
/// What is clearly cheaper, in bytes.
const CLEARLY: usize = 32;

/// A row of bytes of a file that is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Where the bytes come from.
    pub(super) from: From,
    /// Where they begin there.
    pub(super) offset: usize,
    /// How many they are.
    pub(super) length: usize,
}

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The old file.
    Old,
    /// The file itself: they are put into the payload.
    Own,
}

/// What is to be written of a file that resembles another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// The other is of no use.
    Whole,
    /// Rows of both.
    Rows(Vec<Row>),
    /// A patch of bsdiff.
    Patch(Vec<u8>),
}

/// Chooses a form. `with_patch` tells whether a patch may be one.
pub(super) fn choose(old: &[u8], new: &[u8], with_patch: bool) -> Form {
    let controls = compare(old, new);
    let rows = rows_of(&controls, old, new);
    let own: usize = rows
        .iter()
        .filter(|row| row.from == From::Own)
        .map(|row| row.length)
        .sum();
    let rows_cost = rows.len() * ROW_COST / 2 + own_cost(own);
    let patch_cost = patch_cost(&controls, old, new);
    let patch_limit = if new.len() <= SMALL {
        rows_cost + CLEARLY
    } else {
        rows_cost
    };
    let whole_cost = own_cost(new.len()) * 9 / 10;
    if with_patch && patch_cost <= patch_limit && patch_cost < whole_cost {
        return Form::Patch(patch_of(&controls, old, new));
    }
    if rows_cost < whole_cost && rows.iter().any(|row| row.from == From::Old) {
        return Form::Rows(rows);
    }
    Form::Whole
}

fn own_cost(bytes: usize) -> usize {
    let (part, of) = OWN_COST;
    bytes.saturating_mul(part) / of
}

/// Returns what a patch comes to when compressed.
fn patch_cost(controls: &[Control], old: &[u8], new: &[u8]) -> usize {
    let mut cost = 0;
    for control in controls {
        let differing = difference(control, old, new).filter(|byte| *byte != 0).count();
        cost += CONTROL_COST + differing + own_cost(control.take);
    }
    cost
}

fn difference<'a>(control: &Control, old: &'a [u8], new: &'a [u8]) -> impl Iterator<Item = u8> + use<'a> {
    let part = |bytes: &'a [u8], at: usize| bytes.get(at..at + control.add).unwrap_or_default();
    let pairs = part(new, control.new).iter().zip(part(old, control.old));
    pairs.map(|(new, old)| new.wrapping_sub(*old))
}

/// Returns a patch, as [`PatchControl`] describes it.
fn patch_of(controls: &[Control], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut patch = Vec::with_capacity(new.len() + controls.len() * 24);
    let mut following = controls.iter().skip(1);
    // A patch begins at the start of the old file: getting anywhere else takes a control of its own.
    if let Some(first) = controls.first().filter(|first| first.old != 0) {
        patch.extend(control_of(0, 0, distance(0, first.old)));
    }
    for control in controls {
        let next = following
            .next()
            .map_or(control.old + control.add, |next| next.old);
        patch.extend(control_of(
            control.add,
            control.take,
            distance(control.old + control.add, next),
        ));
        patch.extend(difference(control, old, new));
        let own = control.new + control.add;
        patch.extend_from_slice(new.get(own..own + control.take).unwrap_or_default());
    }
    patch
}

fn control_of(add: usize, take: usize, seek: i64) -> [u8; 24] {
    let control = PatchControl {
        add: add as u64,
        take: take as u64,
        seek,
    };
    control.to_bytes()
}

fn distance(from: usize, to: usize) -> i64 {
    let place = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
    place(to) - place(from)
}

/// Returns the rows of exactly equal bytes that are long enough, with what is between.
fn rows_of(controls: &[Control], old: &[u8], new: &[u8]) -> Vec<Row> {
    let mut rows = Rows::default();
    for control in controls {
        let mut equal = 0;
        for (at, byte) in difference(control, old, new).enumerate() {
            if byte == 0 {
                equal += 1;
                continue;
            }
            rows.equal(control.new + at - equal, control.old + at - equal, equal);
            equal = 0;
        }
        let end = control.add - equal;
        rows.equal(control.new + end, control.old + end, equal);
    }
    rows.finish(new.len())
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    done: usize,
}

impl Rows {
    fn equal(&mut self, new: usize, old: usize, length: usize) {
        if length < SHORTEST_ROW {
            return;
        }
        self.own_up_to(new);
        match self.rows.last_mut() {
            Some(last) if last.from == From::Old && last.offset + last.length == old => last.length += length,
            _ => self.rows.push(Row {
                from: From::Old,
                offset: old,
                length,
            }),
        }
        self.done = new + length;
    }

    fn own_up_to(&mut self, end: usize) {
        if end > self.done {
            self.rows.push(Row {
                from: From::Own,
                offset: self.done,
                length: end - self.done,
            });
        }
    }

    fn finish(mut self, end: usize) -> Vec<Row> {
        self.own_up_to(end);
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(state >> 56).unwrap()
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    fn rebuilt(old: &[u8], new: &[u8], form: &Form) -> Vec<u8> {
        match form {
            Form::Whole => new.to_vec(),
            Form::Rows(rows) => rows
                .iter()
                .flat_map(|row| match row.from {
                    From::Old => &old[row.offset..row.offset + row.length],
                    From::Own => &new[row.offset..row.offset + row.length],
                })
                .copied()
                .collect(),
            Form::Patch(patch) => {
                let mut made = Vec::new();
                bsdiff::patch(old, &mut patch.as_slice(), &mut made).unwrap();
                made
            }
        }
    }

    #[test]
    fn bytes_that_differ_here_and_there_make_a_patch_and_blocks_make_rows() {
        let old = noise(400_000);
        let mut scattered = old.clone();
        for at in (0..scattered.len()).step_by(40) {
            scattered[at] ^= 0x55;
        }
        let mut moved = old[100_000..].to_vec();
        moved.extend_from_slice(&old[..100_000]);
        moved.splice(5..5, noise(100));

        let patch = choose(&old, &scattered, true);
        assert!(matches!(patch, Form::Patch(_)));
        assert_eq!(rebuilt(&old, &scattered, &patch), scattered);
        let rows = choose(&old, &moved, true);
        assert!(matches!(rows, Form::Rows(_)));
        assert_eq!(rebuilt(&old, &moved, &rows), moved);
        let without = choose(&old, &scattered, false);
        assert_eq!(rebuilt(&old, &scattered, &without), scattered);
        assert!(!matches!(without, Form::Patch(_)));
        assert_eq!(choose(&noise(1000), &[9; 2000], true), Form::Whole);
    }

    #[test]
    fn patches_go_anywhere_in_the_old_file() {
        let old = noise(20_000);
        for start in [1, 5000] {
            let new = [&old[start..start + 9000], b"own", &old[..3000]].concat();
            let form = choose(&old, &new, true);
            assert!(matches!(form, Form::Patch(_)), "{start}");
            assert_eq!(rebuilt(&old, &new, &form), new);
        }
    }
}
