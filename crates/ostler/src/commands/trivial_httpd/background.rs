//! Going on in the background: the program is started again, in a session of its own, and this process ends when that one
//! answers requests.
//!
//! What the new process has to say goes through a pipe in place of its standard output, one line: `ready PORT`, or `failed`
//! with the reason. Neither standard output nor standard error of ours stays open in it, so that whoever reads them sees their
//! end.

use super::Args;
use crate::context::Context;
use anyhow::{Context as _, anyhow, bail};
use rustix::process::setsid;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Starts the server in the background and returns its port once it answers.
pub(super) fn start(context: &Context, args: &Args) -> anyhow::Result<u16> {
    let executable = context.environment().executable()?;
    let mut child = Command::new(&executable)
        .arg0(context.program().name())
        .args(words(args))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", executable.display()))?;
    let mut said = String::new();
    if let Some(pipe) = child.stdout.take() {
        let _size = BufReader::new(pipe)
            .read_line(&mut said)
            .context("cannot hear from the server")?;
    }
    match said.trim_end().split_once(' ') {
        Some(("ready", port)) => port.parse().context("the server names no port"),
        Some(("failed", reason)) => {
            let _ended = child.wait();
            Err(anyhow!("{reason}"))
        }
        _ => bail!("the server ended before it answered"),
    }
}

/// Does in the background what `begin` does, and tells the one who waits for it.
pub(super) fn answer(
    context: &Context,
    begin: impl FnOnce() -> anyhow::Result<super::Site>,
) -> anyhow::Result<super::Site> {
    // Fails only for whom it was done already.
    let _session = setsid();
    let begun = begin();
    let ui = context.ui();
    match &begun {
        Ok(site) => ui.line(format_args!("ready {}", site.server.addr().port()))?,
        Err(error) => ui.line(format!("failed {error:#}").replace('\n', " "))?,
    }
    ui.flush()?;
    begun
}

/// Returns the arguments for the new process.
fn words(args: &Args) -> Vec<OsString> {
    let mut words = vec![OsString::from("trivial-httpd"), "--in-background".into()];
    let mut option =
        |name: &str, value: &dyn ToString| words.push(format!("{name}={}", value.to_string()).into());
    option("--port", &args.port);
    option("--address", &args.address);
    option("--random-500s", &args.random_500s);
    option("--random-500s-max", &args.random_500s_max);
    option("--random-408s", &args.random_408s);
    option("--random-408s-max", &args.random_408s_max);
    for (key, value) in &args.expected_cookies {
        option("--expected-cookies", &format_args!("{key}={value}"));
    }
    for (key, value) in &args.expected_header {
        option("--expected-header", &format_args!("{key}={value}"));
    }
    for (name, given) in [
        ("--autoexit", args.autoexit),
        ("--require-basic-auth", args.require_basic_auth),
        ("--force-range-requests", args.force_range_requests),
    ] {
        if given {
            words.push(name.into());
        }
    }
    let mut path = |name: &str, path: &Path| {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(path);
        words.push(word);
    };
    for (name, given) in [("--port-file", &args.port_file), ("--log-file", &args.log_file)] {
        if let Some(given) = given {
            path(name, given);
        }
    }
    words.push("--".into());
    words.push(args.directory.clone().into_os_string());
    words
}
