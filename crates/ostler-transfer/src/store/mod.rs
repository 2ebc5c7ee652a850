//! A store: a target that is files and nothing else.
//!
//! The executor runs one plan over any store. What differs between a directory, a bucket and an rsync module
//! is how a file is put, how a batch of files becomes visible and how others are kept out; that is all this
//! trait says. Retrying, limiting, recording and fault injection are wrappers over it.
//!
//! Order of effects of a run, and what a reader sees after each:
//! 1. [`put`](Store::put): nothing, or objects that nothing refers to yet.
//! 2. [`settle`](Store::settle): the objects are in place and durable, children before what names them.
//! 3. [`flip`](Store::flip): refs and summary change; after a crash in between,
//!    [`recover`](Store::recover) completes the change or shows that it never began.
//!
//! A sweep, by which what nobody needs goes away, calls [`remove`](Store::remove) step by step: what names others first.

mod directory;
mod memory;
mod mounted;

pub use directory::DirStore;
pub use memory::{Clock, Hook, MemoryStore, Step};
pub use mounted::MountedStore;

use crate::error::Result;
use ostler_format::{Checksum, ObjectName, ObjectType};
pub use ostler_repo::flip::{Edit, Expect};
use ostler_repo::fs::Dir;
use ostler_repo::{Recovery, Repo};
use std::fmt;
use std::io::Read;
use std::num::NonZero;
use std::thread;

/// Something that is put once under a name and then not changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// An object, stored as an archive repository stores it.
    Object(ObjectName),
    /// Any other file of the repository, by its path: parts of static deltas, digest-named summaries.
    File(String),
}

impl Item {
    /// Returns the path below the root of an archive repository.
    pub fn path(&self) -> String {
        match self {
            Self::Object(name) => object_path(*name),
            Self::File(path) => path.clone(),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(name) => name.fmt(f),
            Self::File(path) => path.fmt(f),
        }
    }
}

/// Returns the path of an object below the root of an archive repository.
pub(crate) fn object_path(name: ObjectName) -> String {
    format!(
        "objects/{}",
        name.loose_path(ostler_format::RepoMode::Archive).as_str()
    )
}

/// Where the bytes of an [`Item`] come from.
pub enum Body<'a> {
    /// Bytes in memory, hashed by the caller.
    Bytes(&'a [u8]),
    /// A file that holds exactly the bytes to be stored; a store on the same file system may link it.
    /// Not yet hashed: the store hashes what it stores, or what it reads to send.
    File {
        /// The directory that `path` is relative to.
        dir: &'a Dir,
        /// The file.
        path: &'a str,
        /// Its length in bytes.
        size: u64,
    },
    /// Bytes made while they are read, from content that the reader hashes: a mismatch is an error of the
    /// last `read`, and the store then keeps nothing.
    Stream(&'a mut (dyn Read + Send)),
    /// Bytes that [`adopt`](Store::adopt) took over before: the store hashes them where they are.
    Adopted,
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File { path, size, .. } => write!(f, "File({path}, {size} bytes)"),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Adopted => f.write_str("Adopted"),
        }
    }
}

/// Whether what is there already stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// What is there stays: the rule for objects.
    Never,
    /// What is there is damaged (it was looked at), or has no meaning of its own: replaced atomically.
    Replace,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name within the directory that was listed.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Where it leads, if it is a symbolic link.
    pub link: Option<String>,
}

/// Something that changes whenever objects come or go: a time in seconds and nanoseconds, or a count.
pub type Stamp = (i64, u32);

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many of the items were there.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How one run keeps others out while it looks, settles and flips. Dropping it lets them in.
#[must_use = "others are kept out only as long as the lease is held"]
pub trait Lease: fmt::Debug {}

/// A target that is files and nothing else. Paths are relative to the root of the repository.
pub trait Store: Send + Sync {
    /// Returns the target as the user named it.
    fn describe(&self) -> String;

    /// Returns whether what is put stays out of sight until it is settled. Where it does not, the executor puts
    /// dirtrees one after the other, children first.
    fn stages(&self) -> bool {
        false
    }

    /// Returns whether each look takes as long as a message to another machine and back. Then what a ref that moves leads to
    /// is not looked at object by object where the record of the last generation says that it is there, and many
    /// operations are under way at once.
    fn looks_are_dear(&self) -> bool {
        false
    }

    /// Returns how many operations are worth having under way at once.
    fn jobs(&self) -> NonZero<usize> {
        thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
    }

    /// Returns the bytes of a small file, or `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or is larger than `limit` bytes.
    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>>;

    /// Returns the size in bytes of an object in place (not of one that is put but not settled), or `None`.
    ///
    /// # Errors
    /// If the store cannot tell.
    fn look(&self, object: &ObjectName) -> Result<Option<u64>>;

