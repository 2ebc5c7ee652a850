//! `remote add`: a group in `config` with what the options say, its keys in the order in which stock writes them.

use crate::context::Context;
use crate::exit;
use crate::program::Program;
use crate::ui::printable;
use anyhow::{Context as _, bail};
use ostler_format::CollectionId;
use ostler_repo::sign::gpg::GpgSource;
use ostler_repo::{Existing, RemoteValue};
use std::path::PathBuf;

/// The kinds of keys that signatures are checked with.
const KEY_TYPES: [&str; 3] = ["ed25519", "spki", "dummy"];

/// The arguments of `remote add`.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "options of the command line, none depends on another"
)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote add origin https://example.org/repo
  ostler --repo=client remote add --no-sign-verify lab http://lab.example.org/repo os/testing
  ostler --repo=client remote add --if-not-exists --sign-verify=ed25519=file:KEY origin https://example.org/repo")]
pub(super) struct Args {
    /// Give the remote a setting of its own; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Do not check GPG signatures
    #[arg(long)]
    no_gpg_verify: bool,
    /// Check no signatures at all
    #[arg(long)]
    no_sign_verify: bool,
    /// Check signatures with this key, or with those in a file; repeatable
    #[arg(long, value_name = "KEYTYPE=[inline|file]:PUBKEY")]
    sign_verify: Vec<String>,
    /// Do nothing if there is such a remote
    #[arg(long)]
    if_not_exists: bool,
    /// Replace the remote if there is one
    #[arg(long)]
    force: bool,
    /// Import GPG keys from a file into the keyring of the remote
    #[arg(long, value_name = "FILE")]
    gpg_import: Option<PathBuf>,
    /// The remote has content that another program fetches
    #[arg(long, value_name = "NAME")]
    custom_backend: Option<String>,
    /// Fetch content from another URL
    #[arg(long, value_name = "URL")]
    contenturl: Option<String>,
    /// Collection that the refs of the remote belong to
    #[arg(long, value_name = "COLLECTION-ID")]
    collection_id: Option<String>,
    /// Change the system whose root is here
    #[arg(long, value_name = "PATH")]
    sysroot: Option<PathBuf>,
    /// Name of the remote
    name: String,
    /// Where it is: a URL, or metalink=URL, or mirrorlist=URL; needless with --custom-backend
    #[arg(required_unless_present = "custom_backend")]
    url: Option<String>,
    /// Branches to pull where a pull names none
    #[arg(value_name = "BRANCH")]
    branches: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.if_not_exists && args.force {
        return Err(exit::usage("Can only specify one of --if-not-exists and --force"));
    }
    if args.no_sign_verify && !args.sign_verify.is_empty() {
        return Err(exit::usage(
            "Cannot specify both --sign-verify and --no-sign-verify",
        ));
    }
    // Read first: a remote without its keys is not to be left behind.
    let gpg_keys = args
        .gpg_import
        .as_ref()
        .map(|path| super::gpg::keys_in(std::slice::from_ref(path)))
        .transpose()?;
    if let (Program::Ostler, Some(id)) = (context.program(), &args.collection_id) {
        CollectionId::new(id).with_context(|| format!("Invalid collection ID {}", id.escape_debug()))?;
    }
    let keys = keys(&args.sign_verify)?;
    let settings = settings(args, &keys)?;
    let name = super::named(&args.name)?;
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let repo = super::open(context, args.sysroot.as_deref())?;
    let added = repo.add_remote(&name, &settings, existing)?;
    if !added && !args.if_not_exists {
        let file = repo.remote_file(&name)?;
        let place = file.map_or_else(|| "(in config)".to_owned(), |path| path.display().to_string());
        bail!(
            "Remote configuration for \"{name}\" already exists: {}",
            printable(&place)
        );
    }
    if let (true, Some(keys)) = (added, gpg_keys) {
        let repo = super::open(context, args.sysroot.as_deref())?;
        super::gpg::import_from(context, &repo, &name, &GpgSource::Keys(keys), &[])?;
    }
    Ok(())
}

/// Puts the settings together.
fn settings<'a>(args: &'a Args, keys: &'a Keys<'a>) -> anyhow::Result<Vec<(&'a str, RemoteValue<'a>)>> {
    let mut settings = Vec::new();
    if let Some(url) = &args.url {
        settings.push(match url.strip_prefix("metalink=") {
            Some(metalink) => ("metalink", RemoteValue::Text(metalink)),
            None => ("url", RemoteValue::Text(url)),
        });
    }
    if !args.branches.is_empty() {
        settings.push(("branches", RemoteValue::List(&args.branches)));
    }
    let mut add = |key, value| settings.push((key, RemoteValue::Text(value)));
    if let Some(url) = &args.contenturl {
        add("contenturl", url);
    }
    if let Some(backend) = &args.custom_backend {
        add("custom-backend", backend);
    }
    for pair in &args.set {
        match pair.split_once('=') {
            Some((key, value)) => add(key, value),
            None => return Err(exit::usage("Missing '=' in KEY=VALUE for --set")),
        }
    }
    if args.no_gpg_verify || args.no_sign_verify {
        add("gpg-verify", "false");
    }
    if args.no_sign_verify {
        add("sign-verify", "false");
    }
    for (key, data) in &keys.settings {
        add(key, data);
    }
    if !keys.settings.is_empty() {
        add("sign-verify", &keys.types);
    }
    if let Some(id) = &args.collection_id {
        add("collection-id", id);
    }
    Ok(settings)
}

/// What the options `--sign-verify` say.
struct Keys<'a> {
    /// Pairs of the name of a setting and the key, or the path of the file.
    settings: Vec<(String, &'a str)>,
    /// The kinds, one an option.
    types: String,
}

/// Reads the options `--sign-verify`.
fn keys(options: &[String]) -> anyhow::Result<Keys<'_>> {
    let mut settings = Vec::with_capacity(options.len());
    let mut types = Vec::with_capacity(options.len());
    for option in options {
        let unreadable = || {
            exit::usage(format!(
                "Failed to parse KEYTYPE=[inline|file]:DATA in {}",
                printable(option)
            ))
        };
        let (kind, reference) = option.split_once('=').ok_or_else(unreadable)?;
        if !KEY_TYPES.contains(&kind) {
            return Err(exit::usage("Requested signature type is not implemented"));
        }
        let (form, data) = reference.split_once(':').ok_or_else(unreadable)?;
        let suffix = match form {
            "inline" => "key",
            "file" => "file",
            _ => {
                return Err(exit::usage(format!(
                    "Invalid key reference {}, expected inline|file",
                    printable(form)
                )));
            }
        };
        settings.push((format!("verification-{kind}-{suffix}"), data));
        types.push(kind);
    }
    Ok(Keys {
        settings,
        types: types.join(","),
    })
}
