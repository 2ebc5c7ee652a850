//! `create-usb`: copies refs to a removable medium.

use crate::collection_refs;
use crate::context::Context;
use crate::exit;
use ostler_format::Checksum;
use ostler_repo::usb::{UsbOptions, create_usb};
use serde::Serialize;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

/// The arguments of `create-usb`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Whoever mounts the medium finds the refs there with 'find-remotes --finders=mount'.

Examples:
  ostler --repo=/srv/repo create-usb /media/stick org.example.Os os/stable
  ostler --repo=/srv/repo create-usb --destination-repo=os/repo /media/stick org.example.Os os/stable")]
pub(crate) struct Args {
    /// Sync nothing
    #[arg(long)]
    disable_fsync: bool,
    /// Where the repository is made, relative to the mount
    #[arg(long, value_name = "DEST", default_value = ".ostree/repo")]
    destination_repo: PathBuf,
    /// Copy this commit in place of the one that the ref names (with one ref only)
    #[arg(long, value_name = "COMMIT")]
    commit: Option<Checksum>,
    /// Where the medium is mounted
    #[arg(value_name = "MOUNT-PATH")]
    mount: Option<PathBuf>,
    /// A collection and a ref in it, and so on
    #[arg(value_name = "COLLECTION-ID REF")]
    refs: Vec<String>,
}

/// The result as JSON.
#[derive(Serialize)]
struct Record {
    refs: usize,
    metadata_objects: u64,
    content_objects: u64,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let Some(mount) = &args.mount else {
        return Err(exit::usage("A MOUNT-PATH must be specified"));
    };
    let refs = collection_refs::parse(&args.refs)?;
    if args.commit.is_some() && refs.len() > 1 {
        return Err(exit::usage(
            "The --commit option can only be used when a single COLLECTION-ID REF pair is specified",
        ));
    }
    let source = context.open()?;
    let options = UsbOptions {
        destination: args.destination_repo.clone(),
        commit: args.commit,
        now: context.environment().now(),
        open: context.open_options(!args.disable_fsync),
        threads: thread::available_parallelism().map_or(1, NonZero::get),
    };
    let progress = context.ui().progress("copying objects");
    let stats = create_usb(&source, mount, &refs, &options, &mut |done, all| {
        progress.update(done, all);
    })?;
    drop(progress);
    let record = Record {
        refs: refs.len(),
        metadata_objects: stats.metadata_objects,
        content_objects: stats.content_objects,
    };
    let from = std::path::absolute(source.path())?;
    context.ui().either(
        &record,
        format_args!(
            "Copied {0}/{0} refs successfully from ‘{1}’ to ‘{2}’ repository in ‘{3}’.",
            refs.len(),
            from.display(),
            args.destination_repo.display(),
            mount.display()
        ),
    )
}
