//! A push to a far end that has only stock tools: it pulls from us, through the connection by which we have come.
//!
//! Order of effects:
//! 1. a server of ours listens on the loopback interface and hands out nothing yet; ssh lets a port of the far end's loopback interface lead
//!    to it;
//! 2. the script at the far end tells what the refs name; what may not move ends the push here;
//! 3. *source shared*: the commits are pinned, and the server hands them out, below a secret path that only the standard input of the script
//!    has carried and that lies in a file for its owner only;
//! 4. *far end*: a repository of its own in `tmp`, whose parent is the repository, takes in what comes: nobody sees it, and a run that is cut short
//!    leaves no more than that, which the next one removes;
//! 5. *far end*: commits are linked into the repository; then, unless somebody has moved one meanwhile, the refs move in one transaction of
//!    stock's, then others go, then the summary is made anew; all is synced.
//!
//! Where the far end has `ostree-receive` that does step 5, by rules of its own: it makes commits of its own of what has come.

mod forward;
mod serving;
mod talk;

use super::{Delivery, Heard};
use crate::commands::far::{Way, quoted};
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::running::Running;
use anyhow::{Context as _, bail};
use crossbeam_channel::{Receiver, unbounded};
use forward::Forward;
use ostler_format::{Checksum, RefName};
use ostler_repo::Repo;
use ostler_serve::{Server, serve_source};
use ostler_transfer::push::{Fate, Pushed, PushedRef, Shelf, Wanted};
use serving::{Asking, Request};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use talk::Talk;

/// What runs at the far end. No value is part of it.
const SCRIPT: &str = include_str!("far.sh");

/// Refs of the far end with what they shall name.
pub(super) type Updates = BTreeMap<RefName, Option<Checksum>>;

/// A server of ours, and the connection by which the far end reaches it.
struct Tunnel {
    // In the order in which they go.
    forward: Forward,
    server: Server,
    requests: Receiver<Request>,
    url: String,
}

impl Tunnel {
    fn dig(
        context: &Context,
        (host, port): (&str, Option<u16>),
        way: &Way,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let (asking, requests) = unbounded();
        let secret = context.environment().secret()?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = serve_source(Arc::new(Asking(asking)), &secret, loopback)?;
        let forward = Forward::open(way, (host, port), server.addr(), context, interrupt)?;
        let url = format!("http://127.0.0.1:{}/{secret}", forward.far_port());
        Ok(Self {
            forward,
            server,
            requests,
            url,
        })
    }

    /// Lets the far end take what is on the shelf while `work` is under way.
    fn open<T>(self, shelf: &Shelf<'_>, jobs: usize, heard: &Heard<'_>, work: impl FnOnce(&Self) -> T) -> T {
        let directory = self.forward.directory().to_owned();
        thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                let requests = self.requests.clone();
                let directory = &directory;
                scope.spawn(move || serving::answer(shelf, &requests, directory, heard));
            }
            let done = work(&self);
            // Nobody asks any more.
            drop(self);
            done
        })
    }
}

/// Lets `far` run at the far end, a command line that is made of the URL from which it can take the commits of `refs` by these names, with a
/// summary that lists them. Returns how it ended.
///
/// Whoever can list processes of the far end sees the URL, if the command line says it.
pub(crate) fn while_serving(
    context: &Context,
    source: &Repo,
    refs: &BTreeMap<RefName, Checksum>,
    host: (&str, Option<u16>),
    way: &Way,
    far: &dyn Fn(&str) -> OsString,
) -> anyhow::Result<std::process::ExitStatus> {
    let interrupt = Interrupt::watch()?;
    let updates: Updates = refs
        .iter()
        .map(|(name, commit)| (name.clone(), Some(*commit)))
        .collect();
    let wanted = Wanted {
        updates: &updates,
        drops: None,
        force: true,
        depth: Some(0),
    };
    let shelf = Shelf::stock(source, &BTreeMap::new(), &wanted)?;
    let tunnel = Tunnel::dig(context, host, way, &interrupt)?;
    let heard = Heard::new(context.ui());
    tunnel.open(&shelf, threads(None), &heard, |tunnel| {
        let session = tunnel.forward.session(&far(&tunnel.url)).spawn();
        let mut session = Running(session.context("cannot start ssh")?);
        let status = session.wait(&interrupt).context("cannot wait for ssh")?;
        interrupt.check()?;
        Ok(status)
    })
}

/// Returns how many threads hand out objects.
fn threads(asked: Option<NonZero<usize>>) -> usize {
    let jobs = asked.or_else(|| thread::available_parallelism().ok());
    jobs.map_or(1, NonZero::get)
}

/// Where a push goes: the host, its port, the path of the repository there.
pub(super) type Place<'a> = (&'a str, Option<u16>, &'a str);

