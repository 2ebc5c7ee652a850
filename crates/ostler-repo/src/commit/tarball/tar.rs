//! The entries of a tar archive: v7, POSIX, pax and GNU, as they come.
//!
//! What stands in front of an entry (long names of GNU, records of pax) is collected and put over what the header says.
//! Records about all entries that follow, of type `g`, are read over, as libarchive does. A regular file whose path ends with a slash is
//! a directory, as in v7; an unknown type is a regular file, as POSIX has it.
//!
//! An archive ends with a block of zeros. One that ends without is taken for cut short.

use super::input::Input;
use super::member::{MAX_TEXT, Member, MemberKind, about};
use super::stream::{Content, cut, header_error};
use crate::error::{RepoError, Result};
use ostler_format::tar::{
    ExtendedSparse, MAX_SPARSE_ENTRIES, PaxAttributes, SparseMap, SparseMapText, TAR_BLOCK, TarHeader,
    is_zero_block,
};
use std::path::Path;

type Block = [u8; TAR_BLOCK];

/// What is known between two entries.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether records of pax were seen: then all that is stored is said.
    pax: bool,
}

/// What was said in front of an entry.
#[derive(Debug, Default)]
struct Said {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: PaxAttributes,
    any: bool,
}

impl State {
    /// Reads the next entry; its content follows.
    pub(super) fn next(&mut self, name: &Path, input: &mut Input) -> Result<Option<(Member, Content)>> {
        let mut said = Said::default();
        loop {
            let Some(block) = next_block(input)? else {
                return Err(RepoError::corrupt(
                    "archive",
                    "its end is missing; is it cut short?",
                ));
            };
            if is_zero_block(&block) {
                return if said.any {
                    Err(RepoError::corrupt("archive", "it ends within an entry"))
                } else {
                    Ok(None)
                };
            }
            let header = TarHeader::parse(&block).map_err(header_error)?;
            match header.kind {
                b'L' => said.path = Some(until_nul(text(input, &header)?)),
                b'K' => said.link = Some(until_nul(text(input, &header)?)),
                b'x' | b'X' => {
                    said.pax = PaxAttributes::parse(&text(input, &header)?).map_err(header_error)?;
                    self.pax = true;
                }
                // The name of the volume, records about all entries, and access control lists of Solaris.
                b'V' | b'g' | b'A' => {
                    input.skip(filled(header.size)?).map_err(cut)?;
                    continue;
                }
                _ => return self.entry(name, input, &header, said).map(Some),
            }
            said.any = true;
        }
    }

    fn entry(
        &self,
        name: &Path,
        input: &mut Input,
        header: &TarHeader,
        said: Said,
    ) -> Result<(Member, Content)> {
        let Said {
            path, link, mut pax, ..
        } = said;
        let path = pax.path.take().or(path).unwrap_or_else(|| header.path.clone());
        let link = pax.link.take().or(link).unwrap_or_else(|| header.link.clone());
        let xattrs = std::mem::take(&mut pax.xattrs);
        let owner = (pax.uid.unwrap_or(header.uid), pax.gid.unwrap_or(header.gid));
        let made = self.body(input, header, &pax, &path, link);
        let (member, content) = made
            .and_then(|(kind, content)| Ok((Member::new(path.clone(), kind, header.mode, owner)?, content)))
            .map_err(about(name, &path))?;
        Ok((Member { xattrs, ..member }, content))
    }

    /// Finds out what an entry is, and what of it follows.
    fn body(
        &self,
        input: &mut Input,
        header: &TarHeader,
        pax: &PaxAttributes,
        path: &[u8],
        link: Vec<u8>,
    ) -> Result<(MemberKind, Content)> {
        let size = pax.size.unwrap_or(header.size);
        Ok(match header.kind {
            b'5' => (MemberKind::Directory, Content::none(0)),
            b'D' => (MemberKind::Directory, Content::none(filled(size)?)),
            b'2' => (MemberKind::Symlink(link), Content::none(0)),
            b'1' => {
                let follows = size > 0 && (self.pax || !header_follows(input)?);
                let padding = if follows { filled(size)? } else { 0 };
                (MemberKind::HardLink(link), Content::none(padding))
            }
            b'3' | b'4' | b'6' | b'M' | b'N' => (MemberKind::Special, Content::none(0)),
            _ if path.ends_with(b"/") => {
                if size > 0 {
                    return Err(RepoError::corrupt("entry", "it is a directory, and has content"));
                }
                (MemberKind::Directory, Content::none(0))
            }
            _ => {
                let (map, padding) = map_of(input, header, pax, size)?;
                (MemberKind::Regular(map.clone()), Content::new(map, padding))
            }
        })
    }
}

