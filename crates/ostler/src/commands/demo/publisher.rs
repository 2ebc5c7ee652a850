//! The publisher's side: commits to the private repository, and brings them to the public one.

use super::BRANCH;
use super::place::Place;
use crate::commands::publish::HELD_BYTES;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::{dates, exit};
use ostler_format::gvariant::Value;
use ostler_format::{Checksum, Refspec, RepoMode};
use ostler_repo::fsck::{self, FsckOptions, FsckReport};
use ostler_repo::{CommitBuilder, Expected, REF_BINDING, RefEdit, Repo, TreeRules, TreeSource};
use ostler_transfer::{DirStore, Policy, PublishOptions, Silent, TransferError};
use std::num::NonZero;
use std::thread;

/// Who owns everything in the commits.
pub(super) const OWNER: u32 = 0;

/// The two repositories.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    context: &'a Context,
    place: &'a Place,
    interrupt: &'a Interrupt,
    build: Repo,
}

/// A commit that was made.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) checksum: Checksum,
    /// Objects that were not there before.
    pub(super) written_objects: u64,
}

/// What a publish took.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) generation: Option<u64>,
    pub(super) sent_objects: u64,
    pub(super) sent_bytes: u64,
    /// Objects of the commit that were there: those that it shares with its parent.
    pub(super) spared_objects: u64,
    pub(super) spared_bytes: u64,
}

impl<'a> Publisher<'a> {
    /// Makes both repositories: archives, which work without privileges and extended attributes.
    pub(super) fn create(
        context: &'a Context,
        place: &'a Place,
        interrupt: &'a Interrupt,
    ) -> anyhow::Result<Self> {
        for path in [place.build(), place.public()] {
            let _made = Repo::create(&path, RepoMode::Archive, None)?;
        }
        Ok(Self {
            context,
            place,
            interrupt,
            build: context.open_at(&place.build())?,
        })
    }

    /// Commits the tree to the branch.
    pub(super) fn commit(&self, version: u8, parent: Option<Checksum>) -> anyhow::Result<Committed> {
        let branch: Refspec = BRANCH.parse()?;
        let mut builder = CommitBuilder::new(dates::of_new_commit(self.context.environment())?);
        builder.sources = vec![TreeSource::Directory(self.place.tree())];
        builder.rules = TreeRules {
            owner_uid: Some(OWNER),
            owner_gid: Some(OWNER),
            no_xattrs: true,
            ..TreeRules::default()
        };
        builder.parent = parent;
        builder.subject = format!("Version {version}");
        builder.metadata.insert(REF_BINDING, Value::strings([BRANCH]));
        let mut transaction = self.build.begin()?;
        let made = builder.build(&transaction)?;
        let expected = parent.map_or(Expected::Absent, Expected::Is);
        transaction.edit_ref(RefEdit::set(branch, expected, made.checksum));
        let _stats = transaction.commit()?;
        Ok(Committed {
            checksum: made.checksum,
            written_objects: made.stats.metadata_written + made.stats.content_written,
        })
    }

    /// Publishes, as the command `publish` does.
    pub(super) fn publish(&self, commit: &Checksum, parent: Option<Checksum>) -> anyhow::Result<Published> {
        let environment = self.context.environment();
        let options = PublishOptions {
            sweep: None,
            policy: &Policy::default(),
            dry_run: false,
            jobs: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            held_bytes: HELD_BYTES,
            clock: &|| environment.now(),
            who: &environment.who(),
            interrupted: self.interrupt.flag(),
            reporter: &Silent,
        };
        let store = DirStore::new(self.context.open_at(&self.place.public())?);
        let outcome =
            ostler_transfer::publish(&self.build, &store, &options).map_err(|error| match error {
                TransferError::Interrupted => exit::Interrupted.into(),
                error => anyhow::Error::new(error).context("nothing was published"),
            })?;
        let (spared_objects, spared_bytes) = match parent {
            Some(parent) => {
                let shared = self.build.diff_stats(&parent, commit)?;
                (shared.common_objects, shared.common_bytes)
            }
            None => (0, 0),
        };
        Ok(Published {
            generation: outcome.generation,
            sent_objects: outcome.plan.objects.len() as u64,
            sent_bytes: outcome.plan.bytes(),
            spared_objects,
            spared_bytes,
        })
    }

    /// Reads and hashes every object of the public repository.
    pub(super) fn check(&self) -> anyhow::Result<FsckReport> {
        let repo = self.context.open_at(&self.place.public())?;
        let options = FsckOptions {
            all: true,
            verify_bindings: true,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            ..FsckOptions::default()
        };
        Ok(fsck::fsck(&repo, &options, &fsck::Silent)?)
    }
}
