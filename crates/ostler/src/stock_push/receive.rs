//! `ostree-receive`: pulls refs from a URL, and makes commits of them on top of what the repository has.
//!
//! Order of effects:
//! 1. the summary is fetched, and the commits that it names for the refs, to an archive beside the repository that nobody sees;
//! 2. refs whose commit is not newer, or has the tree that is there, are left out; of the others all that is missing comes to the archive;
//! 3. *one receiver after the other*: each gets a commit on top of what the ref has at that moment, signed before anybody sees it, and
//!    all refs move in one flip, with the summary where that is ours to make;
//! 4. the hook, or Flatpak's summary.
//!
//! What fails before the flip leaves the repository as it was; what had come stays in the archive for the next run.

use super::log::Log;
use super::recommit::{is_flatpak, recommitted};
use super::settings::Settings;
use super::update::{self, Update};
use crate::commands::{engine, secret_keys_of};
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::network::{self, Connections};
use crate::trust;
use anyhow::{Context as _, anyhow, bail};
use ostler_format::{Checksum, Commit, ObjectName, ObjectType, RefName, RemoteName, Summary};
use ostler_repo::refs::RefScope;
use ostler_repo::sign::{Signer, Trust, sign_all};
use ostler_repo::{PullTarget, Repo};
use ostler_transfer::http::{Client, Remote, RemoteOverrides, RemoteSettings, SummaryOptions, fetch_summary};
use ostler_transfer::pull::{DeltaUse, PullOptions, PullReporter, pull};
use ostler_transfer::receive::{Incoming, IncomingOptions};
use ostler_transfer::{RefMove, Reporter, Signing, SummaryPolicy, TransferError};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

/// What pulls are from, in the archive's configuration.
const REMOTE: &str = "_receive";

/// Refs that are made where they are, and never received.
const OWN_REF: &str = "ostree-metadata";
const OWN_REFS: [&str; 2] = ["appstream/", "appstream2/"];

/// The arguments of `ostree-receive`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "ostree-receive",
    version = super::COMPARED_WITH,
    about = "Pull from a remote repo to a dev repo",
    args_override_self = true,
    infer_long_args = true,
    after_help = "\
Many options can also be set in a config file (/etc/ostree/ostree-receive.conf or ~/.config/ostree/ostree-receive.conf, or what \
OSTREE_RECEIVE_CONF names). The config file uses YAML syntax and must represent a YAML mapping.

Example:
  ostree-receive repo http://127.0.0.1:4711 os/stable"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Args {
    /// Repository name to use
    #[arg(value_name = "REPO")]
    repo: PathBuf,
    /// Remote repository URL
    #[arg(value_name = "URL")]
    url: String,
    /// Refs to pull, all if none specified
    #[arg(value_name = "REF")]
    refs: Vec<String>,
    /// Don't update repo metadata
    #[arg(long)]
    pub(super) no_update: bool,
    /// Only show what would be done
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// Force pull even if nothing changed or remote commits are not newer
    #[arg(short, long)]
    pub(super) force: bool,
    /// Disable most messages
    #[arg(short, long, overrides_with = "verbose")]
    pub(super) quiet: bool,
    /// Enable verbose messages
    #[arg(short, long, overrides_with = "quiet")]
    pub(super) verbose: bool,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let settings = Settings::load(context, args)?;
    let log = Log::new(context.ui(), settings.log_level);
    let path = place(settings.root.as_deref(), &args.repo)?;
    log.debug(format_args!("Using repo path {}", path.display()));
    let target = context.open_at(&path)?;
    let interrupt = Interrupt::watch()?;
    let environment = context.environment();
    let hears = Hears {
        context,
        interrupt: &interrupt,
    };
    let who = match environment.ssh_client() {
        Some(client) => format!("{} (from {client})", environment.user_name()),
        None => environment.who(),
    };
    let options = IncomingOptions {
        pusher: &pusher(&environment.user_name()),
        who: &who,
        open: &context.open_options(true),
        clock: &|| environment.now(),
        jobs: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        interrupted: interrupt.flag(),
        reporter: &hears,
    };
    let remote = RemoteName::new(REMOTE)?;
    let of_remote = settings.of_remote(context, &args.url)?;
    let of_remote: Vec<_> = of_remote
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let incoming = Incoming::open(&target, &remote, &of_remote, options)?;
    let signers = signers(context, &settings, &interrupt)?;
    let receiver = Receiver {
        signers: &signers,
        upstream: Upstream::open(context, &incoming, &remote)?,
        settings: &settings,
        log: &log,
        target: &target,
        incoming: &incoming,
        hears: &hears,
    };
    let received = receiver.receive(&args.refs);
    // What a network kept from coming is gone on with; what was refused, or is in place, is not needed.
    let goes_on = matches!(&received, Err(error) if error.is::<TransferError>());
    drop(receiver);
    if !goes_on {
        incoming.discard()?;
    }
    let (update, refs) = received?;
    update::run(context, (&settings, &log), &target, &signers, (update, &refs))
}

