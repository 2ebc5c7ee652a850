//! Which commits need a damaged object, and where in them it is; and the marks on those commits.
//!
//! Only done where there is damage: the trees are read once more, each once, and of each is remembered which
//! damaged objects are below it.

use super::{Check, Damage, Damaged, FsckFinding, FsckReport, check};
use crate::error::Result;
use crate::partial::Partial;
use ostler_format::{Checksum, Commit, DirTree, ObjectName, ObjectType};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// The longest path that is reported: what a system call takes.
const MAX_PATH: usize = 4096;

/// In how many commits a place is looked for.
const MAX_PLACES: usize = 16;

/// The damaged objects below a tree, as sorted positions in the list of all. Trees share the list of their only
/// damaged subtree, so that a chain of trees does not cost the square of its length.
type Below = Rc<[usize]>;

/// The search for damaged objects.
struct Search<'a, 'c> {
    check: &'a Check<'c>,
    damaged: HashMap<ObjectName, usize>,
    known: HashMap<Checksum, Below>,
    none: Below,
}

impl Check<'_> {
    /// Notes each damaged object with the commits that need it, and marks these partial where they have become
    /// so.
    pub(super) fn blame(
        &self,
        damaged: Damaged,
        commits: &[(Checksum, &Commit)],
        report: &mut FsckReport,
    ) -> Result<()> {
        if damaged.is_empty() {
            return Ok(());
        }
        let mut search = Search::new(self, &damaged);
        let mut needed: HashMap<ObjectName, BTreeSet<Checksum>> = HashMap::new();
        let mut paths: HashMap<ObjectName, Vec<Option<String>>> = HashMap::new();
        let names: Vec<ObjectName> = damaged.keys().copied().collect();
        for (checksum, commit) in commits {
            for object in search
                .of_commit(commit)?
                .iter()
                .filter_map(|index| names.get(*index))
            {
                needed.entry(*object).or_default().insert(*checksum);
                let known = paths.entry(*object).or_default();
                if known.len() < MAX_PLACES {
                    known.push(search.path_of(object, commit)?);
                }
            }
        }
        for (object, damage) in damaged {
            let commits = needed.remove(&object).unwrap_or_default();
            let marked = (damage == Damage::Missing || self.options.delete).then(|| commits.clone());
            let paths = paths.remove(&object).unwrap_or_default();
            let finding = FsckFinding::Object {
                object,
                damage,
                commits,
                refs: BTreeSet::new(),
                path: paths.first().cloned().flatten(),
                places: paths.into_iter().flatten().collect(),
            };
            let last = finding.ends(self.options);
            self.found(finding, report);
            if let Some(commits) = marked {
                self.mark(&commits, report)?;
            }
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Marks commits partial, for the reason that objects of theirs are damaged.
    pub(super) fn mark(&self, commits: &BTreeSet<Checksum>, report: &mut FsckReport) -> Result<()> {
        for commit in commits {
            if report.partial_by_fsck.insert(*commit) {
                self.repo.set_partial(commit, Partial::Damaged)?;
                report.partial.insert(*commit);
                self.reporter.marked_partial(commit);
            }
        }
        Ok(())
    }
}

impl<'a, 'c> Search<'a, 'c> {
    fn new(check: &'a Check<'c>, damaged: &Damaged) -> Self {
        Self {
            check,
            damaged: damaged
                .keys()
                .enumerate()
                .map(|(index, object)| (*object, index))
                .collect(),
            known: HashMap::new(),
            none: Rc::from([]),
        }
    }

    fn index(&self, checksum: Checksum, kind: ObjectType) -> Option<usize> {
        self.damaged.get(&ObjectName::new(checksum, kind)).copied()
    }

    fn of_commit(&mut self, commit: &Commit) -> Result<Below> {
        self.search(commit.root_tree)?;
        let own = [
            self.index(commit.root_tree, ObjectType::DirTree),
            self.index(commit.root_meta, ObjectType::DirMeta),
        ];
        let below = self.below(&commit.root_tree);
        Ok(join(own.into_iter().flatten().collect(), vec![below]))
    }

    fn below(&self, tree: &Checksum) -> Below {
        self.known.get(tree).unwrap_or(&self.none).clone()
    }

    /// Looks through `root` and all below it, deepest first, without recursion: trees may be nested as deep as
    /// somebody likes.
    fn search(&mut self, root: Checksum) -> Result<()> {
        let mut stack = vec![(root, None::<DirTree>)];
        while let Some((checksum, tree)) = stack.pop() {
            if let Some(tree) = tree {
                let below = self.of_tree(&tree);
                self.known.insert(checksum, below);
                continue;
            }
            if self.known.contains_key(&checksum) {
                continue;
            }
            let Ok(tree) = check::dirtree(self.check.repo, &checksum)? else {
                self.known.insert(checksum, self.none.clone());
                continue;
            };
            let children: Vec<Checksum> = tree.dirs.iter().map(|dir| dir.tree).collect();
            stack.push((checksum, Some(tree)));
            stack.extend(children.into_iter().map(|child| (child, None)));
        }
        Ok(())
    }

    fn of_tree(&self, tree: &DirTree) -> Below {
        let files = tree
            .files
            .iter()
            .map(|file| self.index(file.checksum, ObjectType::File));
        let dirs = tree.dirs.iter().flat_map(|dir| {
            [
                self.index(dir.tree, ObjectType::DirTree),
                self.index(dir.meta, ObjectType::DirMeta),
            ]
        });
        let own = files.chain(dirs).flatten().collect();
        join(own, tree.dirs.iter().map(|dir| self.below(&dir.tree)).collect())
    }

    /// Returns where an object is in a commit that needs it, or `None` if that is too long to be a path.
    fn path_of(&self, object: &ObjectName, commit: &Commit) -> Result<Option<String>> {
        let Some(index) = self.damaged.get(object) else {
            return Ok(None);
        };
        let is = |checksum, kind| *object == ObjectName::new(checksum, kind);
        if is(commit.root_tree, ObjectType::DirTree) || is(commit.root_meta, ObjectType::DirMeta) {
            return Ok(Some("/".to_owned()));
        }
        let mut path = String::new();
        let mut at = commit.root_tree;
        while path.len() < MAX_PATH {
            let Ok(tree) = check::dirtree(self.check.repo, &at)? else {
                return Ok(None);
            };
            let file = tree.files.iter().find(|file| is(file.checksum, ObjectType::File));
            let dir = |dir: &&ostler_format::TreeDir| {
                is(dir.tree, ObjectType::DirTree) || is(dir.meta, ObjectType::DirMeta)
            };
            let here = file
                .map(|file| &file.name)
                .or_else(|| tree.dirs.iter().find(dir).map(|dir| &dir.name));
            if let Some(name) = here {
                return Ok(Some(format!("{path}/{name}")));
            }
            let leads = |dir: &&ostler_format::TreeDir| self.below(&dir.tree).binary_search(index).is_ok();
            let Some(next) = tree.dirs.iter().find(leads) else {
                return Ok(None);
            };
            path = format!("{path}/{}", next.name);
            at = next.tree;
        }
        Ok(None)
    }
}

/// Joins what is in a tree itself with what is below its subtrees.
fn join(mut own: Vec<usize>, mut below: Vec<Below>) -> Below {
    below.retain(|below| !below.is_empty());
    match below.as_slice() {
        [only] if own.is_empty() => only.clone(),
        _ => {
            own.extend(below.iter().flat_map(|below| below.iter()));
            own.sort_unstable();
            own.dedup();
            own.into()
        }
    }
}
