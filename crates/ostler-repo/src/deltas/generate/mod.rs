//! Making static deltas.
//!
//! 1. What is new in a commit is found, and for each new file the one that it may resemble ([`pairs`]).
//! 2. The two are [compared](compare), and the [form](form) in which the file takes least is chosen ([`encode`]); several
//!    files at once.
//! 3. All that is not to be fetched by itself is divided into parts ([`layout`]), which are [compressed](pack) and written,
//!    several at once.
//! 4. The superblock follows, and the whole is [put in place](place) in one step.
//!
//! The same commits and options give the same bytes (but for the time of making), however many threads are at work. Memory:
//! what comparing and compressing take at once is bounded by [`DeltaOptions::memory_bytes`]; beside it stand some hundred
//! bytes for each new file and some fifty for each file of the commit from which the delta leads.
//!
//! Objects are read under the shared lock of the repository, so that no prune takes them away meanwhile. Signing is done without
//! any lock. Then, under the exclusive lock: the delta is taken out of the index of its target commit, shown, and entered again
//! with its new digest, so that no index ever names a digest that the superblock has no more.

mod compare;
mod encode;
mod form;
mod layout;
mod memory;
mod pack;
mod pairs;
pub(in crate::deltas) mod place;

pub(crate) use place::PREFIX;

use super::{digest_of, workers};
use crate::error::{RepoError, Result};
use crate::lock::LockKind;
use crate::repo::Repo;
use crate::sign::{Signer, sign_all};
use encode::{Encoded, Encoder, Patches, Shape};
use layout::{Item, divide};
use memory::Memory;
use ostler_format::delta::{ByteOrder, Compression, Fallback, PartHeader, SignedSuperblock, Superblock};
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, DeltaName, MAX_METADATA_SIZE, ObjectName, ObjectType};
use pack::Packer;
use place::Place;
use std::path::PathBuf;

/// The unit of sizes in stock's options.
pub const MEGABYTE: u64 = 1_000_000;
/// What comparing and compressing may take at once unless told otherwise: two parts of the largest window.
pub const DEFAULT_MEMORY_BYTES: u64 = 768 << 20;

/// How a delta is made.
#[derive(Debug, Clone)]
pub struct DeltaOptions {
    /// New files above this size are left to be fetched as objects; 0 puts all into parts.
    pub min_fallback_bytes: u64,
    /// Two files that together are smaller than this may make a patch.
    pub max_bsdiff_bytes: u64,
    /// The payload of a part, before compression, unless one object alone is larger.
    pub max_chunk_bytes: u64,
    /// Whether patches are made at all.
    pub bsdiff: bool,
    /// Whether parts lie in the superblock.
    pub inline: bool,
    /// The byte order of sizes.
    pub byte_order: ByteOrder,
    /// The time of making, in seconds since the epoch.
    pub timestamp: u64,
    /// Where the superblock is written, with parts beside it, in place of the repository.
    pub filename: Option<PathBuf>,
    /// Who signs the superblock, which is then written in the form that only some commands know.
    pub signers: Vec<Signer>,
    /// How many threads are at work.
    pub threads: usize,
    /// How many bytes comparing and compressing may take at once.
    pub memory_bytes: u64,
}

impl Default for DeltaOptions {
    /// Stock's sizes; one thread; made at the epoch.
    fn default() -> Self {
        Self {
            min_fallback_bytes: 4 * MEGABYTE,
            max_bsdiff_bytes: 128 * MEGABYTE,
            max_chunk_bytes: 32 * MEGABYTE,
            bsdiff: true,
            inline: false,
            byte_order: ByteOrder::Little,
            timestamp: 0,
            filename: None,
            signers: Vec::new(),
            threads: 1,
            memory_bytes: DEFAULT_MEMORY_BYTES,
        }
    }
}

/// What is told of the making of a delta, from any thread.
pub trait DeltaReporter: Sync {
    /// So many of the new files have been looked at.
    fn encoded(&self, _done: usize, _total: usize) {}
    /// So many of the parts are written.
    fn packed(&self, _done: usize, _total: usize) {}
}

