//! Bringing single objects from a remote: those that a repair found missing or damaged.
//!
//! Each is hashed on the way and staged; one that replaces a damaged object does so in one step when the transaction ends. What a tree
//! names and is missing comes with it. What the remote has not, or has damaged as well, is left out and told apart.

use super::upstream::Upstream;
use crate::error::{Result, TransferError};
use crate::http::{Answer, Client, Destination, Remote, Request};
use ostler_format::{DirTreeView, MAX_METADATA_SIZE, ObjectName, ObjectType, RepoMode};
use ostler_repo::fs::TempFile;
use ostler_repo::{Receiving, Repo, RepoError, Transaction, Trust};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// How many requests are under way at once.
const IN_FLIGHT: usize = 64;

/// What became of objects that were asked for.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Those that came, or could.
    pub brought: BTreeSet<ObjectName>,
    /// Those that the remote has, damaged.
    pub damaged: BTreeSet<ObjectName>,
}

/// Asks whether there is a repository at a remote from which objects can be had. Where there is none, every object is
/// missing, which says nothing of the objects.
///
/// # Errors
/// [`TransferError::Fetch`](crate::TransferError::Fetch) where there is none;
/// [`RepoError::Refused`](ostler_repo::RepoError::Refused) for one of another mode than `archive`.
pub fn find_repository(remote: &Remote, client: &Client) -> Result<()> {
    Upstream::default().read_config(remote, client, true).map(drop)
}

/// Fetches `objects` from an archive repository at a remote into `repo`, replacing what has the name; without `keep` only to see
/// whether they can be had.
///
/// # Errors
/// What keeps us from asking or writing; that the remote has an object not, or damaged, is none.
pub fn fetch_objects(
    repo: &Repo,
    remote: &Remote,
    client: &Client,
    objects: &BTreeSet<ObjectName>,
    keep: bool,
) -> Result<Fetched> {
    let transaction = repo.begin()?;
    let fetched = Mend {
        transaction: &transaction,
        remote,
        client,
        under_way: HashMap::new(),
    }
    .run(objects)?;
    if keep {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(fetched)
}

struct Mend<'a> {
    transaction: &'a Transaction<'a>,
    remote: &'a Remote,
    client: &'a Client,
    under_way: HashMap<u64, (ObjectName, Option<TempFile>)>,
}

impl Mend<'_> {
    fn run(mut self, objects: &BTreeSet<ObjectName>) -> Result<Fetched> {
        let mut fetched = Fetched::default();
        let mut seen: HashSet<ObjectName> = objects.iter().copied().collect();
        let mut waiting: VecDeque<ObjectName> = objects.iter().copied().collect();
        let mut id = 0;
        loop {
            while self.under_way.len() < IN_FLIGHT
                && let Some(name) = waiting.pop_front()
            {
                id += 1;
                self.ask(id, name)?;
            }
            if self.under_way.is_empty() {
                return Ok(fetched);
            }
            let Ok(completion) = self.client.completions().recv() else {
                return Err(TransferError::Interrupted);
            };
            let Some((name, temp)) = self.under_way.remove(&completion.id) else {
                continue;
            };
            match self.take(&name, completion.result?, temp) {
                Ok(None) => {}
                Ok(Some(below)) => {
                    fetched.brought.insert(name);
                    for name in below {
                        if seen.insert(name) && !self.transaction.has(&name)? {
                            waiting.push_back(name);
                        }
                    }
                }
                // The remote is damaged there as well.
                Err(TransferError::Repo(error)) if error.is_damage() => {
                    fetched.damaged.insert(name);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn ask(&mut self, id: u64, name: ObjectName) -> Result<()> {
        let is_content = name.kind == ObjectType::File;
        let temp = is_content.then(|| self.transaction.temp_file()).transpose()?;
        let destination = match &temp {
            Some(temp) => {
                let file = temp.file().try_clone();
                Destination::File(file.map_err(RepoError::io("share", "a temporary file"))?)
            }
            None => Destination::Memory,
        };
        self.under_way.insert(id, (name, temp));
        self.client.submit(Request {
            id,
            base: self.remote.content.clone(),
            path: format!("objects/{}", name.loose_path(RepoMode::Archive).as_str()),
            limit: (!is_content).then_some(MAX_METADATA_SIZE),
            destination,
            fresh: true,
        });
        Ok(())
    }

    /// Stages what came; returns what it names, or `None` if nothing came.
    fn take(
        &self,
        name: &ObjectName,
        answer: Answer,
        temp: Option<TempFile>,
    ) -> Result<Option<Vec<ObjectName>>> {
        let transaction = self.transaction;
        let receiving = Receiving {
            trust: Trust::Verify,
            bareuseronly: false,
        };
        // What is here under the name is missing or damaged.
        transaction.replace_damaged(*name);
        match (answer, temp) {
            (Answer::NotFound(_), _) | (Answer::File(..), None) => return Ok(None),
            (Answer::File(_, size), Some(temp)) => {
                transaction.write_received_file(&name.checksum, temp, size, receiving)?;
            }
            (Answer::Memory(body), Some(_)) => {
                transaction.write_received(&name.checksum, body.into_vec(), receiving)?;
            }
            (Answer::Memory(body), None) => {
                transaction.write_named_metadata(name, &body)?;
                if name.kind == ObjectType::DirTree {
                    return Ok(Some(named_by(&body)?));
                }
            }
        }
        Ok(Some(Vec::new()))
    }
}

/// Returns what a dirtree names.
fn named_by(tree: &[u8]) -> Result<Vec<ObjectName>> {
    let view = DirTreeView::parse(tree).map_err(TransferError::format("a dirtree"))?;
    let files = view
        .files()
        .map(|file| ObjectName::new(file.checksum, ObjectType::File));
    let dirs = view.dirs().flat_map(|dir| {
        [
            ObjectName::new(dir.meta, ObjectType::DirMeta),
            ObjectName::new(dir.tree, ObjectType::DirTree),
        ]
    });
    Ok(files.chain(dirs).collect())
}
