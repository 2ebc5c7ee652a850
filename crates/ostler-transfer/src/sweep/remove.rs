//! The part of a sweep that removes; see [`super`] for the order.

use super::record::{self, Record};
use super::{Prepared, Sweep, Swept, commits_of, files};
use crate::error::Result;
use crate::history::link_at;
use crate::inventory::partial_path;
use crate::store::{Edit, Expect, Item, object_path};
use ostler_format::{Checksum, ObjectName, ObjectType, tombstone};
use ostler_repo::Config;
use ostler_repo::walk::LISTS;
use std::collections::HashSet;

/// The largest configuration that is read, in bytes.
const CONFIG_LIMIT: u64 = 1 << 20;

impl Sweep<'_> {
    /// Removes what can go. The lease is held.
    pub(super) fn remove(&self, prepared: &Prepared) -> Result<Swept> {
        let due = &prepared.due;
        let mut swept = due.outcome();
        let going = prepared.candidates.going();
        swept.commits = commits_of(&going);
        let files = files::going(self.store, due, &swept.commits)?;
        let [indexes, superblocks, others] = files.steps();
        let layers = [
            layer(&going, &[ObjectType::Commit]),
            layer(&going, &[ObjectType::DirTree, ObjectType::DirMeta]),
            layer(&going, &[ObjectType::File]),
        ];
        let is_any = !(going.is_empty() && indexes.is_empty() && superblocks.is_empty() && others.is_empty());
        if is_any {
            let record = Record {
                objects: layers.iter().flatten().copied().collect(),
                files: [&indexes, &superblocks, &others]
                    .into_iter()
                    .flatten()
                    .map(Item::path)
                    .collect(),
            };
            let mut edits = self.tombstones(&swept.commits)?;
            edits.push(record.edit());
            self.store.flip(&edits)?;
        }
        for items in [indexes, superblocks] {
            self.remove_files(&items, &mut swept)?;
        }
        for names in &layers {
            self.check_interrupt()?;
            self.remove_objects(names, &mut swept)?;
        }
        self.remove_files(&others, &mut swept)?;
        self.finish(prepared, &swept.commits, &files.settled)?;
        Ok(swept)
    }

    fn remove_files(&self, items: &[Item], swept: &mut Swept) -> Result<()> {
        if !items.is_empty() {
            swept.bytes += self.store.remove(items)?.bytes;
            swept.files.extend(items.iter().map(Item::path));
        }
        Ok(())
    }

    /// Removes objects of a kind; commits with their detached metadata.
    fn remove_objects(&self, names: &[ObjectName], swept: &mut Swept) -> Result<()> {
        let mut items = Vec::with_capacity(names.len());
        for name in names {
            items.push(Item::Object(*name));
            if name.kind == ObjectType::Commit {
                let metadata = ObjectName::new(name.checksum, ObjectType::CommitMeta);
                items.push(Item::Object(metadata));
            }
        }
        if !items.is_empty() {
            let removed = self.store.remove(&items)?;
            swept.objects += removed.count;
            swept.bytes += removed.bytes;
        }
        Ok(())
    }

    /// Returns the edits that mark commits as deleted, where the target wants that.
    fn tombstones(&self, commits: &[Checksum]) -> Result<Vec<Edit>> {
        let config = Config::parse(&self.store.get("config", CONFIG_LIMIT)?.unwrap_or_default())?;
        if !config.tombstone_commits() {
            return Ok(Vec::new());
        }
        let edit = |commit: &Checksum| Edit {
            path: object_path(ObjectName::new(*commit, ObjectType::TombstoneCommit)),
            expect: Expect::Any,
            new: Some(tombstone(commit)),
        };
        Ok(commits.iter().map(edit).collect())
    }

    /// Takes what is gone off the list, with what else tells of it, and removes the record.
    fn finish(&self, prepared: &Prepared, commits: &[Checksum], files: &[String]) -> Result<()> {
        let due = &prepared.due;
        let mut after = due.list_after(files);
        let mut ends = Vec::new();
        for end in after.ends() {
            let parent = link_at(self.store, end)?.and_then(|link| link.parent);
            ends.extend(parent.filter(|parent| after.has_commit(parent)).map(|_| *end));
        }
        after.set_ends(ends);
        let remove = |path: String| Edit {
            path,
            expect: Expect::Any,
            new: None,
        };
        let mut edits = vec![after.edit()?];
        let gone: HashSet<_> = commits.iter().collect();
        let marks = due.partial.iter().filter(|commit| gone.contains(commit));
        edits.extend(marks.map(|commit| remove(partial_path(commit))));
        for entry in self.store.list(LISTS)? {
            if Checksum::from_hex(&entry.name).is_ok_and(|commit| gone.contains(&commit)) {
                edits.push(remove(format!("{LISTS}/{}", entry.name)));
            }
        }
        edits.push(record::removal());
        self.store.flip(&edits)
    }
}

fn layer(names: &[ObjectName], kinds: &[ObjectType]) -> Vec<ObjectName> {
    names
        .iter()
        .filter(|name| kinds.contains(&name.kind))
        .copied()
        .collect()
}
