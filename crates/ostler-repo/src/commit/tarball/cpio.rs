//! The entries of a cpio archive in the form `newc`.
//!
//! A file of several names is stored once for each, and its content usually with the last one. Names without content
//! wait until that comes; then they are hard links to it.

use super::input::Input;
use super::member::{Member, MemberKind, about};
use super::stream::{Content, cut, header_error};
use crate::error::{RepoError, Result};
use ostler_format::tar::{CPIO_HEADER, CpioHeader, SparseMap};
use ostler_format::{S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

/// The name of what ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";
/// The longest target of a symbolic link, with room for a NUL.
const MAX_TARGET: u32 = 4096;

/// A file on its device.
type Inode = (u32, u32, u32);

/// What is known between two entries.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Names without content of files that have several, and the header of the first.
    waiting: HashMap<Inode, (CpioHeader, VecDeque<Vec<u8>>)>,
    /// The path under which the content of such a file was met.
    met: HashMap<Inode, Vec<u8>>,
    /// Entries to be given out before the next one is read.
    ready: VecDeque<Member>,
    ended: bool,
}

impl State {
    /// Reads the next entry; its content follows.
    pub(super) fn next(&mut self, name: &Path, input: &mut Input) -> Result<Option<(Member, Content)>> {
        loop {
            if let Some(member) = self.ready.pop_front() {
                return Ok(Some((member, Content::none(0))));
            }
            if self.ended {
                return Ok(None);
            }
            let (header, path) = read_header(input)?;
            if path == TRAILER {
                self.ended = true;
                self.release_all()?;
                continue;
            }
            if let Some(found) = self.entry(input, header, &path).map_err(about(name, &path))? {
                return Ok(Some(found));
            }
        }
    }

    /// Makes an entry of what was read; `None` if it waits.
    fn entry(
        &mut self,
        input: &mut Input,
        header: CpioHeader,
        path: &[u8],
    ) -> Result<Option<(Member, Content)>> {
        let size = u64::from(header.size);
        let padding = size.next_multiple_of(4) - size;
        let (kind, content) = match header.mode & S_IFMT {
            S_IFDIR => (MemberKind::Directory, Content::none(size + padding)),
            S_IFREG => {
                let inode = (header.device.0, header.device.1, header.inode);
                if header.links > 1 {
                    if header.size == 0 {
                        self.wait(inode, header, path)?;
                        return Ok(None);
                    }
                    self.release(inode, path)?;
                }
                let map = SparseMap::whole(size);
                (MemberKind::Regular(map.clone()), Content::new(map, padding))
            }
            S_IFLNK => {
                if header.size > MAX_TARGET {
                    return Err(RepoError::corrupt(
                        "entry",
                        "a symbolic link with too long a target",
                    ));
                }
                let target = input
                    .piece(usize::try_from(header.size).unwrap_or_default())
                    .map_err(cut)?;
                (MemberKind::Symlink(target), Content::none(padding))
            }
            _ => (MemberKind::Special, Content::none(size + padding)),
        };
        Ok(Some((member_of(&header, path.to_vec(), kind)?, content)))
    }

    /// Keeps a name for later, or makes a link of it if the content is known.
    fn wait(&mut self, inode: Inode, header: CpioHeader, path: &[u8]) -> Result<()> {
        if let Some(target) = self.met.get(&inode) {
            let kind = MemberKind::HardLink(target.clone());
            self.ready.push_back(member_of(&header, path.to_vec(), kind)?);
            return Ok(());
        }
        let (_, names) = self
            .waiting
            .entry(inode)
            .or_insert_with(|| (header, VecDeque::new()));
        names.push_back(path.to_vec());
        Ok(())
    }

    /// Makes links of the names that waited for the content that is at `path`.
    fn release(&mut self, inode: Inode, path: &[u8]) -> Result<()> {
        self.met.insert(inode, path.to_vec());
        let Some((header, names)) = self.waiting.remove(&inode) else {
            return Ok(());
        };
        for name in names {
            let kind = MemberKind::HardLink(path.to_vec());
            self.ready.push_back(member_of(&header, name, kind)?);
        }
        Ok(())
    }

    /// Makes empty files of all names that still wait.
    fn release_all(&mut self) -> Result<()> {
        for (_, (header, mut names)) in std::mem::take(&mut self.waiting) {
            let Some(first) = names.pop_front() else {
                continue;
            };
            for name in names {
                let kind = MemberKind::HardLink(first.clone());
                self.ready.push_back(member_of(&header, name, kind)?);
            }
            let kind = MemberKind::Regular(SparseMap::whole(0));
            self.ready.push_back(member_of(&header, first, kind)?);
        }
        Ok(())
    }
}

fn member_of(header: &CpioHeader, path: Vec<u8>, kind: MemberKind) -> Result<Member> {
    let owner = (u64::from(header.uid), u64::from(header.gid));
    Member::new(path, kind, header.mode, owner)
}

/// Reads a header and the name behind it.
fn read_header(input: &mut Input) -> Result<(CpioHeader, Vec<u8>)> {
    let mut bytes = [0; CPIO_HEADER];
    if !input.fill(&mut bytes).map_err(cut)? {
        return Err(cut(io::ErrorKind::UnexpectedEof.into()));
    }
    let header = CpioHeader::parse(&bytes).map_err(header_error)?;
    let length = usize::try_from(header.name_length).unwrap_or_default();
    let mut name = input.piece(length).map_err(cut)?;
    let end = CPIO_HEADER + length;
    input.skip((end.next_multiple_of(4) - end) as u64).map_err(cut)?;
    if name.pop() != Some(0) {
        return Err(RepoError::corrupt("archive", "a name without its end"));
    }
    Ok((header, name))
}