/// Returns which pieces of a regular file follow, and how many bytes that mean nothing come behind them.
fn map_of(input: &mut Input, header: &TarHeader, pax: &PaxAttributes, size: u64) -> Result<(SparseMap, u64)> {
    let mut before = 0;
    let map = if let Some(sparse) = &pax.sparse {
        let pieces = if sparse.in_content {
            let (pieces, read) = map_in_content(input, size)?;
            before = read;
            pieces
        } else {
            sparse.pieces.clone()
        };
        SparseMap::new(pieces, sparse.size)
    } else if let Some(sparse) = &header.sparse {
        SparseMap::new(
            all_pieces(input, sparse.pieces.clone(), sparse.extended)?,
            sparse.size,
        )
    } else {
        Ok(SparseMap::whole(size))
    };
    let map = map.map_err(header_error)?;
    if map.size() > i64::MAX.cast_unsigned() {
        return Err(RepoError::corrupt(
            "entry",
            format!("{} bytes are more than any file has", map.size()),
        ));
    }
    if map.stored().checked_add(before) != Some(size) {
        let detail = format!("its map has {} bytes, and {size} follow", map.stored());
        return Err(RepoError::corrupt("entry", detail));
    }
    Ok((map, filled(size)? - size))
}

/// Reads the map of version 1.0; returns how many bytes it takes as well.
fn map_in_content(input: &mut Input, size: u64) -> Result<(Vec<(u64, u64)>, u64)> {
    let mut text = SparseMapText::new();
    let mut read = 0;
    while read < size {
        let block = next_block(input)?.ok_or_else(|| cut(std::io::ErrorKind::UnexpectedEof.into()))?;
        read += TAR_BLOCK as u64;
        if let Some(pieces) = text.feed(&block).map_err(header_error)? {
            return Ok((pieces, read));
        }
    }
    Err(RepoError::corrupt("entry", "its map of pieces does not end"))
}

/// Reads the blocks with more pieces that follow the header of GNU's own type.
fn all_pieces(input: &mut Input, mut pieces: Vec<(u64, u64)>, mut extended: bool) -> Result<Vec<(u64, u64)>> {
    while extended {
        let block = next_block(input)?.ok_or_else(|| cut(std::io::ErrorKind::UnexpectedEof.into()))?;
        let more = ExtendedSparse::parse(&block).map_err(header_error)?;
        pieces.extend(more.pieces);
        extended = more.extended;
        if pieces.len() as u64 > MAX_SPARSE_ENTRIES {
            break;
        }
    }
    Ok(pieces)
}

/// Returns whether a header or the end comes next: then what a hard link says of its size is that of its target.
fn header_follows(input: &mut Input) -> Result<bool> {
    let next = input.peek(TAR_BLOCK).map_err(cut)?;
    let block: Option<&Block> = next.first_chunk();
    Ok(block.is_none_or(|block| is_zero_block(block) || TarHeader::has_checksum(block)))
}

fn next_block(input: &mut Input) -> Result<Option<Block>> {
    let mut block = [0; TAR_BLOCK];
    let there = input.fill(&mut block).map_err(cut)?;
    Ok(there.then_some(block))
}

/// Reads what an entry holds that says something about the next.
fn text(input: &mut Input, header: &TarHeader) -> Result<Vec<u8>> {
    if header.size > MAX_TEXT {
        let detail = format!("{} bytes about one entry, more than {MAX_TEXT}", header.size);
        return Err(RepoError::corrupt("archive", detail));
    }
    let length = usize::try_from(header.size).unwrap_or_default();
    let bytes = input.piece(length).map_err(cut)?;
    input.skip(filled(header.size)? - header.size).map_err(cut)?;
    Ok(bytes)
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// Returns a size with what fills it up to a block.
fn filled(size: u64) -> Result<u64> {
    size.checked_next_multiple_of(TAR_BLOCK as u64)
        .ok_or_else(|| RepoError::corrupt("entry", format!("{size} bytes are more than any archive has")))
}
