//! Laying the entries of an archive over the tree of a commit.

use super::member::{Member, MemberKind, about};
use super::stream::Members;
use super::{ArchiveSource, path};
use crate::commit::ingest::Source;
use crate::commit::rules::Verdict;
use crate::commit::scan::Scan;
use crate::commit::tree::{MutableTree, NodeId};
use crate::error::{RepoError, Result};
use crate::walk::{MAX_DEPTH, too_deep};
use ostler_format::{DirMeta, FileHeader, S_IFDIR, S_IFLNK, S_IFREG, Xattrs};
use std::io;

/// Files up to this many bytes go to the workers; with larger ones the queue would take too much memory.
const HANDED_OUT: u64 = 256 << 10;

/// The mode of directories that an archive lacks.
const PARENT_MODE: u32 = S_IFDIR | 0o755;

/// A hard link that is made when the archive has been read.
struct Link {
    directory: NodeId,
    name: String,
    /// The path of the file, as it belongs into the tree.
    target: String,
    /// The path of the entry, for messages.
    entry: Vec<u8>,
}

impl Scan<'_, '_> {
    /// Lays an archive over the tree.
    pub(in crate::commit) fn archive(&mut self, source: &ArchiveSource) -> Result<()> {
        let mut members = Members::open(&source.name, &source.file)?;
        let mut links = Vec::new();
        while let Some(member) = members.next()? {
            let entry = member.path.clone();
            self.member(source, &mut members, member, &mut links)
                .map_err(about(&source.name, &entry))?;
        }
        for link in links {
            self.link(&link).map_err(about(&source.name, &link.entry))?;
        }
        if source.create_parents
            && !self.tree.has_root()
            && let Verdict::Take(change) = self.paths.look_up("/", S_IFDIR)
        {
            self.set_meta(MutableTree::ROOT, parent_meta(), change)?;
        }
        Ok(())
    }

    fn member(
        &mut self,
        source: &ArchiveSource,
        members: &mut Members,
        mut member: Member,
        links: &mut Vec<Link>,
    ) -> Result<()> {
        let path = final_path(source, &member.path)?;
        let names = path::split(&path)?;
        if names.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        if self.shared.drops_archived_xattrs() {
            member.xattrs.clear();
        }
        let kind = std::mem::replace(&mut member.kind, MemberKind::Special);
        let Some((name, parents)) = names.split_last() else {
            return match kind {
                MemberKind::Directory => self.set_directory(None, "/", member),
                _ => Err(RepoError::Refused {
                    detail: "the root of a tree is a directory, and not what this is".to_owned(),
                }),
            };
        };
        let directory = self.parent(source, parents)?;
        let absolute = format!("/{}", names.join("/"));
        match kind {
            MemberKind::Directory => self.set_directory(Some((directory, name)), &absolute, member),
            MemberKind::Regular(map) => {
                let header = header_of(member, S_IFREG, String::new())?;
                self.content(directory, name, &absolute, header, map.size(), members)
            }
            MemberKind::Symlink(target) => {
                let header = header_of(member, S_IFLNK, utf8(target, "target of the symbolic link")?)?;
                self.content(directory, name, &absolute, header, 0, &mut io::empty())
            }
            MemberKind::HardLink(target) if !target.is_empty() => {
                if let Verdict::Take(_) = self.paths.look_up(&absolute, S_IFREG) {
                    links.push(Link {
                        directory,
                        name: (*name).to_owned(),
                        target: final_path(source, &target)?,
                        entry: member.path,
                    });
                }
                Ok(())
            }
            MemberKind::HardLink(_) | MemberKind::Special => Err(RepoError::Refused {
                detail: format!(
                    "Unsupported file type for path \"{}\"",
                    names.join("/").escape_debug()
                ),
            }),
        }
    }

    /// Finds the directory of an entry, and makes it if that is wanted.
    fn parent(&mut self, source: &ArchiveSource, names: &[&str]) -> Result<NodeId> {
        let mut node = MutableTree::ROOT;
        // An entry of the root needs no more than the root, which may come later.
        if source.create_parents && !names.is_empty() && !self.tree.has_root() {
            self.set_plain_meta(node, parent_meta())?;
        }
        for name in names {
            node = match self.tree.find_dir(node, name)? {
                Some(found) => found,
                None if source.create_parents => {
                    let made = self.tree.ensure_dir(node, name)?;
                    self.set_plain_meta(made, parent_meta())?;
                    made
                }
                None => return Err(no_such_file(name)),
            };
        }
        Ok(node)
    }

