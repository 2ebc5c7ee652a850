//! `trivial-httpd`: serves a directory over HTTP, with the options and the faults on purpose that stock's server for tests has.
//!
//! It ends when a signal comes, letting requests that are under way end first, or with `--autoexit` when its directory is
//! gone.

mod background;

use crate::context::Context;
use crate::environment::Environment;
use crate::exit;
use crate::interrupt::Interrupt;
use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ostler_serve::{Chance, Demands, Faults, Log, Server, TreeOptions, serve_tree};
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// How often we look for a signal, and whether the directory is still there.
const LOOK: Duration = Duration::from_millis(100);
/// How long requests that are under way may take after a signal.
const PATIENCE: Duration = Duration::from_secs(5);
/// `foouser:barpw`, as it is sent.
const BASIC_AUTH: &str = "Basic Zm9vdXNlcjpiYXJwdw==";

/// The arguments of `trivial-httpd`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
All files and directories below DIRECTORY are served that everybody may read, whatever they are, and nothing outside of it: \
symbolic links are followed within it. A link directly in it that leads to another directory serves that directory too. \
There is no encryption.

Examples:
  ostler trivial-httpd --port=8080 --address=127.0.0.1 /srv
  ostler trivial-httpd --daemonize --autoexit --port-file=port --log-file=log /srv")]
pub(crate) struct Args {
    /// What to serve
    #[arg(value_name = "DIRECTORY", default_value = ".", hide_default_value = true)]
    directory: PathBuf,
    /// Go on in the background as soon as requests are answered
    #[arg(short, long)]
    daemonize: bool,
    /// End when DIRECTORY is removed
    #[arg(long)]
    autoexit: bool,
    /// Listen at this port [default: a free one]
    #[arg(short = 'P', long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Listen at this address only
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    address: IpAddr,
    /// Write the number of the port to a file; - prints it
    #[arg(short, long, value_name = "PATH")]
    port_file: Option<PathBuf>,
    /// Write a line for each request to a file; - prints it
    #[arg(long, value_name = "PATH")]
    log_file: Option<PathBuf>,
    /// Require the user foouser with the password barpw
    #[arg(long)]
    require_basic_auth: bool,
    /// Refuse requests without this cookie
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    expected_cookies: Vec<(String, String)>,
    /// Refuse requests without this header
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    expected_header: Vec<(String, String)>,
    /// Break off in the middle of objects, unless a range is asked for
    #[arg(long)]
    force_range_requests: bool,
    /// Answer so many of a hundred requests with status 500
    #[arg(
        long,
        value_name = "PERCENTAGE",
        default_value_t = 0,
        hide_default_value = true
    )]
    random_500s: u8,
    /// Do that so many times at most
    #[arg(long, value_name = "MAX", default_value_t = 100)]
    random_500s_max: u32,
    /// Answer so many of a hundred requests with status 408
    #[arg(
        long,
        value_name = "PERCENTAGE",
        default_value_t = 0,
        hide_default_value = true
    )]
    random_408s: u8,
    /// Do that so many times at most
    #[arg(long, value_name = "MAX", default_value_t = 100)]
    random_408s_max: u32,
    /// We are the process in the background.
    #[arg(long, hide = true)]
    in_background: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.in_background {
        let site = background::answer(context, || begin(context, args))?;
        serve_until_end(args, site);
        return Ok(());
    }
    if args.daemonize {
        if args.log_file.as_deref().is_some_and(is_stream) {
            return Err(exit::usage(
                "Cannot use --log-file=- and --daemonize at the same time",
            ));
        }
        let port = background::start(context, args)?;
        return if args.port_file.as_deref().is_some_and(is_stream) {
            context.ui().line(port)
        } else {
            Ok(())
        };
    }
    let site = begin(context, args)?;
    serve_until_end(args, site);
    Ok(())
}

/// A running server, and what ends it.
struct Site {
    server: Server,
    interrupt: Interrupt,
    directory: File,
}

/// Starts the server, and tells its port.
fn begin(context: &Context, args: &Args) -> anyhow::Result<Site> {
    let mut options = tree_options(args)?;
    let directory = File::open(&args.directory)
        .with_context(|| format!("cannot open directory {}", args.directory.display()))?;
    options.log = args.log_file.as_deref().map(log_to).transpose()?;
    if let Some(log) = &options.log {
        log.line(&format!("serving at root {}", args.directory.display()));
    }
    let interrupt = Interrupt::watch()?;
    let server = serve_tree(&args.directory, SocketAddr::new(args.address, args.port), options)?;
    let port = server.addr().port();
    match args.port_file.as_deref() {
        Some(path) if is_stream(path) && args.in_background => {}
        Some(path) if is_stream(path) => {
            context.ui().line(port)?;
            context.ui().flush()?;
        }
        Some(path) => std::fs::write(path, format!("{port}\n"))
            .with_context(|| format!("cannot write the port to {}", path.display()))?,
        None => {}
    }
    Ok(Site {
        server,
        interrupt,
        directory,
    })
}

fn serve_until_end(args: &Args, site: Site) {
    let is_over = || site.interrupt.is_set() || args.autoexit && is_gone(&site.directory, &args.directory);
    while !is_over() {
        thread::sleep(LOOK);
    }
    site.server.finish(PATIENCE);
}

/// Returns whether the directory that we serve was removed, or another is in its place.
fn is_gone(directory: &File, path: &Path) -> bool {
    let Ok(ours) = directory.metadata() else {
        return true;
    };
    ours.nlink() == 0
        || std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) != (ours.dev(), ours.ino()))
}

fn tree_options(args: &Args) -> anyhow::Result<TreeOptions> {
    Ok(TreeOptions {
        demands: Demands {
            authorization: args.require_basic_auth.then(|| BASIC_AUTH.to_owned()),
            cookies: args.expected_cookies.clone(),
            headers: args.expected_header.clone(),
        },
        faults: Faults {
            half_objects: args.force_range_requests,
            errors: chance("--random-500s", args.random_500s, args.random_500s_max)?,
            timeouts: chance("--random-408s", args.random_408s, args.random_408s_max)?,
            seed: RandomState::new().build_hasher().finish(),
        },
        log: None,
    })
}

fn chance(option: &str, percent: u8, at_most: u32) -> anyhow::Result<Option<Chance>> {
    match percent {
        0 => Ok(None),
        1..=99 => Ok(Some(Chance { percent, at_most })),
        _ => Err(exit::usage(format!("Invalid {option}={percent}"))),
    }
}

/// Returns a log that puts the time before each line.
fn log_to(path: &Path) -> anyhow::Result<Log> {
    let to: Box<dyn Write + Send> = if is_stream(path) {
        Box::new(io::stdout())
    } else {
        let file = File::options().create(true).append(true).open(path);
        Box::new(file.with_context(|| format!("cannot open log {}", path.display()))?)
    };
    let to = Mutex::new(to);
    Ok(Log::new(move |line| {
        let time = Timestamp::try_from(Environment::clock()).map(|time| time.to_zoned(TimeZone::system()));
        let line = match time {
            Ok(time) => format!("{} - {line}\n", time.strftime("%Y-%m-%d %H:%M:%S%.6f")),
            Err(_) => format!("{line}\n"),
        };
        let mut to = to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A log that cannot be written, on a full disk for example, is no reason to serve nobody.
        let _written = to.write_all(line.as_bytes()).and_then(|()| to.flush());
    }))
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or_else(|| "not KEY=VALUE".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}
