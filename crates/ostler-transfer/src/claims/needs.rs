//! Which commits need what is not sound, and what leads to them. Only asked for where there is damage: all trees are read once more.

use super::{Reading, Roots};
use crate::error::Result;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What needs what.
#[derive(Debug, Default)]
pub(super) struct Needs {
    commits: BTreeMap<ObjectName, BTreeSet<Checksum>>,
    parents: HashMap<Checksum, Option<Checksum>>,
}

/// What is not sound at and below trees.
struct Below<'a> {
    reading: &'a Reading<'a>,
    unsound: &'a BTreeSet<ObjectName>,
    done: HashSet<Checksum>,
    /// Only trees with anything.
    found: HashMap<Checksum, BTreeSet<ObjectName>>,
}

impl Needs {
    /// Finds what commits need of what is not sound.
    pub(super) fn find(
        reading: &Reading<'_>,
        commits: &[Checksum],
        unsound: &BTreeSet<ObjectName>,
    ) -> Result<Self> {
        let mut needs = Self::default();
        let mut below = Below {
            reading,
            unsound,
            done: HashSet::new(),
            found: HashMap::new(),
        };
        for checksum in commits {
            let mut own = vec![
                ObjectName::new(*checksum, ObjectType::Commit),
                ObjectName::new(*checksum, ObjectType::CommitMeta),
            ];
            if let Some(commit) = reading.commit(checksum)?.contents {
                needs.parents.insert(*checksum, commit.parent);
                own.push(ObjectName::new(commit.root_meta, ObjectType::DirMeta));
                below.follow(commit.root_tree)?;
                own.extend(below.found.get(&commit.root_tree).into_iter().flatten());
            }
            for name in own.into_iter().filter(|name| unsound.contains(name)) {
                needs.commits.entry(name).or_default().insert(*checksum);
            }
        }
        Ok(needs)
    }

    /// Returns the commits that need an object; `None` where none does.
    pub(super) fn of(&self, name: &ObjectName) -> Option<Vec<Checksum>> {
        Some(self.commits.get(name)?.iter().copied().collect())
    }

    /// Returns the names of roots that lead to any of the commits, each once.
    pub(super) fn labels(&self, roots: &Roots, commits: &[Checksum]) -> Vec<String> {
        let leads = |tip: &Checksum| {
            let mut chain =
                std::iter::successors(Some(*tip), |commit| self.parents.get(commit).copied().flatten());
            chain.any(|commit| commits.contains(&commit))
        };
        let mut labels: Vec<String> = Vec::new();
        for (label, tip) in roots {
            if !labels.contains(label) && leads(tip) {
                labels.push(label.clone());
            }
        }
        labels
    }
}

impl Below<'_> {
    /// Collects what is not sound at and below a tree, without recursion. (Trees are hashed: none is below itself.)
    fn follow(&mut self, root: Checksum) -> Result<()> {
        let mut stack = vec![(root, false)];
        while let Some((tree, are_children_done)) = stack.pop() {
            if self.done.contains(&tree) {
                continue;
            }
            let contents = self.reading.tree(&tree)?.contents.unwrap_or_default();
            if !are_children_done {
                stack.push((tree, true));
                stack.extend(contents.dirs.iter().map(|dir| (dir.tree, false)));
                continue;
            }
            let files = contents
                .files
                .iter()
                .map(|file| (file.checksum, ObjectType::File));
            let metas = contents.dirs.iter().map(|dir| (dir.meta, ObjectType::DirMeta));
            let own = [(tree, ObjectType::DirTree)]
                .into_iter()
                .chain(files)
                .chain(metas);
            let own = own.map(|(checksum, kind)| ObjectName::new(checksum, kind));
            let mut found: BTreeSet<_> = own.filter(|name| self.unsound.contains(name)).collect();
            for dir in &contents.dirs {
                found.extend(self.found.get(&dir.tree).into_iter().flatten());
            }
            if !found.is_empty() {
                self.found.insert(tree, found);
            }
            self.done.insert(tree);
        }
        Ok(())
    }
}
