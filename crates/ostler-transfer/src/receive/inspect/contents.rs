//! What a commit consists of: how much, how deep, and of which classes.
//!
//! Depth is looked at for every commit: each tree is read once for all commits of a push. Objects are counted and their files looked at
//! only where rules ask for it, and headers are read only of what the ref did not lead to before.

use super::super::rules::{Class, Measure, PushLimits};
use crate::error::{Damage, Result, TransferError};
use crate::planner::missing_dirtree;
use ostler_format::{Checksum, Commit, DirMeta, DirTree, ObjectName, ObjectType, Xattrs};
use ostler_repo::Repo;
use std::collections::{HashMap, HashSet};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o0002;
const CAPABILITY: &[u8] = b"security.capability";

/// Looks at commits that lie in quarantine.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    quarantine: &'a Repo,
    target: &'a Repo,
    limits: &'a PushLimits,
    /// How many directories lie within each other below a tree.
    heights: HashMap<Checksum, u64>,
    forbid: Vec<Class>,
    /// What the ref led to before, where classes are forbidden; then also what was looked at.
    known: HashSet<ObjectName>,
}

/// A directory on the way down.
struct Frame {
    tree: Checksum,
    rest: Vec<Checksum>,
    height: u64,
}

impl<'a> Contents<'a> {
    pub(super) fn new(quarantine: &'a Repo, target: &'a Repo, limits: &'a PushLimits) -> Self {
        Self {
            quarantine,
            target,
            limits,
            heights: HashMap::new(),
            forbid: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// Begins with the commits of a ref that named `old`.
    pub(super) fn begin(&mut self, old: Option<Checksum>, forbid: &[Class]) {
        self.forbid = forbid.to_vec();
        self.known.clear();
        if let Some(old) = old.filter(|_| !forbid.is_empty())
            // Of one that is not whole everything is looked at.
            && let Ok(list) = self.target.walk_list(&old)
        {
            self.known.extend(list.names());
        }
    }

    /// Looks at a commit; returns what it may not have.
    pub(super) fn look(&mut self, id: &Checksum, commit: &Commit) -> Result<Option<String>> {
        let what = format!("commit {id}");
        let most = self.limits.most(Measure::Depth).unwrap_or(u64::MAX);
        let depth = self.height(commit.root_tree, most)?;
        self.limits.check(Measure::Depth, depth, &what)?;
        let is_counted = [Measure::Commit, Measure::Entries]
            .iter()
            .any(|measure| self.limits.most(*measure).is_some());
        if !is_counted && self.forbid.is_empty() {
            return Ok(None);
        }
        let list = self.quarantine.walk_list(id).map_err(missing_dirtree)?;
        self.limits.check(Measure::Entries, list.len() as u64, &what)?;
        let sizes = list
            .entries()
            .map(|listed| listed.size.map_or(0, std::num::NonZero::get));
        self.limits.check(Measure::Commit, sizes.sum(), &what)?;
        if self.forbid.is_empty() {
            return Ok(None);
        }
        for name in list.names() {
            if self.known.insert(name)
                && let Some(class) = self.forbidden(&name)?
            {
                let place = place_of(self.quarantine, commit, &name)?;
                let class = class.word();
                return Ok(Some(format!(
                    "may not lead to {class}: '{place}' of {id} is ({name})"
                )));
            }
        }
        Ok(None)
    }

    /// Returns how many directories lie within each other below a tree, or `most + 1` where these are more.
    fn height(&mut self, root: Checksum, most: u64) -> Result<u64> {
        if let Some(known) = self.heights.get(&root) {
            return Ok(*known);
        }
        let mut way = vec![self.frame(root)?];
        loop {
            let Some(here) = way.last_mut() else { return Ok(0) };
            if let Some(below) = here.rest.pop() {
                if let Some(height) = self.heights.get(&below) {
                    here.height = here.height.max(height + 1);
                } else if way.len() as u64 > most {
                    return Ok(most.saturating_add(1));
                } else {
                    let frame = self.frame(below)?;
                    way.push(frame);
                }
                continue;
            }
            let (tree, height) = (here.tree, here.height);
            self.heights.insert(tree, height);
            way.pop();
            match way.last_mut() {
                Some(above) => above.height = above.height.max(height + 1),
                None => return Ok(height),
            }
        }
    }

    fn frame(&self, tree: Checksum) -> Result<Frame> {
        let read = tree_of(self.quarantine, &tree)?;
        Ok(Frame {
            tree,
            rest: read.dirs.iter().map(|dir| dir.tree).collect(),
            height: 0,
        })
    }

    /// Returns a class to which an object belongs that is forbidden.
    fn forbidden(&self, name: &ObjectName) -> Result<Option<Class>> {
        let (mode, xattrs, is_dir) = match name.kind {
            ObjectType::File => {
                let opened = self.quarantine.open_content(&name.checksum);
                let content = opened.map_err(|fault| Damage::wrap(*name, fault))?;
                let header = content.header();
                let mode = if header.is_symlink() { 0 } else { header.mode };
                (mode, header.xattrs.clone(), false)
            }
            ObjectType::DirMeta => {
                let loaded = self.quarantine.load_metadata(name);
                let bytes = loaded.map_err(|fault| Damage::wrap(*name, fault))?;
                let meta = DirMeta::parse(&bytes).map_err(TransferError::format(name))?;
                (meta.mode, meta.xattrs, true)
            }
            _ => return Ok(None),
        };
        let belongs = |class: &&Class| belongs(**class, mode, &xattrs, is_dir);
        Ok(self.forbid.iter().find(belongs).copied())
    }
}

fn belongs(class: Class, mode: u32, xattrs: &Xattrs, is_dir: bool) -> bool {
    match class {
        Class::Setuid => mode & SETUID != 0,
        Class::Setgid => mode & SETGID != 0,
        Class::WorldWritable => mode & OTHERS_WRITE != 0 && !(is_dir && mode & STICKY != 0),
        Class::Xattrs => !xattrs.is_empty(),
        Class::Capabilities => xattrs.get(CAPABILITY).is_some(),
    }
}

fn tree_of(repo: &Repo, tree: &Checksum) -> Result<DirTree> {
    let name = ObjectName::new(*tree, ObjectType::DirTree);
    let bytes = repo
        .load_metadata(&name)
        .map_err(|fault| Damage::wrap(name, fault))?;
    DirTree::parse(&bytes).map_err(TransferError::format(name))
}

/// Returns a path at which a commit has an object.
fn place_of(repo: &Repo, commit: &Commit, wanted: &ObjectName) -> Result<String> {
    let is_it = |kind: ObjectType, checksum: Checksum| *wanted == ObjectName::new(checksum, kind);
    if is_it(ObjectType::DirMeta, commit.root_meta) {
        return Ok("/".to_owned());
    }
    let mut seen = HashSet::new();
    let mut left = vec![(commit.root_tree, String::new())];
    while let Some((tree, path)) = left.pop() {
        if !seen.insert(tree) {
            continue;
        }
        let tree = tree_of(repo, &tree)?;
        let file = tree
            .files
            .iter()
            .find(|file| is_it(ObjectType::File, file.checksum));
        let dir = tree.dirs.iter().find(|dir| is_it(ObjectType::DirMeta, dir.meta));
        let found = file.map(|file| &file.name).or_else(|| dir.map(|dir| &dir.name));
        if let Some(name) = found {
            return Ok(format!("{path}/{name}"));
        }
        let below = tree
            .dirs
            .iter()
            .map(|dir| (dir.tree, format!("{path}/{}", dir.name)));
        left.extend(below);
    }
    Ok("?".to_owned())
}
