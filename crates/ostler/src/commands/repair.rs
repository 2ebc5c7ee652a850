//! `repair`: brings back what is missing or damaged, from repositories that have it.

use crate::context::Context;
use crate::counted::counted;
use crate::network::{self, Connections};
use anyhow::{Context as _, bail};
use ostler_format::ObjectName;
use ostler_repo::fsck::Damage;
use ostler_repo::{RepairOptions, RepairReport, Repo, repair};
use ostler_transfer::TransferError;
use ostler_transfer::http::{Fault, Remote, RemoteOverrides, RemoteSettings};
use ostler_transfer::pull::{fetch_objects, find_repository};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

/// The arguments of `repair`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything that refs and commits need is read. What is missing or damaged is taken from the first source that has it \
sound, hashed on the way, and replaced in one step. What a source has damaged as well is told. Marks that commits are not whole go when they are. What is missing on \
purpose, after a pull of a part, stays so, and a history ends where a parent is missing, as ever. A ref whose file is \
damaged is set to what the first source on this machine has under its name.

Examples:
  ostler --repo=/srv/repo repair --from=/mnt/backup/repo
  ostler --repo=/srv/public repair --from=/srv/build1 --from=/srv/build2
  ostler --repo=/srv/repo repair --from=https://example.com/repo
  ostler --repo=/srv/repo repair --from=/mnt/backup/repo --dry-run --quick")]
pub(crate) struct Args {
    /// A repository on this machine, or the URL of one, to take objects from (may be repeated: the first that has one sound is
    /// used, those on this machine before others)
    #[arg(long, value_name = "REPO", required = true)]
    from: Vec<PathBuf>,
    /// Change nothing, only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not hash content: look whether it is there, and at its header
    #[arg(long)]
    quick: bool,
}

/// The result as JSON.
#[derive(Serialize)]
struct Record {
    objects: u64,
    dry_run: bool,
    repaired: Vec<Repaired>,
    lost: Vec<Lost>,
    restored_refs: Vec<RestoredRef>,
    lost_refs: Vec<LostRef>,
    completed_commits: Vec<String>,
    incomplete_commits: Vec<String>,
    strays: Vec<String>,
}

#[derive(Serialize)]
struct Repaired {
    object: String,
    damage: String,
    from: PathBuf,
}

#[derive(Serialize)]
struct Lost {
    object: String,
    damage: String,
    /// The sources that have it, but damaged.
    damaged_in: Vec<PathBuf>,
    commits: Vec<String>,
    refs: Vec<String>,
}

#[derive(Serialize)]
struct RestoredRef {
    name: String,
    damage: String,
    commit: String,
    from: PathBuf,
}

#[derive(Serialize)]
struct LostRef {
    name: String,
    damage: String,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let (sources, numbers) = local_sources(context, args)?;
    let repo = context.open()?;
    let options = RepairOptions {
        dry_run: args.dry_run,
        quick: args.quick,
        threads: thread::available_parallelism().map_or(1, NonZero::get),
    };
    let Brought { fetched, damaged } = fetch(context, args, &repo, &sources, options)?;
    let mut report = repair(&repo, &sources, &options)?;
    for (_, source) in report.mended.values_mut() {
        *source = numbers.get(*source).copied().unwrap_or_default();
    }
    for restored in report.restored_refs.values_mut() {
        restored.source = numbers.get(restored.source).copied().unwrap_or_default();
    }
    report.lost.retain(|name, _| !fetched.contains_key(name));
    for (name, loss) in &mut report.lost {
        let local = loss.damaged_at.iter().filter_map(|at| numbers.get(*at).copied());
        let others = damaged.get(name).into_iter().flatten().copied();
        loss.damaged_at = local.chain(others).collect();
    }
    report.mended.extend(fetched);
    print(context, args, &report)?;
    match report.lost.len() {
        0 => refuse_lost_refs(&report),
        1 => bail!("one object is still damaged: no source has it sound"),
        lost => bail!("{lost} objects are still damaged: no source has them sound"),
    }
}