    /// Gives the root, or a directory made below another, the dirmeta of an entry.
    fn set_directory(&mut self, place: Option<(NodeId, &str)>, path: &str, member: Member) -> Result<()> {
        // As of a file: bits to be added are forgotten for directories on disk only.
        let Verdict::Take(change) = self.paths.look_up(path, S_IFREG) else {
            return Ok(());
        };
        let node = match place {
            Some((directory, name)) => self.tree.ensure_dir(directory, name)?,
            None => MutableTree::ROOT,
        };
        let mut meta = DirMeta {
            uid: member.uid,
            gid: member.gid,
            mode: S_IFDIR | member.mode,
            xattrs: xattrs(member.xattrs)?,
        };
        let DirMeta { uid, gid, mode, .. } = &mut meta;
        self.shared.rules.apply(uid, gid, mode, change);
        self.set_plain_meta(node, meta)
    }

    /// Makes a content object, here or by a worker.
    fn content(
        &mut self,
        directory: NodeId,
        name: &str,
        path: &str,
        header: FileHeader,
        size: u64,
        payload: &mut dyn io::Read,
    ) -> Result<()> {
        let Verdict::Take(change) = self.paths.look_up(path, S_IFREG) else {
            return Ok(());
        };
        let slot = self.tree.put_file(directory, name)?;
        if size <= HANDED_OUT {
            let mut bytes = Vec::new();
            crate::objects::store::read_whole(payload, size, &mut bytes)?;
            return self.submit(Source::Payload(header, bytes), slot, change);
        }
        let header = self.shared.ruled(header, change);
        let written = self
            .shared
            .transaction
            .write_content(&header, size, payload, None)?;
        self.tree.set_file(slot, written.checksum);
        Ok(())
    }

    /// Gives a file another name.
    fn link(&mut self, link: &Link) -> Result<()> {
        let names = path::split(&link.target)?;
        let (name, parents) = names.split_last().ok_or_else(|| no_such_file(&link.target))?;
        let mut node = MutableTree::ROOT;
        for parent in parents {
            node = self
                .tree
                .find_dir(node, parent)?
                .ok_or_else(|| no_such_file(parent))?;
        }
        if self.tree.find_dir(node, name)?.is_some() {
            let path = link.target.escape_debug();
            let detail = format!("Expected hardlink file target at \"{path}\" but found a directory");
            return Err(RepoError::Refused { detail });
        }
        let slot = self
            .tree
            .find_file(node, name)?
            .ok_or_else(|| no_such_file(name))?;
        self.tree.link_file(link.directory, &link.name, slot)
    }
}

/// Returns the path of an entry as text, changed if that is wanted.
fn final_path(source: &ArchiveSource, stored: &[u8]) -> Result<String> {
    let text = utf8(stored.to_vec(), "filename")?;
    match &source.rename {
        Some(rename) => rename.apply(path::relative(&text)),
        None => Ok(text),
    }
}

fn header_of(member: Member, kind: u32, symlink_target: String) -> Result<FileHeader> {
    let header = FileHeader {
        uid: member.uid,
        gid: member.gid,
        mode: kind | member.mode,
        symlink_target,
        xattrs: xattrs(member.xattrs)?,
    };
    header.check().map_err(RepoError::format("its header"))?;
    Ok(header)
}

fn xattrs(found: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Xattrs> {
    Xattrs::new(found).map_err(RepoError::format("extended attributes"))
}

fn parent_meta() -> DirMeta {
    DirMeta {
        uid: 0,
        gid: 0,
        mode: PARENT_MODE,
        xattrs: Xattrs::default(),
    }
}

fn utf8(bytes: Vec<u8>, what: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| RepoError::Refused {
        detail: format!("Invalid UTF-8 in {what} {}", error.as_bytes().escape_ascii()),
    })
}

fn no_such_file(name: &str) -> RepoError {
    RepoError::Refused {
        detail: format!("No such file or directory: {}", name.escape_debug()),
    }
}
