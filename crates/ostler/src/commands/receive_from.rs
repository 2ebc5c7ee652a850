//! `receive --from`: commits that are on HTTP, taken in by the rules of a receiver.
//!
//! Order of effects:
//! 1. a repository of its own is made in `tmp` of the one that is meant, whose parent that is: nobody sees it;
//! 2. what is missing is pulled into it;
//! 3. it is pushed from there to another `receive`, as from anywhere: so whatever the rules ask of a push is asked of this;
//! 4. it goes. A run that is killed leaves it, and it goes as all that is old in `tmp`.
//!
//! The repository that is meant is not locked before the push. What a prune removes of it until then is missing when the push reads
//! it, which fails then and moves no ref.

use super::far::{Destination, Way};
use super::pull::{Watcher, pause};
use super::push::{Delivery, to_far_end};
use super::receive::{Args, rules};
use crate::context::Context;
use crate::exit;
use crate::network::{self, Connections};
use crate::trust;
use anyhow::Context as _;
use ostler_format::{Checksum, RefName, RepoMode};
use ostler_repo::fs::Dir;
use ostler_repo::{PullTarget, RefScope, Repo};
use ostler_transfer::http::{Remote, RemoteOverrides, RemoteSettings};
use ostler_transfer::pull::{PullOptions, pull};
use ostler_transfer::push::Wanted;
use ostler_transfer::receive::locate;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::thread;

/// Runs it.
pub(super) fn run(context: &Context, args: &Args, url: &str) -> anyhow::Result<()> {
    let given = context.named_repository();
    let asked = args.path.as_deref().unwrap_or_default();
    let path = locate(rules(context, args)?.root(), given.as_deref(), asked)?;
    let target = context.open_at(&path)?;
    let waiting = Waiting::make(&target)?;
    let updates = fetch(context, args, url, &waiting)?;
    let executable = context.environment().executable()?;
    let receiver = || {
        let mut command = Command::new(&executable);
        command.arg("receive").arg("--repo").arg(&path);
        if let Some(pusher) = &args.pusher {
            command.arg("--as").arg(pusher);
        }
        if let Some(config) = &args.config {
            command.arg("--config").arg(config);
        }
        if !args.allow.is_empty() {
            command.arg(format!("--allow={}", args.allow.join(",")));
        }
        command
    };
    to_far_end(
        context,
        &Delivery {
            source: &waiting.repo,
            destination: &Destination::Directory(path.clone()),
            receiver: Some(&receiver),
            named: &path.display().to_string(),
            way: &Way::here(args.idle_timeout),
            wanted: Wanted {
                updates: &updates,
                drops: None,
                force: args.force,
                depth: None,
            },
            limit_rate: None,
            dry_run: args.dry_run,
        },
    )
}

/// Pulls what is asked for, and returns what refs here shall name.
fn fetch(
    context: &Context,
    args: &Args,
    url: &str,
    waiting: &Waiting,
) -> anyhow::Result<BTreeMap<RefName, Option<Checksum>>> {
    let settings = RemoteSettings::of_url(url);
    let client = network::client(context, &waiting.repo, &settings, &Connections::default())?;
    let remote = Remote::resolve(&settings, &RemoteOverrides::default(), &client)?;
    let trust = trust::of_remote(context, &waiting.repo, None)?;
    let pairs: Vec<(&str, &str)> = args
        .refs
        .iter()
        .map(|wanted| wanted.split_once(':').unwrap_or((wanted, wanted)))
        .collect();
    let read = |(name, _): &(&str, &str)| {
        let target = name.parse::<PullTarget>();
        target.with_context(|| format!("cannot pull '{}'", name.escape_debug()))
    };
    let targets: Vec<PullTarget> = pairs.iter().map(read).collect::<anyhow::Result<_>>()?;
    let options = PullOptions {
        mirror: true,
        depth: None,
        pause: &pause,
        threads: thread::available_parallelism().map_or(1, NonZero::get),
        ..PullOptions::default()
    };
    let watcher = Watcher::new(context)?;
    context.ui().while_counting(
        || watcher.shown(),
        || {
            pull(
                &waiting.repo,
                &remote,
                &client,
                &trust,
                &targets,
                &options,
                &watcher,
            )
        },
    )?;
    let there = waiting.repo.list_refs(RefScope::Local)?;
    let there: BTreeMap<_, _> = there
        .into_iter()
        .map(|(refspec, commit)| (refspec.name, commit))
        .collect();
    if pairs.is_empty() {
        return Ok(there
            .into_iter()
            .map(|(name, commit)| (name, Some(commit)))
            .collect());
    }
    let mut updates = BTreeMap::new();
    for (name, here) in pairs {
        let parse = |name: &str| {
            name.parse::<RefName>()
                .map_err(|fault| exit::usage(fault.to_string()))
        };
        let commit = there.get(&parse(name)?).copied();
        let commit = commit.with_context(|| format!("{url} has no ref '{name}'"))?;
        if updates.insert(parse(here)?, Some(commit)).is_some() {
            return Err(exit::usage(format!("two things are wanted of '{here}'")));
        }
    }
    Ok(updates)
}

/// A repository for what is on its way, removed when this is dropped.
struct Waiting {
    repo: Repo,
    holder: Dir,
    name: String,
}

impl Waiting {
    fn make(target: &Repo) -> anyhow::Result<Self> {
        let holder = target.root().open_dir("tmp");
        let holder = holder.with_context(|| format!("cannot open tmp of {}", target.path().display()))?;
        let name = holder.make_random_dir("ostler-from-", 0o700);
        let name = name.with_context(|| format!("cannot make a directory in {}", holder.path().display()))?;
        let path = holder.path_of(&name);
        let repo = Self::archive(target, &path);
        match repo {
            Ok(repo) => Ok(Self { repo, holder, name }),
            Err(error) => {
                drop(holder.remove_tree(&name));
                Err(error)
            }
        }
    }

    fn archive(target: &Repo, path: &Path) -> anyhow::Result<Repo> {
        let repo = Repo::create(path, RepoMode::Archive, target.config().collection_id())?;
        let parent = std::fs::canonicalize(target.path());
        let parent = parent.with_context(|| format!("cannot find {}", target.path().display()))?;
        let parent = parent
            .to_str()
            .with_context(|| {
                format!(
                    "the path {} is not UTF-8, and cannot be that of a parent",
                    parent.display()
                )
            })?
            .to_owned();
        repo.edit_config(|file| {
            file.set("core", "parent", &parent)?;
            file.set("core", "fsync", "false")?;
            Ok(())
        })?;
        Ok(Repo::open(path)?)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What cannot be removed now is removed when it is old.
        drop(self.holder.remove_tree(&self.name));
    }
}
