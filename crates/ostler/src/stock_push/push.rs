//! `ostree-push`: lets `ostree-receive` at the far end pull from us, through the connection by which we have come.
//!
//! What is served is the commits that the refs name when the push begins, behind a secret path, and nothing else of the repository; in that
//! nothing is written. What moves at the far end, `ostree-receive` decides. Both ends of the connection end with us.

use crate::commands::{Destination, Way, quoted, while_serving};
use crate::context::Context;
use crate::exit;
use crate::shell_words;
use anyhow::bail;
use ostler_format::{Checksum, RefName};
use ostler_repo::Repo;
use ostler_repo::refs::RefScope;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;

/// How long the far end may take to say which port it gives.
const PATIENCE: NonZero<u64> = NonZero::new(300).expect("not zero");

/// The arguments of `ostree-push`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "ostree-push",
    version = super::COMPARED_WITH,
    about = "Push ostree refs to remote repository",
    args_override_self = true,
    infer_long_args = true,
    after_help = "\
DEST can take one of two forms: [user@]host:path/to/repo or ssh://[user@]host[:port]/path/to/repo.

Example:
  ostree-push --repo=/srv/build build@repo.example.org:repo os/x86_64/stable"
)]
pub(super) struct Args {
    /// Remote host and repo destination
    #[arg(value_name = "DEST")]
    destination: String,
    /// Refs to push, all if none specified
    #[arg(value_name = "REF")]
    refs: Vec<String>,
    /// Only show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Ssh port to connect to
    #[arg(short, value_name = "PORT")]
    port: Option<u16>,
    /// Disable most messages
    #[arg(short, long, overrides_with = "verbose")]
    quiet: bool,
    /// Enable verbose messages
    #[arg(short, long, overrides_with = "quiet")]
    verbose: bool,
    /// Local repository path [default: current directory]
    #[arg(long, value_name = "REPO")]
    pub(super) repo: Option<PathBuf>,
    /// Remote pull command
    #[arg(long, value_name = "COMMAND", default_value = "ostree-receive")]
    command: String,
    /// The file with the key that ssh uses
    #[arg(short, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// An option passed through to ssh
    #[arg(short = 'o', value_name = "OPTION")]
    ssh_option: Vec<OsString>,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let source = context.open()?;
    let (host, port, path) = match Destination::parse(&args.destination, &source)? {
        Destination::Ssh { host, port, path } => (host, port, path),
        Destination::Directory(_) => {
            return Err(exit::usage("Destination not in form \"host:repo\""));
        }
    };
    let refs = wanted(&source, args)?;
    let Some(command) = shell_words::split(&args.command).filter(|words| !words.is_empty()) else {
        return Err(exit::usage("--command names no program"));
    };
    let way = Way {
        ssh_option: args.ssh_option.clone(),
        port: args.port,
        identity: args.identity.clone(),
        command: None,
        idle_timeout: PATIENCE,
    };
    if args.verbose {
        let names: Vec<_> = refs.keys().map(RefName::as_str).collect();
        let text = format!("pushing {} to {}", names.join(" "), args.destination);
        context.ui().note(&text);
    }
    let far = |url: &str| {
        let options = args.dry_run.then_some("-n");
        let words = command.iter().map(String::as_str).chain(options);
        let words = words.chain([path.as_str(), url]);
        let words: Vec<_> = words
            .chain(args.refs.iter().map(String::as_str))
            .map(word)
            .collect();
        OsString::from(words.join(" "))
    };
    let status = while_serving(context, &source, &refs, (&host, port), &way, &far)?;
    if !status.success() {
        bail!("{} of {host} ended with {status}", args.command);
    }
    Ok(())
}

/// Returns the refs that are pushed, with their commits.
fn wanted(source: &Repo, args: &Args) -> anyhow::Result<BTreeMap<RefName, Checksum>> {
    let refs = source.list_refs(RefScope::Local)?;
    let mut refs: BTreeMap<_, _> = refs
        .into_iter()
        .map(|(refspec, commit)| (refspec.name, commit))
        .collect();
    if args.refs.is_empty() {
        return Ok(refs);
    }
    let asked: BTreeSet<&str> = args.refs.iter().map(String::as_str).collect();
    let is_missing = |name: &&&str| !refs.keys().any(|there| there.as_str() == **name);
    let missing: Vec<&str> = asked.iter().filter(is_missing).copied().collect();
    if !missing.is_empty() {
        let path = source.path().display();
        bail!("Refs {} not found in {path}", missing.join(" ").escape_debug());
    }
    refs.retain(|name, _| asked.contains(name.as_str()));
    Ok(refs)
}

/// Returns a word of which the far end's shell makes nothing else, but for a `~` before the path of a home directory.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    let (home, rest) = match text.strip_prefix("~/") {
        Some(rest) => ("~/", rest),
        None => ("", text),
    };
    let is_empty = home.is_empty() && rest.is_empty();
    if !is_empty && rest.bytes().all(is_plain) {
        return text.to_owned();
    }
    let rest = quoted(&OsString::from(rest));
    format!("{home}{}", rest.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_of_the_far_end_finds_nothing_in_words_but_a_home_directory() {
        for (text, told) in [
            ("os/x86_64/stable", "os/x86_64/stable"),
            ("http://127.0.0.1:1/a-b", "http://127.0.0.1:1/a-b"),
            ("", "''"),
            ("~/repo", "~/repo"),
            ("~/my repo", "~/'my repo'"),
            ("$(touch x)", "'$(touch x)'"),
            ("a;b", "'a;b'"),
            ("it's", "'it'\\''s'"),
            ("~root", "'~root'"),
        ] {
            assert_eq!(word(text), told);
        }
    }
}
