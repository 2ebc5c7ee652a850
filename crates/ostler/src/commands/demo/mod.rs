//! `demo`: the main job from end to end, on an embedded tree or on one of the user's, with every step checked.
//!
//! Below one directory of its own, which stays: `tree` (what is committed), `build` (the private repository), `public`
//! (what clients see), `client` (a stock client's repository), `checkout-1`, `checkout-2` (what it got), and
//! `own-client`, `own-checkout-1`, `own-checkout-2` of our own client. For each version in turn: commit, publish, and for each client:
//! pull over HTTP, check out, compare with the tree.

mod change;
mod client;
mod compare;
mod copy;
mod files;
mod next;
mod place;
mod process;
mod publisher;
mod reader;
mod report;
mod tree;

pub(crate) use place::Occupied;

use crate::context::Context;
use crate::interrupt::Interrupt;
use anyhow::bail;
use change::Change;
use ostler_format::Checksum;
use place::Place;
use publisher::Publisher;
use reader::{Arrived, Readers};
use report::Report;
use std::path::{Path, PathBuf};

/// The arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler demo
  ostler demo --dir=/var/tmp/demo --tree=/etc/ssl
  ostler demo --json

Two versions of a tree are committed to a private repository and published to a public one, from which a \
stock ostree client, where ostree is installed, and ostler itself pull over HTTP on this machine; what they get is compared with the \
tree byte for byte. Files are committed as root's, without extended \
attributes, so no privileges are needed. Commands to go on with are printed at the end.")]
pub(crate) struct Args {
    /// The directory to work in: an empty or an absent one
    #[arg(long, value_name = "DIR", default_value = "ostler-demo")]
    dir: PathBuf,
    /// A tree to take in place of the embedded one; it is only read
    #[arg(long, value_name = "PATH")]
    tree: Option<PathBuf>,
}

/// The branch of the demo.
const BRANCH: &str = "demo/stable";

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let interrupt = Interrupt::watch()?;
    let place = Place::make(&args.dir, args.tree.as_deref())?;
    let publisher = Publisher::create(context, &place, &interrupt)?;
    let ostler = context.environment().executable()?;
    let readers = Readers::make(&place, &ostler, &interrupt)?;
    let report = Report::new(context.ui());
    report.start(&place, readers.stock())?;
    let demo = Demo {
        place: &place,
        publisher: &publisher,
        readers: &readers,
        report: &report,
        interrupt: &interrupt,
    };
    let first = demo.first(args.tree.as_deref())?;
    let change = demo.second(&first)?;
    demo.check_public()?;
    readers.finish(&place)?;
    report.done(&place, &next::steps(&ostler, &place, &change, &readers))
}

/// What all steps need.
struct Demo<'a> {
    place: &'a Place,
    publisher: &'a Publisher<'a>,
    readers: &'a Readers<'a>,
    report: &'a Report<'a>,
    interrupt: &'a Interrupt,
}

impl Demo<'_> {
    /// Makes the tree, and brings it to the clients. What arrives is compared with the user's tree, if there is one.
    fn first(&self, given: Option<&Path>) -> anyhow::Result<Checksum> {
        let tree = self.place.tree();
        match given {
            Some(given) => copy::copy(given, &tree, self.interrupt)?,
            None => tree::generate(&tree)?,
        }
        self.report.first(&files::Totals::of(&files::listing(&tree)?))?;
        self.bring(1, given.unwrap_or(&tree), None)
    }

    /// Changes the tree, and brings it to the clients.
    fn second(&self, parent: &Checksum) -> anyhow::Result<Change> {
        let tree = self.place.tree();
        let change = change::make(&tree)?;
        self.report.second(&change)?;
        self.bring(2, &tree, Some(*parent))?;
        Ok(change)
    }

    fn bring(&self, version: u8, expected: &Path, parent: Option<Checksum>) -> anyhow::Result<Checksum> {
        let committed = self.publisher.commit(version, parent)?;
        self.report.committed(version, &committed)?;
        self.interrupt.check()?;
        let published = self.publisher.publish(&committed.checksum, parent)?;
        self.report.published(version, &published)?;
        for client in self.readers.clients() {
            let arrived = self
                .readers
                .read(client, self.place.checkout(client.who(), version))?;
            self.report.arrived(version, client, &arrived)?;
            self.compare(version, &committed.checksum, &arrived, expected)?;
        }
        Ok(committed.checksum)
    }

    /// Compares what a client got with what was committed.
    fn compare(
        &self,
        version: u8,
        committed: &Checksum,
        arrived: &Arrived,
        expected: &Path,
    ) -> anyhow::Result<()> {
        let Arrived { commit, checkout, .. } = arrived;
        if commit != committed {
            bail!("commit {committed} was published, and {commit} arrived");
        }
        let mut differences = compare::trees(expected, checkout, self.interrupt)?;
        differences.extend(compare::commit(&arrived.repo, commit, expected)?);
        self.report.compared(version, checkout, &differences)?;
        if !differences.is_empty() {
            let count = differences.len();
            bail!("version {version} arrived with {count} differences from the tree");
        }
        Ok(())
    }

    /// Reads and hashes all that was published.
    fn check_public(&self) -> anyhow::Result<()> {
        let found = self.publisher.check()?;
        let also_stock = self.readers.check(&self.place.public())?;
        self.report.checked(&found, also_stock)?;
        if !found.is_sound() {
            bail!("the public repository is damaged");
        }
        Ok(())
    }
}