/// Pushes so.
pub(super) fn push(
    context: &Context,
    delivery: &Delivery<'_>,
    place: Place<'_>,
    jobs: Option<NonZero<usize>>,
    (interrupt, heard): (&Interrupt, &Heard<'_>),
) -> anyhow::Result<Pushed> {
    let is_flipping = Cell::new(false);
    let pushed = converse(
        context,
        delivery,
        place,
        threads(jobs),
        (interrupt, heard, &is_flipping),
    );
    pushed.map_err(|error| match is_flipping.get() {
        _ if interrupt.is_set() => error,
        true => error.context(format!(
            "refs of {} may have moved: look at them, or push again",
            delivery.named
        )),
        false => error.context(format!("nothing was pushed to {}", delivery.named)),
    })
}

fn converse(
    context: &Context,
    delivery: &Delivery<'_>,
    (host, port, path): Place<'_>,
    jobs: usize,
    (interrupt, heard, is_flipping): (&Interrupt, &Heard<'_>, &Cell<bool>),
) -> anyhow::Result<Pushed> {
    let Delivery { way, wanted, .. } = delivery;
    let updates = wanted.updates;
    let tunnel = Tunnel::dig(context, (host, port), way, interrupt)?;
    let session = tunnel.forward.session(&script());
    let moves = tunnel.server.movement();
    let mut talk = Talk::start(session, interrupt, way.patience(), &moves)?;
    let [tool, ostree, receive] = programs(way.command.as_deref())?;
    talk.say(&[path, tool, ostree, receive])?;
    let names: Vec<&str> = updates.keys().map(RefName::as_str).collect();
    talk.say(&names)?;
    talk.say(&[""])?;
    let told = talk.hear("ready")?;
    let commits_anew = told.rest == "receive";
    if commits_anew && updates.values().any(Option::is_none) {
        bail!("ostree-receive, which the far end has, deletes no refs: '--command=ostree' goes past it");
    }
    let nothing = BTreeMap::new();
    let wanted = Wanted {
        depth: if commits_anew { Some(0) } else { wanted.depth },
        ..*wanted
    };
    let shelf = Shelf::stock(
        delivery.source,
        if commits_anew { &nothing } else { &told.refs },
        &wanted,
    )?;
    let known = |pushed: &PushedRef| expected(pushed, delivery.dry_run);
    if shelf.is_refused() || shelf.is_idle() || (delivery.dry_run && !commits_anew) {
        return Ok(pushed_of(shelf.refs().map(known), heard));
    }
    let moved = tunnel.open(&shelf, jobs, heard, |tunnel| {
        let told = go(&mut talk, tunnel, &shelf, (&told.refs, delivery));
        is_flipping.set(talk.is_flipping);
        drop(talk);
        told
    })?;
    let differs = |(name, new): (&RefName, &Option<Checksum>)| moved.refs.get(name) != new.as_ref();
    if commits_anew && !delivery.dry_run && updates.iter().any(differs) {
        heard.tell(ANEW);
    }
    if moved.words.iter().any(|word| word == "signed") {
        heard.tell("its summary is signed, and stays as it was until somebody signs a new one");
    }
    let became = |pushed: &PushedRef| {
        let now = moved.refs.get(&pushed.name).copied();
        let old = told.refs.get(&pushed.name).copied();
        let is_old = commits_anew && now == old && !delivery.dry_run;
        PushedRef {
            name: pushed.name.clone(),
            old,
            new: if delivery.dry_run { pushed.new } else { now },
            fate: if is_old {
                Fate::UpToDate
            } else {
                expected(pushed, true).fate
            },
        }
    };
    Ok(pushed_of(shelf.refs().map(became), heard))
}

/// What is told where checksums are others than here.
const ANEW: &str =
    "ostree-receive made commits of its own: they hold the same files, and have other checksums";

/// Lets the far end pull, and returns what it tells of its refs at the end.
fn go(
    talk: &mut Talk<'_>,
    tunnel: &Tunnel,
    shelf: &Shelf<'_>,
    (old, delivery): (&BTreeMap<RefName, Checksum>, &Delivery<'_>),
) -> anyhow::Result<talk::Heard> {
    // All that there is: where the shelf ends, history does.
    talk.say(&[&tunnel.url, "-1", &options(delivery)])?;
    for goes in [false, true] {
        for pushed in shelf.refs() {
            if pushed.fate == Fate::NotTried && pushed.new.is_none() == goes {
                let before = old.get(&pushed.name).map_or("-".to_owned(), ToString::to_string);
                talk.say(&[&format!("{before} {}", pushed.name)])?;
            }
        }
        talk.say(&[""])?;
    }
    talk.hear("done")
}

/// Returns the options of `ostree-receive`.
fn options(delivery: &Delivery<'_>) -> String {
    let mut options = Vec::new();
    if delivery.dry_run {
        options.push("-n");
    }
    if delivery.wanted.force {
        options.push("-f");
    }
    options.join(" ")
}

/// Returns what is to run the script.
fn script() -> OsString {
    let mut far = OsString::from("exec sh -c ");
    far.push(quoted(&OsString::from(SCRIPT)));
    far
}

/// Returns which tool is to be used, and the two programs.
fn programs(command: Option<&OsStr>) -> anyhow::Result<[&str; 3]> {
    let Some(command) = command else {
        return Ok(["any", "ostree", "ostree-receive"]);
    };
    let command = command
        .to_str()
        .context("the program of the far end is no UTF-8")?;
    Ok(if command.rsplit('/').next() == Some("ostree-receive") {
        ["receive", "ostree", command]
    } else {
        ["plain", command, "ostree-receive"]
    })
}

/// Returns a ref that was not tried as one that would move, where it is only asked what would.
fn expected(pushed: &PushedRef, passes: bool) -> PushedRef {
    let mut pushed = pushed.clone();
    if passes && pushed.fate == Fate::NotTried {
        pushed.fate = Fate::Accepted;
    }
    pushed
}

fn pushed_of(refs: impl Iterator<Item = PushedRef>, heard: &Heard<'_>) -> Pushed {
    let (objects, bytes) = heard.counted();
    Pushed {
        refs: refs.collect(),
        signatures: Vec::new(),
        generation: None,
        objects,
        bytes,
    }
}