/// Fails where a ref still names no commit.
fn refuse_lost_refs(report: &RepairReport) -> anyhow::Result<()> {
    match report.lost_refs.keys().next() {
        None => Ok(()),
        Some(name) => bail!(
            "ref '{name}' is still damaged: no source on this machine has it. 'refs --delete {name}' removes it, 'reset {name} COMMIT' \
             sets it anew"
        ),
    }
}

/// Opens the sources on this machine; also returns the place of each on the command line.
fn local_sources(context: &Context, args: &Args) -> anyhow::Result<(Vec<Repo>, Vec<usize>)> {
    let mut sources = Vec::new();
    let mut numbers = Vec::new();
    for (number, path) in args.from.iter().enumerate() {
        if url_of(path).is_none() {
            let source = context.open_at(path);
            sources.push(source.with_context(|| format!("source {}", path.display()))?);
            numbers.push(number);
        }
    }
    Ok((sources, numbers))
}

/// Returns a source that is not on this machine.
fn url_of(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains("://"))
}

/// What sources that are not on this machine had.
#[derive(Default)]
struct Brought {
    /// What was brought, or could be.
    fetched: BTreeMap<ObjectName, (Damage, usize)>,
    /// What some of them have, but damaged.
    damaged: BTreeMap<ObjectName, BTreeSet<usize>>,
}

/// Returns why nothing can be had from a URL.
fn no_source(url: &str, error: TransferError) -> anyhow::Error {
    let is_answer = matches!(
        error,
        TransferError::Fetch {
            fault: Fault::Status(_),
            ..
        }
    );
    let subject = if is_answer {
        format!("there is no repository at {url}")
    } else {
        format!("source {url}")
    };
    anyhow::Error::new(error).context(subject)
}

/// Brings what no source on this machine has sound from the others.
fn fetch(
    context: &Context,
    args: &Args,
    repo: &Repo,
    sources: &[Repo],
    options: RepairOptions,
) -> anyhow::Result<Brought> {
    let look = RepairOptions {
        dry_run: true,
        ..options
    };
    let mut brought = Brought::default();
    let urls = args.from.iter().enumerate();
    for (number, url) in urls.filter_map(|(number, path)| Some((number, url_of(path)?))) {
        let settings = RemoteSettings::of_url(url);
        let client = network::client(context, repo, &settings, &Connections::default())?;
        let remote = Remote::resolve(&settings, &RemoteOverrides::default(), &client)?;
        let mut asked = BTreeSet::new();
        loop {
            // What a tree that was missing names is known when it is here.
            let lost = repair(repo, sources, &look)?.lost;
            let known = |name: &ObjectName| brought.fetched.contains_key(name) || asked.contains(name);
            let wanted: BTreeSet<ObjectName> = lost.keys().filter(|name| !known(name)).copied().collect();
            if wanted.is_empty() {
                break;
            }
            if asked.is_empty() {
                find_repository(&remote, &client).map_err(|error| no_source(url, error))?;
            }
            let came = fetch_objects(repo, &remote, &client, &wanted, !args.dry_run)?;
            for name in came.damaged {
                brought.damaged.entry(name).or_default().insert(number);
            }
            for name in came.brought {
                let damage = lost
                    .get(&name)
                    .map_or(Damage::Missing, |loss| loss.damage.clone());
                brought.fetched.insert(name, (damage, number));
            }
            asked.extend(wanted);
        }
    }
    Ok(brought)
}