    /// Returns for each first byte of a checksum a stamp that is another one after objects which begin so have come or gone, or
    /// `None` where nothing tells; nothing at all where a store has no such stamps. What was looked at need not be looked
    /// at again as long as its stamp is the same.
    ///
    /// # Errors
    /// If the store cannot tell.
    fn stamps(&self) -> Result<Vec<Option<Stamp>>> {
        Ok(Vec::new())
    }

    /// Reads and hashes an object in place; `false` if it is absent or its bytes are not what its name says.
    ///
    /// # Errors
    /// If the store cannot tell.
    fn verify(&self, object: &ObjectName) -> Result<bool>;

    /// Returns the entries of a directory, none if it does not exist. Order is not defined.
    ///
    /// # Errors
    /// If the directory cannot be read.
    fn list(&self, dir: &str) -> Result<Vec<Entry>>;

    /// Returns whether files of the source can be taken over without a copy.
    fn shares_files_with(&self, _source: &Repo) -> bool {
        false
    }

    /// Takes over a local file without copying it, so that the source may let go of it; the bytes are
    /// checked by a later [`put`](Store::put) of [`Body::Adopted`]. Returns `false` where that cannot be done.
    ///
    /// # Errors
    /// If the file is gone, or the store cannot be written.
    fn adopt(&self, _item: &Item, _dir: &Dir, _path: &str) -> Result<bool> {
        Ok(false)
    }

    /// Stores bytes under a name; they need not be visible before [`settle`](Store::settle). Readers never see a
    /// part of them. Callers put children before what names them and wait for the one before the other.
    ///
    /// # Errors
    /// [`TransferError::CorruptSource`](crate::TransferError::CorruptSource) if the bytes are not what the name of the
    /// object says (nothing is kept then), or any failure of the store.
    fn put(&self, item: &Item, body: Body<'_>, overwrite: Overwrite) -> Result<()>;

    /// Makes what was put visible, in this order, and durable. Called with the lease held.
    ///
    /// # Errors
    /// Any failure of the store; what was put stays for the next run.
    fn settle(&self, order: &[(Item, Overwrite)]) -> Result<()>;

    /// Drops what was put and not settled. Nothing to do where the next run may as well find it.
    ///
    /// # Errors
    /// Any failure of the store.
    fn forget(&self) -> Result<()> {
        Ok(())
    }

    /// Replaces or removes files one after the other, each only if it still is what the plan was computed
    /// against; all of them are checked before the first changes. Durable on return; after a crash in between,
    /// [`recover`](Store::recover) completes it. Called with the lease held.
    ///
    /// # Errors
    /// [`RepoError::Conflict`](ostler_repo::RepoError) if a file is not as expected (nothing has changed then), or any failure of the store.
    fn flip(&self, edits: &[Edit]) -> Result<()>;

    /// Returns whether a flip was cut short. Cheap, and without the lease.
    ///
    /// # Errors
    /// Any failure of the store.
    fn pending(&self) -> Result<bool>;

    /// Completes a flip that a crash cut short, or gives it up. Returns `None` if there was none. Called with the lease
    /// held.
    ///
    /// # Errors
    /// Any failure of the store.
    fn recover(&self) -> Result<Option<Recovery>>;

    /// Keeps other publishers, and whatever removes objects, out.
    ///
    /// # Errors
    /// If others do not let go within the store's time limit; the message names them where it can.
    fn lease(&self) -> Result<Box<dyn Lease + '_>>;

    /// As [`lease`](Self::lease), without waiting: `None` where others are at work, or where a store cannot tell.
    ///
    /// # Errors
    /// Any failure of the store.
    fn try_lease(&self) -> Result<Option<Box<dyn Lease + '_>>> {
        Ok(None)
    }

    /// Makes objects of the source visible, in this order, and durable, without their being put before: the caller keeps
    /// the source locked and has hashed them. Returns `false` where that cannot be done; they are put and settled then.
    /// Called with the lease held.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    fn settle_links(&self, _source: &Repo, _objects: &[ObjectName]) -> Result<bool> {
        Ok(false)
    }

    /// Returns the commits that are in place, in no order.
    ///
    /// # Errors
    /// If the store cannot be listed.
    fn list_commits(&self) -> Result<Vec<Checksum>> {
        let mut commits = Vec::new();
        for dir in self.list("objects")?.into_iter().filter(|dir| dir.is_dir) {
            for entry in self.list(&format!("objects/{}", dir.name))? {
                let name = ObjectName::from_loose(&dir.name, &entry.name);
                let commit = name.filter(|name| name.kind == ObjectType::Commit);
                commits.extend(commit.map(|name| name.checksum));
            }
        }
        Ok(commits)
    }

    /// Removes objects and files, in no order; those that are not there are passed over. After a power cut nothing of this
    /// is gone as long as anything of an earlier call is there. Called with the lease held.
    ///
    /// # Errors
    /// Any failure of the store; some may be gone then.
    fn remove(&self, items: &[Item]) -> Result<Removed>;

    /// Returns how many bytes may still be written, or `None` where the store does not know.
    ///
    /// # Errors
    /// If the store cannot be asked.
    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}
