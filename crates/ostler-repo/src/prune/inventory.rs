//! The objects of the repository itself, and which of them are reachable.
//!
//! 33 bytes and a bit for each object: sorted lists by prefix, and a bitmap beside each list. Several threads may
//! mark at the same time; whoever marks an object first is told so, which is how each tree is read once.
//!
//! The lists can be brought up to date: directories that have not changed since they were listed are not listed again
//! (see [`super::seen`]), marks of objects that are still there stay.

use super::seen::{Clock, Seen};
use crate::error::{RepoError, Result};
use crate::objects::prefixes::prefix_of;
use crate::parallel::spread;
use crate::repo::Repo;
use ostler_format::{ObjectName, ObjectType};
use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// All objects of a repository, with a mark for each.
pub(super) struct Inventory {
    /// By the first byte of their checksums.
    buckets: Vec<Bucket>,
    commits_only: bool,
    threads: usize,
}

struct Bucket {
    objects: Vec<ObjectName>,
    marks: Vec<AtomicU64>,
    /// What the directory was like before it was listed.
    seen: Seen,
}

/// Where an object is in the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: usize,
    pub(super) index: usize,
}

/// What marking an object found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marked {
    /// It was not marked before.
    First,
    /// It was.
    Before,
    /// It was not here when the objects were listed.
    Absent,
}

impl Inventory {
    /// Lists the objects of `repo` itself, of commits alone where nothing else is asked for.
    pub(super) fn list(repo: &Repo, commits_only: bool, threads: usize, clock: Clock) -> Result<Self> {
        let prefixes: Vec<u8> = (0..=u8::MAX).collect();
        let listed = list(repo, &prefixes, commits_only, threads, clock)?;
        Ok(Self {
            buckets: listed.into_iter().map(|(_, bucket)| bucket).collect(),
            commits_only,
            threads,
        })
    }

    /// Lists again what may have changed since, and returns the objects that have come. Marks stay.
    pub(super) fn refresh(&mut self, repo: &Repo) -> Result<Vec<ObjectName>> {
        let mut changed = Vec::new();
        for (prefix, bucket) in (0..=u8::MAX).zip(&self.buckets) {
            if !bucket.seen.still_holds(repo, prefix)? {
                changed.push(prefix);
            }
        }
        let listed = list(repo, &changed, self.commits_only, self.threads, Clock::unknown())?;
        let mut come = Vec::new();
        for (prefix, bucket) in listed {
            if let Some(slot) = self.buckets.get_mut(usize::from(prefix)) {
                come.extend(bucket.take_marks_of(slot));
                *slot = bucket;
            }
        }
        Ok(come)
    }

    /// Forgets all marks.
    pub(super) fn clear_marks(&mut self) {
        for bucket in &mut self.buckets {
            bucket.marks.fill_with(AtomicU64::default);
        }
    }

    /// Returns how many objects are not marked.
    pub(super) fn unmarked_count(&self) -> usize {
        self.buckets.iter().map(Bucket::unmarked_count).sum()
    }

    /// Returns how many objects there are.
    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.objects.len()).sum()
    }

    /// Marks an object as reachable.
    pub(super) fn mark(&self, name: &ObjectName) -> Marked {
        let bucket = self.buckets.get(usize::from(prefix_of(&name.checksum)));
        bucket.map_or(Marked::Absent, |bucket| bucket.mark(name))
    }

    /// Returns where an object is, or `None` if it was not here when the objects were listed.
    pub(super) fn place_of(&self, name: &ObjectName) -> Option<Place> {
        let bucket = usize::from(prefix_of(&name.checksum));
        let index = self.buckets.get(bucket)?.find(name)?;
        Some(Place { bucket, index })
    }

    /// Returns whether an object was here when the objects were listed.
    pub(super) fn holds(&self, name: &ObjectName) -> bool {
        self.place_of(name).is_some()
    }

    /// Returns whether an object is here and marked.
    pub(super) fn is_marked(&self, name: &ObjectName) -> bool {
        self.place_of(name).is_some_and(|place| self.is_marked_at(place))
    }

    /// Returns whether the object at a place is marked.
    pub(super) fn is_marked_at(&self, place: Place) -> bool {
        let bucket = self.buckets.get(place.bucket);
        bucket.is_some_and(|bucket| bucket.is_marked(place.index))
    }

    /// Returns how many objects each list has.
    pub(super) fn bucket_lengths(&self) -> impl Iterator<Item = usize> {
        self.buckets.iter().map(|bucket| bucket.objects.len())
    }

    /// Returns the objects of a type, sorted.
    pub(super) fn of_kind(&self, kind: ObjectType) -> impl Iterator<Item = &ObjectName> {
        let all = self.buckets.iter().flat_map(|bucket| &bucket.objects);
        all.filter(move |name| name.kind == kind)
    }

    /// Returns the objects that are not marked of those with a first byte, sorted.
    pub(super) fn unmarked(&self, prefix: u8) -> impl Iterator<Item = &ObjectName> {
        self.unmarked_places(prefix).map(|(_, name)| name)
    }

    /// As [`unmarked`](Self::unmarked), each with its place.
    pub(super) fn unmarked_places(&self, prefix: u8) -> impl Iterator<Item = (Place, &ObjectName)> {
        let number = usize::from(prefix);
        let bucket = self.buckets.get(number).into_iter();
        bucket.flat_map(move |bucket| {
            let objects = bucket.objects.iter().enumerate();
            objects
                .filter(|(index, _)| !bucket.is_marked(*index))
                .map(move |(index, name)| {
                    (
                        Place {
                            bucket: number,
                            index,
                        },
                        name,
                    )
                })
        })
    }
}

