//! `push`: brings commits into a repository that another ostler guards.

mod pull;
mod report;
mod tunnel;

pub(crate) use tunnel::while_serving;

use super::far::{Destination, Line, Way};
use crate::commands::target;
use crate::context::Context;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::program::Program;
use crate::sizes::format_size;
use crate::ui::Ui;
use anyhow::Context as _;
use ostler_format::{Checksum, RefName};
use ostler_repo::{RefScope, Repo};
use ostler_transfer::TransferError;
use ostler_transfer::push::{PushOptions, PushReporter, Pushed, Wanted, push};
use serde_json::json;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// The arguments of `push`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/build push build@repo.example.org:/srv/repo os/x86_64/stable
  ostler --repo=/srv/build push ssh://build@repo.example.org:2222/os testing:stable
  ostler --repo=/srv/build push repo:os --delete=os/x86_64/old
  ostler --repo=/srv/build push /srv/repo --dry-run
  ostler push --via=pull --source-url=https://build.example.org/repo build@repo.example.org:os os/x86_64/stable
  ostler --repo=/srv/build push --via=tunnel build@old.example.org:/srv/repo os/x86_64/stable

DEST is HOST:PATH or ssh://HOST[:PORT]/PATH, where an ostler is installed and a receive.toml says what may be \
done ('ostler receive --help'), a directory, or the name of a remote whose url is one of these. The far \
end asks for the objects that it lacks, hashes what comes, and moves all refs in one step, or none: each only from what \
it named when the push began. Signatures that its commits have got since they were pushed are brought as well.

With --via=tunnel the far end needs no ostler, but a key that may run commands and forward ports: it pulls what is pushed back through the same \
ssh, from a server that nobody else can use, by ostree-receive, which makes commits of its own, or with --command=ostree by ostree alone, which keeps \
their checksums. Refs move as stock moves them: each for itself, in one transaction.

With --via=pull nothing goes from here: 'ostler receive --from' at the far end, which ssh has to be allowed to run, pulls the refs from a URL, by the rules \
of its receive.toml.

A push that is cut short changes nothing, and the next one goes on from there. Exit status 0 means that the refs have moved and that \
this survives a power cut.")]
#[expect(clippy::struct_excessive_bools, reason = "one field an option")]
pub(crate) struct Args {
    /// Where to push to
    #[arg(value_name = "DEST")]
    destination: String,
    /// Refs or commits of this repository, with the refs of DEST that shall name them [default: all refs, by their names]
    #[arg(value_name = "REF[:DESTREF]")]
    refs: Vec<String>,
    /// Remove a ref of DEST
    #[arg(long, value_name = "REF")]
    delete: Vec<RefName>,
    /// Move refs even where that is no fast-forward, if DEST allows it
    #[arg(long)]
    force: bool,
    /// Ask DEST what would become of the refs, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// All refs move, or none; that is so in any case
    #[arg(long)]
    atomic: bool,
    /// Return when readers of DEST find the refs moved; that is so in any case
    #[arg(long)]
    wait_visible: bool,
    /// How objects get there
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    via: Via,
    /// Where the refs are on HTTP, for --via=pull
    #[arg(long, value_name = "URL", required_if_eq("via", "pull"))]
    source_url: Option<String>,
    /// Offer so many parents of each commit whose ref DEST has not got, or that moves by --force; -1 for all
    #[arg(long, value_name = "DEPTH", default_value = "-1", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    depth: i64,
    /// How many objects are handed out at once through a tunnel [default: the number of processors]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Send no more than so many bytes in a second; numbers may end in K, M or G
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    limit_rate: Option<NonZero<u64>>,
    #[command(flatten)]
    way: Way,
}

/// How objects get to the far end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Via {
    /// An ostler there asks for what it lacks
    #[default]
    Stream,
    /// Stock's ostree-receive or ostree there pulls them back through ssh
    Tunnel,
    /// An ostler there pulls them from --source-url
    Pull,
}