/// Returns where the repository lies: below the root, if there is one.
fn place(root: Option<&Path>, asked: &Path) -> anyhow::Result<PathBuf> {
    let Some(root) = root else {
        return Ok(asked.to_owned());
    };
    let missing = || anyhow!("repo {} not found", asked.display().to_string().escape_debug());
    let root = root
        .canonicalize()
        .with_context(|| format!("cannot look at the root {}", root.display()))?;
    let path = root.join(asked).canonicalize().map_err(|_missing| missing())?;
    if path.starts_with(&root) {
        Ok(path)
    } else {
        Err(missing())
    }
}

/// Returns the name of a user as one of a pusher.
fn pusher(user: &str) -> String {
    let plain = |character: char| match character {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => character,
        _ => '_',
    };
    let name: String = user.chars().map(plain).take(64).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

/// Returns who signs commits and summary.
fn signers(context: &Context, settings: &Settings, interrupt: &Interrupt) -> anyhow::Result<Vec<Signer>> {
    let mut signers: Vec<_> = settings
        .gpg_sign
        .iter()
        .map(|key| Signer::Gpg {
            key_id: key.clone(),
            homedir: settings.gpg_homedir.clone(),
            interruption: interrupt.of_signers(),
        })
        .collect();
    if !settings.sign_keyfiles.is_empty() {
        let engine = engine(context, Some(&settings.sign_type))?;
        for path in &settings.sign_keyfiles {
            if !path.exists() {
                bail!(update::missing(path));
            }
            signers.extend(secret_keys_of(engine, path)?);
        }
    }
    Ok(signers)
}

/// Where commits come from.
struct Upstream {
    client: Client,
    remote: Remote,
    trust: Trust,
}

impl Upstream {
    fn open(context: &Context, incoming: &Incoming<'_>, name: &RemoteName) -> anyhow::Result<Self> {
        let archive = incoming.archive();
        let settings = RemoteSettings::of(archive, name)?;
        let client = network::client(context, archive, &settings, &Connections::default())?;
        let remote = Remote::resolve(&settings, &RemoteOverrides::default(), &client)?;
        let trust = trust::of_remote(context, archive, Some(name))?;
        Ok(Self {
            client,
            remote,
            trust,
        })
    }

    /// Returns the refs that its summary lists.
    fn refs(&self) -> anyhow::Result<BTreeMap<RefName, Checksum>> {
        let options = SummaryOptions {
            cache: None,
            check: &|_, _| Ok(()),
            tries: 1,
            pause: &|_| {},
        };
        let pair = fetch_summary(&self.client, &self.remote, &options)?;
        let bytes = pair
            .summary
            .context("Remote refs not available; server has no summary file")?;
        let summary = Summary::parse(&bytes).context("cannot read the summary")?;
        let refs = summary.refs.into_iter().map(|entry| (entry.name, entry.checksum));
        Ok(refs.collect())
    }
}

struct Receiver<'a> {
    settings: &'a Settings,
    log: &'a Log<'a>,
    target: &'a Repo,
    incoming: &'a Incoming<'a>,
    hears: &'a Hears<'a>,
    upstream: Upstream,
    signers: &'a [Signer],
}

