//! How much of the history of refs DEST keeps, as the command line says it.

use crate::context::Context;
use crate::dates;
use ostler_transfer::{Keep, Retention};

/// The options for it.
#[derive(Debug, clap::Args)]
pub(crate) struct RetentionArgs {
    /// Of each ref that is published, keep at DEST its commit and so many parents, and send no more; -1 for all
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1..),
    )]
    depth: Option<i64>,
    /// Of each ref that is published, keep at DEST its commit and those before it that are not older than this
    #[arg(long, value_name = "DATE")]
    keep_younger_than: Option<String>,
}

impl RetentionArgs {
    /// Returns what they say; a commit that one of them keeps is kept.
    pub(crate) fn read(&self, context: &Context) -> anyhow::Result<Retention> {
        Ok(Retention {
            rules: Vec::new(),
            others: self.keep(context.environment().now())?,
        })
    }

    fn keep(&self, now: u64) -> anyhow::Result<Option<Keep>> {
        if self.depth.is_none() && self.keep_younger_than.is_none() {
            return Ok(None);
        }
        let since = self.keep_younger_than.as_deref();
        Ok(Some(Keep {
            forever: self.depth == Some(-1),
            last: match self.depth.map(u64::try_from) {
                Some(Ok(parents)) => parents.saturating_add(1),
                _ => 1,
            },
            since: since.map(|text| dates::parse(text, now)).transpose()?,
            age: None,
        }))
    }
}