/// Tells nobody.
impl DeltaReporter for () {}

/// A part that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSummary {
    /// How many objects it makes.
    pub objects: usize,
    /// The size of its file.
    pub compressed_bytes: u64,
    /// The sum of the sizes of its objects.
    pub uncompressed_bytes: u64,
}

/// What a delta came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeltaStats {
    /// New files that resemble one of the other commit.
    pub modified_objects: usize,
    /// New dirtrees, dirmetas and the commit.
    pub new_metadata_objects: usize,
    /// New regular files.
    pub new_regular_objects: usize,
    /// New symbolic links.
    pub new_symlink_objects: usize,
    /// Files that are put together from rows of another.
    pub rollsum_objects: usize,
    /// The sizes of these.
    pub rollsum_bytes: u64,
    /// Files that are patches of another.
    pub bsdiff_objects: usize,
    /// Objects that are to be fetched by themselves, with the sizes of their content.
    pub fallbacks: Vec<(Checksum, u64)>,
    /// The parts.
    pub parts: Vec<PartSummary>,
    /// The sizes of the same objects as they are stored.
    pub loose_bytes: u64,
}

impl Repo {
    /// Makes the delta between two commits, or from nothing to one. One that is there already is replaced in one step.
    ///
    /// # Errors
    /// [`RepoError::NotFound`], [`RepoError::Missing`] and [`RepoError::Incomplete`] for commits that are not there or not
    /// whole; [`RepoError::Invalid`] for a superblock that clients would refuse for its size; [`RepoError::Signing`];
    /// [`RepoError::Io`], [`RepoError::ReadOnly`].
    pub fn generate_delta(
        &self,
        from: Option<&Checksum>,
        to: &Checksum,
        options: &DeltaOptions,
        reporter: &dyn DeltaReporter,
    ) -> Result<DeltaStats> {
        let name = DeltaName {
            from: from.copied(),
            to: *to,
        };
        let signed = !options.signers.is_empty();
        if signed && options.filename.is_none() {
            self.refuse_signed_over_announced(&name)?;
        }
        let guard = self.lock(LockKind::Shared)?;
        let commit = self.load_metadata(&ObjectName::new(*to, ObjectType::Commit))?;
        let making = Making {
            repo: self,
            options,
            reporter,
            memory: Memory::new(options.memory_bytes),
            patches: Patches::new(self.tmp()?)?,
        };
        let changes = pairs::find(self, from, to)?;
        let files = making.encode(&changes.files)?;
        let metadata = making.metadata(changes.new.dirtrees, changes.new.dirmetas)?;
        // The commit, which the superblock holds, is one of them.
        let mut stats = stats_of(&files, metadata.len() + 1);
        let items = ordered(metadata, &files);
        let parts = divide(&items, options.max_chunk_bytes);
        let place = match &options.filename {
            Some(path) => Place::in_file(self, path)?,
            None => Place::in_repository(self, name)?,
        };
        let mut superblock = Superblock {
            metadata: VarDict::new(),
            timestamp: options.timestamp,
            from: from.copied(),
            to: *to,
            commit,
            parts: Vec::with_capacity(parts.len()),
            fallbacks: fallbacks_of(&files),
            byte_order: options.byte_order,
        };
        superblock
            .metadata
            .insert(ByteOrder::KEY, options.byte_order.to_value());
        if let Some(detached) = self.load_detached(to)? {
            superblock
                .metadata
                .insert(Superblock::detached_key(&name), detached.to_value());
        }
        for (index, (header, inline)) in making.pack(&parts, &place)?.into_iter().enumerate() {
            stats.parts.push(summary_of(&header));
            if let Some(bytes) = inline {
                let key = Superblock::inline_key(&name, index);
                superblock
                    .metadata
                    .insert(key, Superblock::inline_value(Compression::Xz, bytes));
            }
            superblock.parts.push(header);
        }
        stats.loose_bytes = making.loose_bytes(&items)?;
        // Who signs may take long: nobody is to wait for that.
        guard.release()?;
        place.write(&making.superblock_bytes(&superblock)?)?;
        match &place {
            Place::Repository { .. } => self.show_generated(&place, &name, signed)?,
            Place::File { .. } => place.show()?,
        }
        Ok(stats)
    }

