//! `remote`: changes and shows the remotes that the configuration of a repository names, what they have, their keyrings and
//! their cookies.

mod add;
mod cookies;
mod fetch;
mod gpg;
mod refs;
mod summary;

use crate::context::Context;
use crate::ui::printable;
use anyhow::{Context as _, anyhow, bail};
use ostler_format::RemoteName;
use ostler_repo::Repo;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments of `remote`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote add origin https://example.org/repo os/stable
  ostler --repo=client remote list --show-urls
  ostler --repo=client remote show-url origin
  ostler --repo=client remote refs origin
  ostler --repo=client remote delete origin")]
pub(crate) struct Args {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, clap::Subcommand)]
enum Operation {
    /// Add a remote
    Add(Box<add::Args>),
    /// Delete a remote and its keyring; its refs stay
    #[command(after_help = "\
Examples:
  ostler --repo=client remote delete origin
  ostler --repo=client refs --delete origin:")]
    Delete {
        /// Do nothing if there is no such remote
        #[arg(long)]
        if_exists: bool,
        /// Change the system whose root is here
        #[arg(long, value_name = "PATH")]
        sysroot: Option<PathBuf>,
        /// Name of the remote
        name: String,
    },
    /// List the remotes, also those of parent repositories
    #[command(after_help = "\
Examples:
  ostler --repo=client remote list
  ostler --repo=client --json remote list")]
    List {
        /// Print the URLs, too
        #[arg(short = 'u', long)]
        show_urls: bool,
    },
    /// Import GPG keys into the keyring of a remote
    GpgImport(gpg::ImportArgs),
    /// List the GPG keys that a remote's signatures are checked with
    GpgListKeys(gpg::ListArgs),
    /// Print the URL of a remote
    #[command(after_help = "\
Examples:
  ostler --repo=client remote show-url origin")]
    ShowUrl {
        /// Name of the remote
        name: String,
    },
    /// List the refs of a remote
    Refs(refs::Args),
    /// Print the summary of a remote
    Summary(summary::Args),
    /// Add a cookie that is sent to a remote
    AddCookie(cookies::Add),
    /// Delete a cookie
    DeleteCookie(cookies::Delete),
    /// List the cookies that are sent to a remote
    ListCookies(cookies::List),
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    url: Option<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    match &args.operation {
        Operation::Add(args) => add::run(context, args),
        Operation::Delete {
            if_exists,
            sysroot,
            name,
        } => delete(&open(context, sysroot.as_deref())?, name, *if_exists),
        Operation::GpgImport(args) => gpg::import(context, args),
        Operation::GpgListKeys(args) => gpg::list(context, args),
        Operation::List { show_urls } => list(context, *show_urls),
        Operation::ShowUrl { name } => show_url(context, name),
        Operation::Refs(args) => refs::run(context, args),
        Operation::Summary(args) => summary::run(context, args),
        Operation::AddCookie(args) => cookies::add(context, args),
        Operation::DeleteCookie(args) => cookies::delete(context, args),
        Operation::ListCookies(args) => cookies::list(context, args),
    }
}

/// Opens the repository to change: that of a system, if one is named.
fn open(context: &Context, sysroot: Option<&Path>) -> anyhow::Result<Repo> {
    sysroot.map_or_else(|| context.open(), |sysroot| context.open_sysroot(sysroot))
}

/// Reads the name of a remote to change.
fn named(name: &str) -> anyhow::Result<RemoteName> {
    RemoteName::new(name).with_context(|| format!("Invalid remote name {}", printable(name)))
}

fn not_found(name: &str) -> anyhow::Error {
    anyhow!("Remote \"{}\" not found", printable(name))
}

fn delete(repo: &Repo, name: &str, if_exists: bool) -> anyhow::Result<()> {
    if !repo.delete_remote(&named(name)?)? && !if_exists {
        return Err(not_found(name));
    }
    Ok(())
}

/// Prints a line a remote; as with stock, the first that has no URL ends the list of URLs.
fn list(context: &Context, show_urls: bool) -> anyhow::Result<()> {
    let repo = context.open()?;
    let names = repo.remote_names();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for name in names {
        if context.ui().json() {
            let url = repo.remote_url(name)?;
            context.ui().object(&Entry { name, url })?;
        } else if show_urls {
            let url = url_of(&repo, name)?;
            context
                .ui()
                .line(format_args!("{:width$}  {}", printable(name), printable(&url)))?;
        } else {
            context.ui().line(printable(name))?;
        }
    }
    Ok(())
}

fn show_url(context: &Context, name: &str) -> anyhow::Result<()> {
    let repo = context.open()?;
    let url = if name.starts_with("file://") {
        name.to_owned()
    } else if repo.remote_names().contains(name) {
        url_of(&repo, name)?
    } else {
        return Err(not_found(name));
    };
    let text = printable(&url).into_owned();
    context.ui().either(&Entry { name, url: Some(url) }, text)
}

fn url_of(repo: &Repo, name: &str) -> anyhow::Result<String> {
    match repo.remote_url(name)? {
        Some(url) => Ok(url),
        None => bail!("No \"url\" option in remote \"{}\"", printable(name)),
    }
}
