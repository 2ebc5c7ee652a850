//! Clients of HTTP as the command line, the configuration of a remote and the environment want them.

use crate::context::Context;
use crate::program::Program;
use anyhow::Context as _;
use ostler_repo::Repo;
use ostler_transfer::http::{Client, ClientOptions, CookieJar, RemoteSettings};

/// What the options of a command say of connections.
#[derive(Debug, Default)]
pub(crate) struct Connections<'a> {
    /// `NAME=VALUE` for each header that is added.
    pub(crate) headers: &'a [String],
    /// What is added to the name of the program.
    pub(crate) user_agent_suffix: Option<&'a str>,
    /// How often a passing fault is tried again.
    pub(crate) retries: Option<u32>,
    /// Below how many bytes a second a transfer is given up, …
    pub(crate) low_speed_bytes: Option<u64>,
    /// … after how many seconds.
    pub(crate) low_speed_seconds: Option<u64>,
    /// The most requests in flight.
    pub(crate) max_in_flight: Option<usize>,
}

/// Starts a client for a remote of a repository.
///
/// # Errors
/// A header that is none; what keeps the client from starting.
pub(crate) fn client(
    context: &Context,
    repo: &Repo,
    settings: &RemoteSettings,
    connections: &Connections<'_>,
) -> anyhow::Result<Client> {
    let environment = context.environment();
    let defaults = ClientOptions::default();
    let mut options = ClientOptions {
        user_agent: user_agent(context.program(), connections.user_agent_suffix),
        headers: headers(connections.headers)?,
        retries: connections.retries.unwrap_or(defaults.retries),
        max_in_flight: connections.max_in_flight,
        cookies: cookies(repo, settings)?,
        proxies: environment.proxies(),
        seed: environment.seed(),
        now: environment.now(),
        ..defaults
    };
    if let Some(bytes) = connections.low_speed_bytes {
        options.low_speed.bytes = bytes;
    }
    if let Some(seconds) = connections.low_speed_seconds {
        options.low_speed.seconds = seconds;
    }
    settings.configure(&mut options);
    Ok(Client::new(options)?)
}

fn cookies(repo: &Repo, settings: &RemoteSettings) -> anyhow::Result<CookieJar> {
    let Some(name) = &settings.name else {
        return Ok(CookieJar::default());
    };
    let jar = CookieJar::load(repo, name.as_str());
    jar.with_context(|| format!("cannot read the cookies of remote {name}"))
}

/// Under the stock name we are what servers know by that.
fn user_agent(program: Program, suffix: Option<&str>) -> String {
    let name = program.user_agent();
    match suffix {
        Some(suffix) => format!("{name} {suffix}"),
        None => name,
    }
}

fn headers(pairs: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let split = |pair: &String| match pair.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(crate::exit::usage(format!(
            "Missing '=' in --http-header={}",
            pair.escape_debug()
        ))),
    };
    pairs.iter().map(split).collect()
}