/// Reads a number of bytes.
fn rate(text: &str) -> Result<NonZero<u64>, String> {
    let expected = || "a number is expected, perhaps with K, M or G at its end".to_owned();
    let (digits, unit) = match text.find(|character: char| !character.is_ascii_digit()) {
        None => (text, ""),
        Some(end) => text.split_at_checked(end).ok_or_else(expected)?,
    };
    let unit: u64 = match unit {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err(expected()),
    };
    let number = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    number.and_then(NonZero::new).ok_or_else(expected)
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    check(args)?;
    if args.via == Via::Pull {
        return pull::run(context, args);
    }
    let source = context.open()?;
    let destination = Destination::parse(&args.destination, &source)?;
    if let Destination::Directory(path) = &destination {
        target::refuse_nested(path, &source)?;
    }
    let updates = updates(&source, args)?;
    let interrupt = Interrupt::watch()?;
    let heard = Heard::new(context.ui());
    let delivery = Delivery {
        source: &source,
        destination: &destination,
        receiver: None,
        named: &args.destination,
        way: &args.way,
        wanted: Wanted {
            updates: &updates,
            drops: None,
            force: args.force,
            depth: args.depth(),
        },
        limit_rate: args.limit_rate,
        dry_run: args.dry_run,
    };
    delivery.report(context, &interrupt, &heard, || match (&destination, args.via) {
        (Destination::Ssh { host, port, path }, Via::Tunnel) => {
            let place = (host.as_str(), *port, path.as_str());
            tunnel::push(context, &delivery, place, args.jobs, (&interrupt, &heard))
        }
        (Destination::Directory(_), Via::Tunnel) => Err(exit::usage(
            "a tunnel leads through ssh: to a directory of this machine go without --via",
        )),
        _ => delivery.stream(context, &interrupt, &heard),
    })
}

/// Brings refs to an ostler of another machine, and tells what became of them.
pub(super) fn to_far_end(context: &Context, delivery: &Delivery<'_>) -> anyhow::Result<()> {
    let interrupt = Interrupt::watch()?;
    let heard = Heard::new(context.ui());
    delivery.report(context, &interrupt, &heard, || {
        delivery.stream(context, &interrupt, &heard)
    })
}

/// What is brought where.
pub(super) struct Delivery<'a> {
    pub(super) source: &'a Repo,
    pub(super) destination: &'a Destination,
    /// Returns the call of its receiver, where that is not the usual one.
    pub(super) receiver: Option<&'a dyn Fn() -> Command>,
    /// The destination in the user's words.
    pub(super) named: &'a str,
    pub(super) way: &'a Way,
    pub(super) wanted: Wanted<'a>,
    pub(super) limit_rate: Option<NonZero<u64>>,
    pub(super) dry_run: bool,
}

impl Delivery<'_> {
    /// Does the work with counters before the user's eyes, and tells what became of each ref.
    fn report(
        &self,
        context: &Context,
        interrupt: &Interrupt,
        heard: &Heard<'_>,
        work: impl FnOnce() -> anyhow::Result<Pushed>,
    ) -> anyhow::Result<()> {
        let pushed = context.ui().while_counting(|| heard.shown(), work);
        let pushed = match pushed {
            // A signal reaches ssh as well, which may be gone before we look.
            Err(_) if interrupt.is_set() => return Err(exit::Interrupted.into()),
            pushed => pushed?,
        };
        report::outcome(context.ui(), self.named, &pushed, self.dry_run)?;
        // Where one is refused, none has moved.
        if pushed.is_refused() {
            let what = if self.dry_run { "would be" } else { "was" };
            anyhow::bail!("nothing {what} pushed to {}", self.named);
        }
        if pushed.lacks_signatures() {
            let what = if self.dry_run { "would be" } else { "were" };
            anyhow::bail!("not all signatures {what} pushed to {}", self.named);
        }
        Ok(())
    }

    /// Speaks with an ostler of the far end.
    fn stream(&self, context: &Context, interrupt: &Interrupt, heard: &Heard<'_>) -> anyhow::Result<Pushed> {
        let (line, input, output) = match self.receiver {
            Some(receiver) => Line::start(receiver(), self.way)?,
            None => Line::open(context, self.destination, self.way)?,
        };
        let path = match self.destination {
            Destination::Ssh { path, .. } => path.as_str(),
            Destination::Directory(_) => "",
        };
        let options = PushOptions {
            path,
            agent: &Program::Ostler.user_agent(),
            wanted: self.wanted,
            limit_rate: self.limit_rate,
            dry_run: self.dry_run,
            interrupted: interrupt.flag(),
            hang_up: &|| line.hang_up(),
            reporter: heard,
        };
        let pushed = push(self.source, input, output, &options);
        let pushed = pushed.map_err(|error| explained(error, &line, self.named))?;
        line.close()?;
        Ok(pushed)
    }
}