    /// Lets a delta be seen, in place of one of the same name, and brings the index of its target commit in line, if there is one.
    fn show_generated(&self, place: &Place<'_>, name: &DeltaName, signed: bool) -> Result<()> {
        let guard = self.lock(LockKind::Exclusive)?;
        if !self.has_object(&ObjectName::new(name.to, ObjectType::Commit))? {
            return Err(RepoError::not_found(format!("commit {}", name.to)));
        }
        if signed {
            self.refuse_signed_over_announced(name)?;
        }
        let indexed = self.list_delta_indexes()?.contains(&name.to);
        if indexed {
            self.index_deltas_to(&name.to, |other| other != name)?;
        }
        place.show()?;
        if indexed {
            self.index_deltas_to(&name.to, |_| true)?;
        }
        guard.release()
    }

    /// Refuses to put a signed delta where clients that cannot read it look for one that they were told of.
    fn refuse_signed_over_announced(&self, name: &DeltaName) -> Result<()> {
        let there = digest_of(self.root(), &format!("{}/superblock", name.path()))?;
        if there.is_some() && self.announced_deltas(&name.to)?.contains(name) {
            let detail = "clients are told of the unsigned one, and cannot read a signed one: write it to a file of its own, or \
                          delete the unsigned one first";
            return Err(RepoError::invalid(format!("signed static delta {name}"), detail));
        }
        Ok(())
    }
}

/// A delta that is being made.
struct Making<'a> {
    repo: &'a Repo,
    options: &'a DeltaOptions,
    reporter: &'a dyn DeltaReporter,
    memory: Memory,
    patches: Patches,
}