fn print(context: &Context, args: &Args, report: &RepairReport) -> anyhow::Result<()> {
    let ui = context.ui();
    if ui.json() {
        return ui.object(&record(args, report));
    }
    for (object, (damage, from)) in &report.mended {
        let does = if args.dry_run { "Would repair" } else { "Repaired" };
        ui.line(format_args!(
            "{does} {object} ({}) from {}",
            describe(object, damage),
            source(args, *from).display()
        ))?;
    }
    for (object, loss) in &report.lost {
        let refs: Vec<&str> = loss.refs.iter().map(String::as_str).collect();
        let needed = if refs.is_empty() {
            String::new()
        } else {
            format!(", needed by {}", refs.join(", "))
        };
        ui.line(format_args!(
            "Lost {object} ({}){needed}",
            describe(object, &loss.damage)
        ))?;
        for number in &loss.damaged_at {
            ui.line(format_args!(
                "  damaged in {} as well",
                source(args, *number).display()
            ))?;
        }
        for commit in &loss.commits {
            ui.line(format_args!("  in commit {commit}"))?;
        }
    }
    for (name, restored) in &report.restored_refs {
        let does = if args.dry_run { "Would set" } else { "Set" };
        ui.line(format_args!(
            "{does} ref '{name}' ({}) to {}, as in {}",
            restored.detail,
            restored.commit,
            source(args, restored.source).display()
        ))?;
    }
    for (name, detail) in &report.lost_refs {
        ui.line(format_args!("Lost ref '{name}' ({detail})"))?;
    }
    for commit in &report.completed {
        let is = if args.dry_run { "would be" } else { "is" };
        ui.line(format_args!("Commit {commit} {is} whole again"))?;
    }
    for stray in &report.strays {
        ui.line(format_args!(
            "Removed tmp/{stray}, which a process that is gone had left"
        ))?;
    }
    if !report.incomplete.is_empty() {
        ui.line(format_args!(
            "{} not whole on purpose, and {} so",
            counted(report.incomplete.len(), "commit"),
            if report.incomplete.len() == 1 {
                "stays"
            } else {
                "stay"
            },
        ))?;
    }
    let lost = report.lost.len();
    ui.line(format_args!(
        "{} looked at, {} {}, {lost} lost",
        counted(report.objects, "object"),
        report.mended.len(),
        if args.dry_run {
            "to be repaired"
        } else {
            "repaired"
        },
    ))
}

/// Returns a source as it was named.
fn source(args: &Args, number: usize) -> PathBuf {
    args.from.get(number).cloned().unwrap_or_default()
}

fn describe(object: &ObjectName, damage: &Damage) -> String {
    match damage {
        Damage::Missing => "missing".to_owned(),
        Damage::Checksum { actual } => format!("its checksum is {actual}, not {}", object.checksum),
        Damage::Malformed(detail) => detail.clone(),
    }
}

fn record(args: &Args, report: &RepairReport) -> Record {
    let commits = |commits: &BTreeSet<ostler_format::Checksum>| {
        commits.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let repaired = report.mended.iter().map(|(object, (damage, from))| Repaired {
        object: object.to_string(),
        damage: describe(object, damage),
        from: source(args, *from),
    });
    let lost = report.lost.iter().map(|(object, loss)| Lost {
        object: object.to_string(),
        damage: describe(object, &loss.damage),
        damaged_in: loss
            .damaged_at
            .iter()
            .map(|number| source(args, *number))
            .collect(),
        commits: commits(&loss.commits),
        refs: loss.refs.iter().cloned().collect(),
    });
    let restored = report.restored_refs.iter().map(|(name, restored)| RestoredRef {
        name: name.clone(),
        damage: restored.detail.clone(),
        commit: restored.commit.to_string(),
        from: source(args, restored.source),
    });
    let lost_refs = report.lost_refs.iter().map(|(name, detail)| LostRef {
        name: name.clone(),
        damage: detail.clone(),
    });
    Record {
        objects: report.objects,
        dry_run: args.dry_run,
        repaired: repaired.collect(),
        lost: lost.collect(),
        restored_refs: restored.collect(),
        lost_refs: lost_refs.collect(),
        completed_commits: commits(&report.completed),
        incomplete_commits: commits(&report.incomplete),
        strays: report.strays.clone(),
    }
}
