//! `receive`: the far end of a push, started by ssh.

use super::receive_from;
use crate::context::Context;
use crate::counted::counted;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::patience::{PatientRead, PatientWrite};
use crate::program::Program;
use anyhow::Context as _;
use ostler_format::RefName;
use ostler_transfer::TransferError;
use ostler_transfer::receive::{
    ReceiveOptions, ReceiveRules, Rights, Surroundings, clean_up, is_clean_up_due, problems, receive,
};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::num::NonZero;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The arguments of `receive`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
'ostler push' starts this at the far end and speaks with it over standard input and output. For a key that may do nothing else, \
~/.ssh/authorized_keys says:
  restrict,command=\"ostler receive --as=ci-x86\" ssh-ed25519 AAAA...

What may be done is said by receive.toml; without it, or where no rule of it applies, nothing may:
  root = \"/srv/repos\"                # repositories lie below it, and no path leads out
  summary = \"auto\"                   # or \"generate\", or \"none\": what becomes of summaries
  [[allow]]
  who = [\"ci-x86\", \"release\"]        # names that --as gives, or of users; without: everybody
  refs = \"os/x86_64/**\"              # '*' within a part of a name, '**' across parts
  may = [\"create\", \"fast-forward\"]   # also \"force\" and \"delete\"

Commits can be required to be signed, newer, bound to the ref and free of setuid files, and pushes be limited ([[require]]). \
Programs of yours may refuse what is pushed ([hooks]), commits and summaries be signed ([[sign]]), pushes be written down (audit) and \
what was retired be removed (sweep): docs/receive.md says how.

With --repo pushes go to that repository and no other, whatever path they name.

Examples:
  ostler receive --check-config
  ostler receive --check-config --as=ci-x86 os/x86_64/stable
  ostler receive --as=ci-x86 --config=/etc/ostler/ci.toml
  ostler receive --repo=/srv/repo --allow=create,fast-forward
  ostler receive --from=https://build.example.org/repo --path=/srv/repos/os os/x86_64/stable")]
pub(crate) struct Args {
    /// Who pushes, by a name that the rules know [default: the user who runs this]
    #[arg(long = "as", value_name = "NAME")]
    pub(super) pusher: Option<String>,
    /// The file that says what may be done [default: ~/.config/ostler/receive.toml, else /etc/ostler/receive.toml]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Allow this for all refs of the repository that --repo names, in place of a file: create, fast-forward, force, delete
    #[arg(
        long,
        value_name = "WORD,...",
        value_delimiter = ',',
        conflicts_with = "config"
    )]
    pub(super) allow: Vec<String>,
    /// Read the file, say what is wrong with it, and do nothing
    #[arg(long, conflicts_with = "allow", group = "about")]
    check_config: bool,
    /// Remove from a repository what was retired for longer than the rules let it stay: started behind a push
    #[arg(long, value_name = "PATH", hide = true, conflicts_with_all = ["check_config", "allow"])]
    sweep: Option<PathBuf>,
    /// Take commits from this repository, in place of a push, by the same rules
    #[arg(long, value_name = "URL", group = "about")]
    pub(super) from: Option<String>,
    /// Bring them to this repository, as a push names it
    #[arg(long, value_name = "PATH", requires = "from")]
    pub(super) path: Option<String>,
    /// Move refs even where that is no fast-forward, if the rules allow it
    #[arg(long, requires = "from")]
    pub(super) force: bool,
    /// Say what would become of the refs, and leave them
    #[arg(short = 'n', long, requires = "from")]
    pub(super) dry_run: bool,
    /// With --from, refs there, with the refs here that shall name them [default: all that its summary lists]; with --check-config,
    /// refs of which to say what the pusher may do, and what is required of their commits
    #[arg(value_name = "REF[:DESTREF]", requires = "about")]
    pub(super) refs: Vec<String>,
    /// Give up when nothing has moved for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub(super) idle_timeout: NonZero<u64>,
}

/// Where the rules of all users lie.
const SYSTEM: &str = "/etc/ostler/receive.toml";

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.check_config {
        return check(context, args);
    }
    if let Some(url) = &args.from {
        return receive_from::run(context, args, url);
    }
    if args.sweep.is_none() && io::stdin().is_terminal() {
        return Err(exit::usage(
            "this is the far end of a push: 'ostler push' starts it by ssh",
        ));
    }
    let rules = rules(context, args)?;
    let repository = context.named_repository();
    let interrupt = Interrupt::watch()?;
    let environment = context.environment();
    let pusher = args.pusher.clone().unwrap_or_else(|| environment.user_name());
    let who = match environment.ssh_client() {
        Some(client) => format!("{pusher} (from {client})"),
        None => format!("{pusher} ({})", environment.who()),
    };
    let options = ReceiveOptions {
        rules: &rules,
        repository: repository.as_deref(),
        pusher: &pusher,
        who: &who,
        agent: &Program::Ostler.user_agent(),
        trust: &crate::trust::paths(context),
        open: &context.open_options(true),
        clock: &|| environment.now(),
        jobs: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        interrupted: interrupt.flag(),
        around: &Surroundings {
            address: environment.ssh_client().map(str::to_owned),
            home: environment.home.clone(),
            interruption: interrupt.of_signers(),
        },
    };
    let ended = match &args.sweep {
        Some(path) => clean_up(path, &options).map(drop),
        None => push(context, args, &options),
    };
    match ended {
        Err(TransferError::Interrupted) => Err(exit::Interrupted.into()),
        // Whoever speaks with us has read it, and would read it once more from ssh.
        Err(error) if args.sweep.is_none() && !is_about_the_line(&error) => Err(exit::Told.into()),
        ended => Ok(ended?),
    }
}