impl Making<'_> {
    fn encode(&self, files: &[pairs::NewFile]) -> Result<Vec<Encoded>> {
        let encoder = Encoder::new(self.repo, self.options, &self.memory, &self.patches);
        let order: Vec<usize> = (0..files.len()).collect();
        workers::in_order(
            files,
            &order,
            self.options.threads,
            |file| encoder.encode(file),
            |done| self.reporter.encoded(done, files.len()),
        )
    }

    /// Returns the new metadata with its sizes.
    fn metadata(&self, dirtrees: Vec<Checksum>, dirmetas: Vec<Checksum>) -> Result<Vec<(ObjectName, u64)>> {
        let named = |kind| move |checksum| ObjectName::new(checksum, kind);
        let trees = dirtrees.into_iter().map(named(ObjectType::DirTree));
        let metas = dirmetas.into_iter().map(named(ObjectType::DirMeta));
        trees
            .chain(metas)
            .map(|name| Ok((name, self.repo.object_size(&name)?)))
            .collect()
    }

    /// Writes the parts; returns their headers, with the bytes of those that go into the superblock.
    fn pack(&self, parts: &[Vec<Item<'_>>], place: &Place<'_>) -> Result<Vec<(PartHeader, Option<Vec<u8>>)>> {
        let packer = Packer {
            repo: self.repo,
            patches: &self.patches,
            memory: &self.memory,
        };
        // The largest first, so that none is left for one thread at the end.
        let payload = |part: &[Item<'_>]| part.iter().map(Item::payload).fold(0, u64::saturating_add);
        let numbered: Vec<(usize, &Vec<Item<'_>>)> = parts.iter().enumerate().collect();
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|number| std::cmp::Reverse(parts.get(*number).map(|part| payload(part))));
        let work = |(index, part): &(usize, &Vec<Item<'_>>)| {
            if self.options.inline {
                let (header, mut bytes) = packer.pack(part, Vec::new())?;
                // The byte of the compression stands beside the others there.
                bytes.remove(0);
                return Ok((header, Some(bytes)));
            }
            let (header, temp) = packer.pack(part, place.part()?)?;
            place.name_part(*index, temp)?;
            Ok((header, None))
        };
        workers::in_order(&numbered, &order, self.options.threads, work, |done| {
            self.reporter.packed(done, parts.len());
        })
    }

    /// Returns what the objects in parts take as they are stored.
    fn loose_bytes(&self, items: &[Item<'_>]) -> Result<u64> {
        let mut sum = 0;
        for item in items {
            let size: u64 = match item {
                Item::Metadata(_, size) => *size,
                Item::File(file) => {
                    let name = ObjectName::new(file.checksum, ObjectType::File);
                    self.repo.object_size(&name)?
                }
            };
            sum = size.saturating_add(sum);
        }
        Ok(sum)
    }

    fn superblock_bytes(&self, superblock: &Superblock) -> Result<Vec<u8>> {
        let bytes = superblock.to_bytes();
        let size = bytes.len() as u64;
        if self.options.filename.is_none() && size > MAX_METADATA_SIZE {
            let detail = format!(
                "of {size} bytes is more than clients fetch; parts that are files (without --inline) make it smaller"
            );
            return Err(RepoError::invalid("superblock", detail));
        }
        if self.options.signers.is_empty() {
            return Ok(bytes);
        }
        let signatures = sign_all(&bytes, &self.options.signers)?;
        let signed = SignedSuperblock {
            superblock: bytes,
            signatures,
        };
        Ok(signed.to_bytes())
    }
}

/// Puts what goes into parts in order: metadata, files that are put together, those that are whole, symbolic links.
fn ordered(metadata: Vec<(ObjectName, u64)>, files: &[Encoded]) -> Vec<Item<'_>> {
    let rank = |file: &Encoded| match file.shape {
        Shape::Rows { .. } => 0,
        Shape::Patch { .. } => 1,
        Shape::Whole => 2,
        Shape::Link => 3,
        Shape::Fallback { .. } => 4,
    };
    let mut files: Vec<&Encoded> = files
        .iter()
        .filter(|file| !matches!(file.shape, Shape::Fallback { .. }))
        .collect();
    files.sort_by_key(|file| rank(file));
    metadata
        .into_iter()
        .map(|(name, size)| Item::Metadata(name, size))
        .chain(files.into_iter().map(Item::File))
        .collect()
}

fn fallbacks_of(files: &[Encoded]) -> Vec<Fallback> {
    let fallback = |file: &Encoded| match file.shape {
        Shape::Fallback { stored } => Some(Fallback {
            checksum: file.checksum,
            size: stored,
            unpacked: file.size,
        }),
        _ => None,
    };
    files.iter().filter_map(fallback).collect()
}

fn summary_of(header: &PartHeader) -> PartSummary {
    PartSummary {
        objects: header.objects.len(),
        compressed_bytes: header.size,
        uncompressed_bytes: header.unpacked,
    }
}

fn stats_of(files: &[Encoded], metadata: usize) -> DeltaStats {
    let mut stats = DeltaStats {
        new_metadata_objects: metadata,
        ..DeltaStats::default()
    };
    for file in files {
        stats.modified_objects += usize::from(file.similar);
        if file.header.is_symlink() {
            stats.new_symlink_objects += 1;
        } else {
            stats.new_regular_objects += 1;
        }
        match &file.shape {
            Shape::Rows { .. } => {
                stats.rollsum_objects += 1;
                stats.rollsum_bytes = stats.rollsum_bytes.saturating_add(file.size);
            }
            Shape::Patch { .. } => stats.bsdiff_objects += 1,
            Shape::Fallback { .. } => stats.fallbacks.push((file.checksum, file.size)),
            Shape::Whole | Shape::Link => {}
        }
    }
    stats
}