/// Lists directories on several threads; sorted by prefix.
fn list(
    repo: &Repo,
    prefixes: &[u8],
    commits_only: bool,
    threads: usize,
    clock: Clock,
) -> Result<Vec<(u8, Bucket)>> {
    let never = AtomicBool::new(false);
    let list = |listed: &mut Vec<(u8, Bucket)>, prefix: &u8| {
        let seen = clock.look(repo, *prefix)?;
        let mut objects = Vec::new();
        repo.for_each_object_in(*prefix, false, |name| {
            if !commits_only || name.kind == ObjectType::Commit {
                objects.push(name);
            }
            Ok(())
        })?;
        listed.push((*prefix, Bucket::new(objects, seen)));
        Ok::<_, RepoError>(())
    };
    let states = spread(prefixes, threads, &never, Vec::new, list, |_| {})?;
    let mut listed: Vec<(u8, Bucket)> = states.into_iter().flatten().collect();
    listed.sort_unstable_by_key(|(prefix, _)| *prefix);
    Ok(listed)
}

impl Bucket {
    fn new(mut objects: Vec<ObjectName>, seen: Seen) -> Self {
        objects.sort_unstable_by(by_key);
        objects.dedup();
        objects.shrink_to_fit();
        let marks = std::iter::repeat_with(AtomicU64::default)
            .take(objects.len().div_ceil(64))
            .collect();
        Self { objects, marks, seen }
    }

    fn find(&self, name: &ObjectName) -> Option<usize> {
        let found = self.objects.binary_search_by(|object| by_key(object, name));
        found.ok()
    }

    /// Marks what is marked in an earlier list of the same directory, and returns what that does not have.
    fn take_marks_of(&self, earlier: &Self) -> Vec<ObjectName> {
        let mut come = Vec::new();
        for name in &self.objects {
            match earlier.find(name) {
                Some(index) if earlier.is_marked(index) => {
                    self.mark(name);
                }
                Some(_) => {}
                None => come.push(*name),
            }
        }
        come
    }

    fn unmarked_count(&self) -> usize {
        let marked = self.marks.iter().map(|word| word.load(Relaxed).count_ones());
        self.objects.len().saturating_sub(marked.sum::<u32>() as usize)
    }

    fn mark(&self, name: &ObjectName) -> Marked {
        let Some(index) = self.find(name) else {
            return Marked::Absent;
        };
        let bit = 1_u64 << (index % 64);
        let before = self
            .marks
            .get(index / 64)
            .map_or(bit, |word| word.fetch_or(bit, Relaxed));
        if before & bit == 0 {
            Marked::First
        } else {
            Marked::Before
        }
    }

    fn is_marked(&self, index: usize) -> bool {
        let word = self.marks.get(index / 64);
        word.is_some_and(|word| word.load(Relaxed) & (1_u64 << (index % 64)) != 0)
    }
}

/// Compares two objects of one list: by eight bytes behind the first, which nearly always tell, then as ever. The order is
/// that of the names.
fn by_key(left: &ObjectName, right: &ObjectName) -> Ordering {
    key(left).cmp(&key(right)).then_with(|| left.cmp(right))
}

fn key(name: &ObjectName) -> u64 {
    let [_, key @ ..] = name.checksum.as_bytes();
    key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::Checksum;

    #[test]
    fn each_object_is_marked_once_and_only_those_listed() {
        let names: Vec<ObjectName> = (0..200_u8)
            .map(|seed| {
                let mut bytes = *Checksum::of(&[seed]).as_bytes();
                bytes[0] = 7;
                ObjectName::new(Checksum::from_bytes(bytes), ObjectType::File)
            })
            .collect();
        let bucket = Bucket::new([names.clone(), names[..50].to_vec()].concat(), Seen::default());
        assert_eq!(bucket.objects.len(), 200);
        for name in &names[..100] {
            assert_eq!(bucket.mark(name), Marked::First);
            assert_eq!(bucket.mark(name), Marked::Before);
            let tree = ObjectName::new(name.checksum, ObjectType::DirTree);
            assert_eq!(bucket.mark(&tree), Marked::Absent);
        }
        let marked = (0..200).filter(|index| bucket.is_marked(*index));
        assert_eq!(marked.count(), 100);
        assert_eq!(bucket.unmarked_count(), 100);

        // Some have gone, some have come.
        let later = Bucket::new(names[50..].to_vec(), Seen::default());
        assert_eq!(later.take_marks_of(&bucket), []);
        assert_eq!(later.unmarked_count(), 100);
        let earlier = Bucket::new(names[..50].to_vec(), Seen::default());
        assert_eq!(bucket.take_marks_of(&earlier).len(), 150);
    }
}