/// Refuses options that mean nothing together.
fn check(args: &Args) -> anyhow::Result<()> {
    if args.via != Via::Stream && args.limit_rate.is_some() {
        return Err(exit::usage("--limit-rate is for --via=stream"));
    }
    if args.via == Via::Pull && (!args.delete.is_empty() || args.depth().is_some()) {
        return Err(exit::usage("--delete and --depth are not for --via=pull"));
    }
    if args.via != Via::Pull && args.source_url.is_some() {
        return Err(exit::usage("--source-url is for --via=pull"));
    }
    if args.via != Via::Tunnel && args.jobs.is_some() {
        return Err(exit::usage(
            "--jobs is for --via=tunnel: a stream is one in any case",
        ));
    }
    Ok(())
}

impl Args {
    /// Returns how many parents are offered; `None` is all.
    fn depth(&self) -> Option<u64> {
        u64::try_from(self.depth).ok()
    }
}

/// Returns what is wanted of the refs of the far end.
fn updates(source: &Repo, args: &Args) -> anyhow::Result<tunnel::Updates> {
    let mut updates = BTreeMap::new();
    if args.refs.is_empty() && args.delete.is_empty() {
        for (refspec, commit) in source.list_refs(RefScope::Local)? {
            if !refspec.name.may_be_temporary() {
                updates.insert(refspec.name, Some(commit));
            }
        }
    }
    let mut add = |name: RefName, commit: Option<Checksum>| {
        let before = updates.insert(name.clone(), commit);
        before.map_or(Ok(()), |_| {
            Err(exit::usage(format!("two things are wanted of '{name}'")))
        })
    };
    for wanted in &args.refs {
        let (rev, name) = wanted.split_once(':').unwrap_or((wanted, wanted));
        let name: RefName = name
            .parse()
            .map_err(|fault: ostler_format::FormatError| exit::usage(fault.to_string()))?;
        let commit = source.resolve_rev(rev)?;
        // That there is such a commit is not said by a checksum.
        source
            .load_commit(&commit)
            .with_context(|| format!("cannot push '{rev}'"))?;
        add(name, Some(commit))?;
    }
    for name in &args.delete {
        add(name.clone(), None)?;
    }
    if updates.is_empty() {
        anyhow::bail!("the repository has no refs to push");
    }
    Ok(updates)
}

/// Says how the way to the far end ended, where that is what went wrong.
fn explained(error: TransferError, line: &Line, destination: &str) -> anyhow::Error {
    let is_cut = matches!(&error, TransferError::Cut(fault) if fault.kind() != std::io::ErrorKind::TimedOut);
    let status = if is_cut { line.close().ok() } else { None };
    let context = format!("nothing was pushed to {destination}");
    let error = anyhow::Error::new(error);
    match status.filter(|status| !status.success()) {
        Some(status) => error
            .context(format!("{} ended with {status}", line.program()))
            .context(context),
        None => error.context(context),
    }
}

/// What a user hears meanwhile: counters on a terminal, notes.
#[derive(Debug)]
struct Heard<'a> {
    ui: &'a Ui,
    wanted: AtomicU64,
    sent: AtomicU64,
    bytes: AtomicU64,
}

impl<'a> Heard<'a> {
    fn new(ui: &'a Ui) -> Self {
        Self {
            ui,
            wanted: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Returns how many objects went, and their bytes.
    fn counted(&self) -> (u64, u64) {
        (
            self.sent.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    /// Tells something that the far end does not say itself.
    fn tell(&self, text: &str) {
        self.note(text);
    }

    fn shown(&self) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, wanted) = (read(&self.sent), read(&self.wanted));
        format!(
            "sent {sent} of {wanted} objects, {}",
            format_size(read(&self.bytes))
        )
    }
}

impl PushReporter for Heard<'_> {
    fn wanted(&self, objects: u64) {
        self.wanted.fetch_add(objects, Ordering::Relaxed);
    }

    fn sent(&self, bytes: u64) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn note(&self, text: &str) {
        if self.ui.json() {
            // The run matters more, and its last line will tell.
            let told = self.ui.object(&json!({ "event": "note", "text": text }));
            drop(told.and_then(|()| self.ui.flush()));
        }
        self.ui.note(&format!("far end: {text}"));
    }
}