/// Returns whether the other end may be none that understands what we say.
fn is_about_the_line(error: &TransferError) -> bool {
    matches!(error, TransferError::Cut(_) | TransferError::Protocol(_))
}

/// Takes a push in. What comes after it is left to another process: whoever pushes waits for this one.
fn push(context: &Context, args: &Args, options: &ReceiveOptions<'_>) -> Result<(), TransferError> {
    let limit = Duration::from_secs(args.idle_timeout.get());
    // Past the lock of standard output: whoever ends while the pusher does not read has to get by it.
    let output = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(TransferError::Cut)?;
    let received = receive(
        PatientRead::new(io::stdin(), limit),
        PatientWrite::new(File::from(output), limit),
        options,
    )?;
    let Some(repository) = received.repository else {
        return Ok(());
    };
    // The next push finds it due again.
    if received.generation.is_some() && is_clean_up_due(&repository, options).unwrap_or(false) {
        drop(start_sweep(context, args, &repository));
    }
    Ok(())
}

/// Starts a process of its own, that holds none of our streams: ssh ends with us.
fn start_sweep(context: &Context, args: &Args, repository: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(context.environment().executable()?);
    command.arg("receive").arg("--sweep").arg(repository);
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    if let Some(pusher) = &args.pusher {
        command.arg("--as").arg(pusher);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(())
}

fn check(context: &Context, args: &Args) -> anyhow::Result<()> {
    let path = place(context, args)
        .with_context(|| format!("there is no {SYSTEM}, and no receive.toml of the user"))?;
    let rules = read(&path)?;
    let root = match rules.root() {
        Some(root) => format!("repositories lie below {}", root.display()),
        None => "without a root: pushes go to what --repo names".to_owned(),
    };
    context.ui().line(format!(
        "{}: {}, {root}",
        path.display(),
        counted(rules.len(), "rule")
    ))?;
    explain(context, args, &rules)?;
    let problems = problems(&rules, &crate::trust::paths(context));
    if problems.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{}: {}", path.display(), problems.join("; "))
}

/// Says what the pusher may do to each ref that is named, and what is required of its commits.
fn explain(context: &Context, args: &Args, rules: &ReceiveRules) -> anyhow::Result<()> {
    let user = context.environment().user_name();
    let pusher = args.pusher.as_ref().unwrap_or(&user);
    for name in &args.refs {
        let name: RefName = name
            .parse()
            .map_err(|fault: ostler_format::FormatError| exit::usage(fault.to_string()))?;
        let rights = rules.rights(pusher, name.as_str()).words();
        let may = if rights.is_empty() {
            "nothing".to_owned()
        } else {
            rights.join(", ")
        };
        let requirements = rules.requirements(pusher, name.as_str());
        context
            .ui()
            .line(format!("'{name}': '{pusher}' may {may}; {requirements}"))?;
    }
    Ok(())
}

pub(super) fn rules(context: &Context, args: &Args) -> anyhow::Result<ReceiveRules> {
    if !args.allow.is_empty() {
        if context.named_repository().is_none() {
            return Err(exit::usage("--allow is about the repository that --repo names"));
        }
        let rights = args
            .allow
            .iter()
            .try_fold(Rights::default(), |rights, word| rights.with(word));
        let rights = rights
            .ok_or_else(|| exit::usage("create, fast-forward, force and delete are what may be allowed"))?;
        return Ok(ReceiveRules::everywhere(rights));
    }
    match place(context, args) {
        Some(path) => read(&path),
        // Who pushes is told that nothing is allowed.
        None => Ok(ReceiveRules::default()),
    }
}

/// Returns the file that is to be read: the one that is named, else the first that is there.
fn place(context: &Context, args: &Args) -> Option<PathBuf> {
    let own = context.environment().configuration("receive.toml");
    let usual = || {
        own.into_iter()
            .chain([PathBuf::from(SYSTEM)])
            .find(|path| path.exists())
    };
    args.config.clone().or_else(usual)
}

fn read(path: &Path) -> anyhow::Result<ReceiveRules> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(ReceiveRules::LIMIT + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > ReceiveRules::LIMIT {
        anyhow::bail!("{} is larger than any file of rules", path.display());
    }
    Ok(ReceiveRules::parse(&bytes, &path.display().to_string())?)
}
