//! Going through the tree of a checkout: makes the directories, hands the files out.

use super::directory::{Merge, Place};
use super::file::Job;
use super::options::{HardLinks, Overwrite, check_device};
use super::whiteout::is_opaque;
use super::{CheckoutOptions, Shared};
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::walk::{MAX_DEPTH, load_tree, push_name, too_deep};
use crossbeam_channel::Sender;
use ostler_format::{Checksum, DirMeta, DirTree, TreeDir};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A directory that is being gone through.
struct Frame {
    place: Arc<Place>,
    below: std::vec::IntoIter<TreeDir>,
    /// The length of the path of the directory above.
    above: usize,
}

/// The dirmetas that were met: there are few that differ.
#[derive(Default)]
struct Metas(HashMap<Checksum, Arc<DirMeta>>);

impl Metas {
    fn load(&mut self, shared: &Shared<'_>, checksum: &Checksum) -> Result<Arc<DirMeta>> {
        if let Some(meta) = self.0.get(checksum) {
            return Ok(Arc::clone(meta));
        }
        let meta = Arc::new(shared.repo.load_dirmeta(checksum)?);
        self.0.insert(*checksum, Arc::clone(&meta));
        Ok(meta)
    }
}

impl Shared<'_> {
    /// Makes the directories and hands the files out. Returns how many directories there are, and the top one.
    pub(super) fn walk(
        &self,
        destination: &Path,
        tree: &Checksum,
        meta: &Checksum,
        jobs: &Sender<Job>,
    ) -> Result<(u64, Dir)> {
        let mut path = String::from("/");
        let mut directories = 1;
        let mut metas = Metas::default();
        let contents = load_tree(self.repo, tree, &path)?;
        let root_meta = metas.load(self, meta)?;
        let (root, fresh) = self.make_destination(destination, is_opaque(self.options, &contents))?;
        if self.options.hard_links == HardLinks::Require {
            check_device(self.repo, &root)?;
        }
        let place = Place::new(root.clone(), fresh, root_meta, None);
        let mut stack = vec![self.enter(place, contents, &mut path, 0, jobs)?];
        while let Some(frame) = stack.last_mut() {
            let Some(dir) = frame.below.next() else {
                path.truncate(frame.above);
                if let Some(frame) = stack.pop() {
                    Place::leave(frame.place, self.options)?;
                }
                continue;
            };
            if stack.len() >= MAX_DEPTH {
                return Err(too_deep());
            }
            let Some(frame) = stack.last() else { continue };
            let above = path.len();
            push_name(&mut path, &dir.name);
            if skips_directory(self.options, &path) {
                path.truncate(above);
                continue;
            }
            let contents = load_tree(self.repo, &dir.tree, &path)?;
            if is_opaque(self.options, &contents) {
                let failed = RepoError::io("remove", frame.place.dir.path_of(&*dir.name));
                frame.place.dir.remove_tree(&*dir.name).map_err(failed)?;
            }
            let merge = Merge {
                allowed: self.options.overwrite != Overwrite::Never,
                root: &root,
                path: &path,
            };
            let place = Place::below(&frame.place, &dir.name, metas.load(self, &dir.meta)?, &merge)?;
            directories += 1;
            stack.push(self.enter(place, contents, &mut path, above, jobs)?);
        }
        Ok((directories, root))
    }

    /// Obeys the whiteouts of a directory, then hands its files out.
    fn enter(
        &self,
        place: Arc<Place>,
        contents: DirTree,
        path: &mut String,
        above: usize,
        jobs: &Sender<Job>,
    ) -> Result<Frame> {
        let mut files = contents.files;
        if !self.options.skip.is_empty() {
            files.retain(|file| !skips_file(self.options, path, &file.name));
        }
        if self.options.whiteouts {
            let mut kept = Vec::with_capacity(files.len());
            for file in files {
                if !self.white_out(&place.dir, &file.name, &file.checksum)? {
                    kept.push(file);
                }
            }
            files = kept;
        }
        self.found.fetch_add(files.len() as u64, Ordering::Relaxed);
        for file in files {
            let job = Job {
                place: Arc::clone(&place),
                name: file.name,
                checksum: file.checksum,
            };
            if self.failed.load(Ordering::Relaxed) || jobs.send(job).is_err() {
                // What failed was a worker, and its failure is what will be reported.
                return Err(RepoError::Refused {
                    detail: "the checkout was given up".to_owned(),
                });
            }
        }
        Ok(Frame {
            place,
            below: contents.dirs.into_iter(),
            above,
        })
    }
}

/// Returns whether a file of the directory at `path` is left out.
fn skips_file(options: &CheckoutOptions, path: &mut String, name: &str) -> bool {
    let above = path.len();
    push_name(path, name);
    let skipped = options.skip.contains(&*path);
    path.truncate(above);
    skipped
}

/// Returns whether the directory at `path` is left out.
pub(super) fn skips_directory(options: &CheckoutOptions, path: &str) -> bool {
    !options.skip.is_empty() && options.skip.contains(&format!("{}/", path.trim_end_matches('/')))
}