/// Refs, with the commits that come for them.
type Wanted = BTreeMap<RefName, Checksum>;

impl Receiver<'_> {
    /// Moves the refs that are to move. Returns them, and what is left to do then.
    fn receive(&self, asked: &[String]) -> anyhow::Result<(Update, Vec<RefName>)> {
        let offered = self.upstream.refs()?;
        let wanted = self.different(asked, &offered)?;
        if wanted.is_empty() {
            self.log.info("No refs need updating");
            return Ok((Update::None, Vec::new()));
        }
        self.pull(&wanted, true)?;
        let before = self.current()?;
        let merged = self.newer(wanted, &before)?;
        if merged.is_empty() {
            self.log.info("No refs need updating");
            return Ok((Update::None, Vec::new()));
        }
        if self.settings.dry_run {
            return Ok((Update::None, Vec::new()));
        }
        self.pull(&merged, false)?;
        let turn = self.incoming.turn()?;
        let now = self.current()?;
        // Others may have been quicker.
        let is_as_before = merged.keys().all(|name| now.get(name) == before.get(name));
        let merged = if is_as_before {
            merged
        } else {
            self.newer(merged, &now)?
        };
        let update = self.merge(&merged, &now)?;
        drop(turn);
        Ok((update, merged.into_keys().collect()))
    }

    /// Returns the repository's own refs.
    fn current(&self) -> anyhow::Result<BTreeMap<RefName, Checksum>> {
        let refs = self.target.list_refs(RefScope::Local)?;
        Ok(refs
            .into_iter()
            .map(|(refspec, commit)| (refspec.name, commit))
            .collect())
    }

    /// Returns the refs that are asked for and have another commit here.
    fn different(&self, asked: &[String], offered: &Wanted) -> anyhow::Result<Wanted> {
        let names: BTreeSet<&str> = if asked.is_empty() {
            offered.keys().map(RefName::as_str).collect()
        } else {
            asked.iter().map(String::as_str).collect()
        };
        let is_own = |name: &str| name == OWN_REF || OWN_REFS.iter().any(|own| name.starts_with(own));
        let names: Vec<_> = names.into_iter().filter(|name| !is_own(name)).collect();
        let current = self.current()?;
        let find = |refs: &Wanted, name: &str| {
            let found = refs.iter().find(|(found, _)| found.as_str() == name);
            found.map(|(name, commit)| (name.clone(), *commit))
        };
        for (title, refs) in [("Remote commits:", offered), ("Current commits:", &current)] {
            self.log.info(title);
            for name in &names {
                let commit =
                    find(refs, name).map_or_else(|| "None".to_owned(), |(_, commit)| commit.to_string());
                self.log.info(format_args!(" {name} {commit}"));
            }
        }
        let mut wanted = Wanted::new();
        for name in names {
            let Some((name, commit)) = find(offered, name) else {
                bail!("Could not find ref {name} in summary file");
            };
            if self.settings.force || current.get(&name) != Some(&commit) {
                self.log.debug(format_args!("Pulling {name}"));
                wanted.insert(name, commit);
            }
        }
        Ok(wanted)
    }

    /// Brings commits into the archive, or the commits alone.
    fn pull(&self, wanted: &Wanted, commits_alone: bool) -> anyhow::Result<()> {
        let commits: BTreeSet<_> = wanted.values().copied().collect();
        let targets: Vec<_> = commits.into_iter().map(PullTarget::Commit).collect();
        let options = PullOptions {
            commit_metadata_only: commits_alone,
            deltas: DeltaUse::Disabled,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            ..PullOptions::default()
        };
        let Upstream {
            client,
            remote,
            trust,
        } = &self.upstream;
        let archive = self.incoming.archive();
        pull(archive, remote, client, trust, &targets, &options, self.hears)?;
        Ok(())
    }

    /// Leaves out the refs whose commit is not newer than what they have, or has its tree.
    fn newer(&self, mut wanted: Wanted, current: &Wanted) -> anyhow::Result<Wanted> {
        let archive = self.incoming.archive();
        let mut stay = BTreeSet::new();
        for (name, commit) in &wanted {
            let Some(there) = current.get(name) else {
                continue;
            };
            let new = archive.load_commit(commit)?;
            let old = self.target.load_commit(there)?;
            let is_newer = new.timestamp > old.timestamp;
            let is_equal = (new.root_tree, new.root_meta) == (old.root_tree, old.root_meta);
            if is_newer && !is_equal {
                continue;
            }
            if !is_newer {
                self.log.warning(format_args!(
                    "ref {name} remote rev {commit} is not newer than current rev {there}"
                ));
            }
            if is_equal {
                self.log.warning(format_args!(
                    "ref {name} remote commit {commit} root equals {there}"
                ));
            }
            if self.settings.force {
                self.log.info(format_args!("Forcing merge of ref {name}"));
            } else {
                stay.insert(name.clone());
            }
        }
        wanted.retain(|name, _| !stay.contains(name));
        Ok(wanted)
    }

    /// Makes the commits in the archive, and moves the refs to them.
    fn merge(&self, merged: &Wanted, now: &Wanted) -> anyhow::Result<Update> {
        let names = now.keys().chain(merged.keys());
        let has_flatpak = names.into_iter().any(|name| is_flatpak(name.as_str()));
        let has_collection = self.target.config().collection_id().is_some();
        let update = Update::of(self.settings, has_flatpak, has_collection);
        let mut moves = BTreeMap::new();
        for (name, commit) in merged {
            let old = now.get(name).copied();
            let new = self.recommit(commit, name, old)?;
            self.log.debug(format_args!("Set {name} ref to {new}"));
            let wanted = RefMove {
                old,
                new: Some(new),
                force: self.settings.force,
            };
            moves.insert(name.clone(), wanted);
        }
        if moves.is_empty() {
            return Ok(Update::None);
        }
        let summary = match update {
            Update::Summary => SummaryPolicy::Generate,
            _ => SummaryPolicy::None,
        };
        let signing = Signing {
            signers: match update {
                Update::Summary => self.signers.to_vec(),
                _ => Vec::new(),
            },
            ..Signing::default()
        };
        if update == Update::Summary {
            let path = self.target.path().display();
            self.log.info(format_args!("Updating repo metadata of {path}"));
        }
        let outcome = self.incoming.publish(&moves, summary, signing)?;
        if let Some(generation) = outcome.generation {
            self.log.debug(format_args!("Made generation {generation}"));
        }
        Ok(update)
    }

    /// Writes the commit for a ref, with its signatures, to the archive.
    fn recommit(
        &self,
        commit: &Checksum,
        name: &RefName,
        parent: Option<Checksum>,
    ) -> anyhow::Result<Checksum> {
        let archive = self.incoming.archive();
        if archive.is_partial(commit)?.is_some() {
            bail!("Cannot copy irregular commit {commit}");
        }
        let bytes = archive.load_metadata(&ObjectName::new(*commit, ObjectType::Commit))?;
        let from = Commit::parse(&bytes).with_context(|| format!("cannot read commit {commit}"))?;
        let bytes = recommitted(self.target, (commit, from), name, parent).to_bytes();
        let transaction = archive.begin()?;
        let new = transaction.write_metadata(ObjectType::Commit, &bytes)?;
        if !self.signers.is_empty() {
            transaction.write_detached(&new, &sign_all(&bytes, self.signers)?)?;
        }
        transaction.commit()?;
        Ok(new)
    }
}

/// Tells the user what the libraries tell us.
struct Hears<'a> {
    context: &'a Context,
    interrupt: &'a Interrupt,
}

impl PullReporter for Hears<'_> {
    fn note(&self, text: &str) {
        self.context.ui().note(text);
    }

    fn interrupted(&self) -> bool {
        self.interrupt.is_set()
    }
}

impl Reporter for Hears<'_> {
    fn note(&self, text: &str) {
        self.context.ui().note(text);
    }
}
