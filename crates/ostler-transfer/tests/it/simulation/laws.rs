//! The laws: what must hold after every step, whoever took it.
//!
//! - I1: all that a ref, or the summary, names is complete.
//! - I2: what is put finds there what it names (or a sweep has just removed that); nothing that was in use loses what it
//!   names as long as it is there itself.
//! - I3: a publish brings the refs that its source had when it looked.
//! - I4: a ref moves from the value that was expected, and a publish that ends well has moved its refs from the values
//!   that its plan says.
//! - I5: what is removed was not needed for the grace period: not by a ref or the summary, within the depth of history
//!   that is kept, nor by a pinned generation, with all of its history that is there.
//! - I7, I9: an object has the bytes that its name says, from its first moment to its last.
//! - I12: the refs of a flip that was cut short are all old or all new when the next flip begins.
//!
//! I6 is looked at when a play is over: [`Laws::at_the_end`].
//!
//! I8 is a law of receivers, of which there are none here. I10 shows as I1: a commit whose tree is there and whose files are not is
//! incomplete, whatever the publish concluded. I11 cannot be broken by a store that keeps all it was told; the tests that cut the
//! power (`power`, `publish_power`) look at that.

use super::GRACE;
use super::stage::file;
use super::trace::Op;
use super::world::{World, commit_path};
use ostler_format::Summary;
use ostler_repo::Retired;
use ostler_transfer::{Edit, Generation, MemoryStore, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is wrong.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

type Verdict = Result<(), Violation>;
/// Refs and the commits that they name.
pub(crate) type Refs = BTreeMap<String, String>;

/// An object that is there.
#[derive(Debug, Clone, Default)]
struct Held {
    /// Whether anything needed it since it was put.
    was_used: bool,
    /// Since when nothing needs it.
    free_since: u64,
}

/// A move of a ref.
#[derive(Debug)]
struct Move {
    step: u64,
    actor: usize,
    name: String,
    from: Option<String>,
    to: Option<String>,
}

/// A flip that is under way: what its files were and are to be.
type Flip = Vec<(Edit, Option<Vec<u8>>)>;

/// See the module.
pub(crate) struct Laws {
    world: Arc<World>,
    /// How many commits of a history are kept; `None`: all.
    depth: Option<usize>,
    held: BTreeMap<String, Held>,
    refs: Refs,
    listed: Refs,
    pinned: BTreeMap<String, Vec<String>>,
    needed: BTreeSet<String>,
    /// When what is not there any more was removed.
    removed: BTreeMap<String, u64>,
    moves: Vec<Move>,
    /// A flip that was asked for and has not begun.
    asked: Option<Flip>,
    flip: Option<Flip>,
    begun: BTreeMap<usize, u64>,
    /// How often the signature of the summary changed without it.
    overlaps: u64,
}

fn violation<T>(text: impl Into<String>) -> Result<T, Violation> {
    Err(Violation(text.into()))
}

impl Laws {
    /// Takes a store as it is.
    pub(crate) fn of(world: &Arc<World>, depth: Option<usize>, store: &MemoryStore, now: u64) -> Self {
        let mut laws = Self {
            world: Arc::clone(world),
            depth,
            held: BTreeMap::new(),
            refs: Refs::new(),
            listed: Refs::new(),
            pinned: BTreeMap::new(),
            needed: BTreeSet::new(),
            removed: BTreeMap::new(),
            moves: Vec::new(),
            asked: None,
            flip: None,
            begun: BTreeMap::new(),
            overlaps: 0,
        };
        for (path, bytes) in store.files() {
            if path.starts_with("objects/") {
                laws.held.insert(path, Held::default());
            } else if let Some(name) = path.strip_prefix("refs/heads/") {
                laws.refs.insert(name.to_owned(), text(&bytes));
            } else if path == "summary" {
                laws.listed = listed(&bytes);
            }
        }
        laws.find_needed(now);
        laws
    }

    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    pub(crate) fn depth(&self) -> Option<usize> {
        self.depth
    }

    pub(crate) fn begin(&mut self, actor: usize, step: u64) {
        self.begun.insert(actor, step);
    }

    /// Checks what a step has done.
    pub(crate) fn examine(
        &mut self,
        actor: usize,
        op: &Op,
        before: Option<&[u8]>,
        store: &MemoryStore,
        now: u64,
        step: u64,
    ) -> Verdict {
        let Some(path) = op.changed() else {
            match op {
                Op::Intent => self.flip_begins(),
                Op::Done => {
                    self.all_or_nothing(&store.files())?;
                    self.flip = None;
                }
                _ => {}
            }
            return Ok(());
        };
        let after = file(store, path);
        if path.starts_with("objects/") {
            return match op {
                Op::Remove(_) => self.removes(path, now, step),
                _ => self.puts(actor, path, before, after.as_deref()),
            };
        }
        if before == after.as_deref() {
            return Ok(());
        }
        if path.starts_with("deltas/") {
            return match op {
                Op::Remove(_) => self.removes_delta_file(path, store, now),
                _ => self.puts_delta_file(path, after.as_deref(), store),
            };
        }
        self.check_expectation(path, before)?;
        if path == "summary" || path == "summary.sig" {
            self.examine_pair(path, store)?;
        }
        if let Some(name) = path.strip_prefix("refs/heads/") {
            let value = |bytes: Option<&[u8]>| bytes.map(text);
            self.moves.push(Move {
                step,
                actor,
                name: name.to_owned(),
                from: value(before),
                to: value(after.as_deref()),
            });
            match value(after.as_deref()) {
                Some(commit) => self.refs.insert(name.to_owned(), commit),
                None => self.refs.remove(name),
            };
        } else if path == "summary" {
            self.listed = after.as_deref().map(listed).unwrap_or_default();
        } else if path.strip_suffix(".pin").is_some() {
            self.note_pin(path, after.is_some(), store);
        } else {
            return Ok(());
        }
        self.find_needed(now);
        self.tips_are_whole()
    }

    fn note_pin(&mut self, path: &str, is_pinned: bool, store: &MemoryStore) {
        let number = path
            .trim_end_matches(".pin")
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let record = number
            .parse()
            .ok()
            .and_then(|number| Generation::read(store, number).unwrap());
        match record {
            Some(record) if is_pinned => {
                self.pinned
                    .insert(path.to_owned(), record.refs.into_values().collect());
            }
            _ => drop(self.pinned.remove(path)),
        }
    }

    fn tips(&self) -> impl Iterator<Item = (String, &String)> {
        let refs = self
            .refs
            .iter()
            .map(|(name, commit)| (format!("ref {name}"), commit));
        let listed = self
            .listed
            .iter()
            .map(|(name, commit)| (format!("ref {name} of the summary"), commit));
        refs.chain(listed)
    }

    /// I1.
    fn tips_are_whole(&self) -> Verdict {
        for (name, commit) in self.tips() {
            if let Some(path) = self
                .world
                .closure(commit)
                .iter()
                .find(|path| !self.held.contains_key(*path))
            {
                return violation(format!("I1: {name} leads to {path}, which is not there"));
            }
        }
        Ok(())
    }

    fn find_needed(&mut self, now: u64) {
        let mut needed = BTreeSet::new();
        let tips = self.tips().map(|(_, tip)| (tip, self.depth));
        let pinned = self.pinned.values().flatten().map(|tip| (tip, None));
        for (tip, depth) in tips.chain(pinned) {
            for commit in self.history(tip, depth) {
                needed.extend(self.world.closure(&commit).iter().cloned());
            }
        }
        for (path, held) in &mut self.held {
            match (needed.contains(path), self.needed.contains(path)) {
                (true, _) => held.was_used = true,
                (false, true) => held.free_since = now,
                (false, false) => {}
            }
        }
        self.needed = needed;
    }

    /// Returns a commit and those before it, as far as they are there.
    fn history(&self, tip: &str, depth: Option<usize>) -> Vec<String> {
        let mut history = Vec::new();
        let mut next = Some(tip.to_owned());
        while let Some(commit) = next {
            let is_there = history.is_empty() || self.held.contains_key(&commit_path(&commit));
            if !is_there || depth.is_some_and(|depth| history.len() >= depth) {
                break;
            }
            next = self.world.parent(&commit).cloned();
            history.push(commit);
        }
        history
    }

    /// I2, I7 and I9.
    fn puts(&mut self, actor: usize, path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> Verdict {
        let Some(object) = self.world.object(path) else {
            return violation(format!("{path} is nobody's"));
        };
        if after != Some(&object.bytes[..]) {
            return violation(format!("I7: {path} is not what its name says"));
        }
        if before.is_some() {
            return if before == after {
                Ok(())
            } else {
                violation(format!("I9: {path} was changed"))
            };
        }
        let begun = self.begun.get(&actor).copied().unwrap_or_default();
        for child in &object.children {
            let swept = self.removed.get(child).is_some_and(|step| *step >= begun);
            if !self.held.contains_key(child) && !swept {
                return violation(format!("I2: {path} is there before {child}, which it names"));
            }
        }
        let held = Held {
            was_used: self.needed.contains(path),
            free_since: 0,
        };
        self.held.insert(path.to_owned(), held);
        self.removed.remove(path);
        Ok(())
    }

    /// I5, I1 and I2.
    fn removes(&mut self, path: &str, now: u64, step: u64) -> Verdict {
        let Some(held) = self.held.remove(path) else {
            return Ok(());
        };
        self.removed.insert(path.to_owned(), step);
        if self.needed.contains(path) {
            return violation(format!("I5: {path} is removed while it is needed"));
        }
        let free = now - held.free_since.min(now);
        if held.was_used && free < GRACE {
            return violation(format!(
                "I5: {path} is removed when nothing has needed it for {free} seconds only"
            ));
        }
        // Trees go in any order among themselves.
        let mut above = self
            .world
            .named_by(path)
            .iter()
            .filter(|above| rank(above) < rank(path));
        if let Some(above) = above.find(|above| self.held.get(*above).is_some_and(|held| held.was_used)) {
            return violation(format!("I2: {path} is removed before {above}, which names it"));
        }
        Ok(())
    }

    /// Summary and signature fit each other at any time, from the first pair on.
    fn examine_pair(&mut self, path: &str, store: &MemoryStore) -> Verdict {
        let mut edits = self.flip.iter().flatten();
        let alone = path == "summary.sig" && !edits.any(|(edit, _)| edit.path == "summary");
        self.overlaps += u64::from(alone);
        match (file(store, "summary"), file(store, "summary.sig")) {
            (Some(summary), Some(signature)) if !self.world.fits(&summary, &signature) => {
                violation("the summary does not fit its signature")
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn overlaps(&self) -> u64 {
        self.overlaps
    }

    /// I2 and I9, for the files of static deltas.
    fn puts_delta_file(&self, path: &str, after: Option<&[u8]>, store: &MemoryStore) -> Verdict {
        if self.world.delta_file(path).map(|(bytes, _)| bytes) != after {
            return violation(format!("I9: {path} is not what the source has"));
        }
        if path.ends_with("/superblock") {
            let mut parts = self.world.parts_of(path);
            if let Some(part) = parts.find(|part| file(store, part).is_none()) {
                return violation(format!("I2: {path} is there before {part}, which it names"));
            }
        }
        Ok(())
    }

    /// I5 and I2: a delta goes when its commit may, the superblock first.
    fn removes_delta_file(&self, path: &str, store: &MemoryStore, now: u64) -> Verdict {
        let Some((_, commit)) = self.world.delta_file(path) else {
            return Ok(());
        };
        if self.needed.contains(&commit) {
            return violation(format!("I5: {path} is removed while {commit} is needed"));
        }
        let held = self.held.get(&commit);
        if held.is_some_and(|held| held.was_used && now - held.free_since.min(now) < GRACE) {
            return violation(format!("I5: {path} is removed within the grace of {commit}"));
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or_default();
        if name != "superblock" && file(store, &format!("{dir}/superblock")).is_some() {
            return violation(format!(
                "I2: {path} is removed before the superblock that names it"
            ));
        }
        Ok(())
    }

    /// I6: no superblock is left that names a part which is not there.
    fn deltas_are_whole(&self, store: &MemoryStore) -> Verdict {
        for path in store.files().keys().filter(|path| path.ends_with("/superblock")) {
            let mut parts = self.world.parts_of(path);
            if let Some(part) = parts.find(|part| file(store, part).is_none()) {
                return violation(format!("I6: {path} is left without {part}"));
            }
        }
        Ok(())
    }

    /// I4, for a file that changes.
    fn check_expectation(&self, path: &str, before: Option<&[u8]>) -> Verdict {
        // Written by whoever completes a flip of somebody else's.
        if path == Retired::COMPLETED {
            return Ok(());
        }
        let Some((edit, _)) = self.flip.iter().flatten().find(|(edit, _)| edit.path == path) else {
            return violation(format!("{path} changes outside of a flip"));
        };
        if edit.expect.allows(before) {
            return Ok(());
        }
        violation(format!(
            "I4: {path} changes from {:?}, which was not expected",
            before.map(text)
        ))
    }

    /// Takes note of a flip; I12 for the one before it.
    pub(crate) fn flipping(&mut self, edits: &[Edit], files: &BTreeMap<String, Vec<u8>>) -> Verdict {
        self.all_or_nothing(files)?;
        let old = |edit: &Edit| (edit.clone(), files.get(&edit.path).cloned());
        self.asked = Some(edits.iter().map(old).collect());
        Ok(())
    }

    /// Takes note that the flip that was asked for has begun.
    pub(crate) fn flip_begins(&mut self) {
        self.flip = self.asked.take();
    }

    /// Returns what the flip that is under way makes of a ref, or of the list of what is retired.
    pub(crate) fn new_value(&self, path: &str) -> Option<String> {
        let (edit, _) = self.flip.iter().flatten().find(|(edit, _)| edit.path == path)?;
        if path.starts_with("refs/") || path.ends_with("/retired.json") {
            return Some(edit.new.as_deref().map_or_else(|| "nothing".to_owned(), text));
        }
        None
    }

    /// Takes note of the end of a flip.
    pub(crate) fn flipped(&mut self) {
        self.flip = None;
    }

    /// I12.
    fn all_or_nothing(&self, files: &BTreeMap<String, Vec<u8>>) -> Verdict {
        let refs = self
            .flip
            .iter()
            .flatten()
            .filter(|(edit, old)| edit.path.starts_with("refs/") && edit.new != *old);
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for (edit, before) in refs {
            let now = files.get(&edit.path);
            if now == edit.new.as_ref() {
                new.push(&edit.path);
            } else if now == before.as_ref() {
                old.push(&edit.path);
            }
        }
        if new.is_empty() || old.is_empty() {
            return Ok(());
        }
        violation(format!("I12: of one flip {new:?} are new and {old:?} are old"))
    }

    /// I3 and I4, for a publish that ended well.
    pub(crate) fn published(&self, actor: usize, outcome: &Outcome, source: &Refs) -> Verdict {
        let begun = self.begun.get(&actor).copied().unwrap_or_default();
        for update in &outcome.plan.refs {
            let name = update.name.name.as_str();
            let [from, to] = [update.old, update.new].map(|commit| commit.map(|commit| commit.to_string()));
            if source.get(name) != to.as_ref() {
                return violation(format!(
                    "I3: {name} was published as {to:?}, but the source had {:?}",
                    source.get(name)
                ));
            }
            if outcome.generation.is_none() {
                continue;
            }
            let own = self
                .moves
                .iter()
                .filter(|moved| moved.actor == actor && moved.step >= begun);
            let mut own = own.filter(|moved| moved.name == name);
            if !own.any(|moved| moved.from == from && moved.to == to) {
                let last = self.moves.iter().rev().find(|moved| moved.name == name);
                return violation(format!(
                    "I4: {name} was to go from {from:?} to {to:?}, and has not; the last: {last:?}"
                ));
            }
        }
        Ok(())
    }

    /// A client did not find an object of a commit that was public at a time.
    pub(crate) fn missed(path: &str, since: u64, now: u64) -> Verdict {
        if now - since >= GRACE {
            return Ok(());
        }
        violation(format!(
            "I5: {path} is not there for a client that began {} seconds ago",
            now - since
        ))
    }

    /// I6: what is left when everybody has ended well and everything was swept, and nothing else is.
    pub(crate) fn at_the_end(&self, store: &MemoryStore, refs: &Refs) -> Verdict {
        if self.refs != *refs || self.listed != *refs {
            return violation(format!(
                "I6: refs {:?}, summary {:?}, not {refs:?}",
                self.refs, self.listed
            ));
        }
        self.tips_are_whole()?;
        let mut history = BTreeSet::new();
        for (_, tip) in self.tips() {
            for commit in self.history(tip, None) {
                history.extend(self.world.closure(&commit).iter().cloned());
            }
        }
        for path in &self.needed {
            if !self.held.contains_key(path) {
                return violation(format!("I6: {path} is missing from what is kept"));
            }
        }
        // What a publish that crashed has put, and nobody ever used, is for prune.
        let left = |(path, held): &(&String, &Held)| {
            held.was_used && !history.contains(*path) && !self.needed.contains(*path)
        };
        if let Some((path, _)) = self.held.iter().find(left) {
            return violation(format!("I6: {path} is left, and nothing needs it"));
        }
        self.deltas_are_whole(store)?;
        let known = |path: &str| {
            [
                "config",
                "deltas/",
                "summary",
                "refs/heads/",
                "objects/",
                "extensions/ostler/generations/",
                "extensions/ostler/summaries/",
                Retired::COMPLETED,
            ]
            .iter()
            .any(|start| path.starts_with(start))
        };
        match store.files().into_keys().find(|path| !known(path)) {
            Some(path) => violation(format!("I6: {path} is left over")),
            None => Ok(()),
        }
    }
}

/// Returns when an object goes: what is less goes first.
fn rank(path: &str) -> usize {
    match path.rsplit('.').next() {
        Some("commit") => 0,
        Some("dirtree" | "dirmeta") => 1,
        _ => 2,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// Returns the refs that a summary lists.
pub(crate) fn listed(bytes: &[u8]) -> Refs {
    let summary = Summary::parse(bytes).unwrap();
    let entry = |found: ostler_format::SummaryRef| (found.name.to_string(), found.checksum.to_string());
    summary.refs.into_iter().map(entry).collect()
}
