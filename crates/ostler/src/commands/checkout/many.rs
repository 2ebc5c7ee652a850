//! `checkout --from-stdin` and `--from-file`: pairs of a commit and a path in it, each ended by a NUL.

use super::Job;
use crate::exit;
use anyhow::Context as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Checks out one pair after the other; the end, or an empty commit, ends the list.
pub(super) fn run(job: &Job<'_>) -> anyhow::Result<()> {
    let args = job.args;
    if args.destination.is_some() || args.subpath.is_some() {
        return Err(exit::usage(
            "with --from-stdin or --from-file the only argument is the destination",
        ));
    }
    let mut input: Box<dyn BufRead> = match &args.from_file {
        Some(path) if !args.from_stdin => {
            let failed = || format!("cannot open {}", path.display());
            Box::new(BufReader::new(File::open(path).with_context(failed)?))
        }
        _ => Box::new(io::stdin().lock()),
    };
    let destination = Path::new(&args.rev);
    while let Some(rev) = field(&mut input)?.filter(|rev| !rev.is_empty()) {
        let subpath = field(&mut input)?;
        let commit = job.repo.resolve_rev(&rev)?;
        job.check_out(&commit, subpath.as_deref(), destination)
            .with_context(|| format!("Processing tree {commit}"))?;
    }
    Ok(())
}

/// Reads up to the next NUL; nothing at the end.
fn field(input: &mut impl BufRead) -> anyhow::Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.read_until(0, &mut bytes).context("cannot read the list")? == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(Some(
        String::from_utf8(bytes).context("the list holds what is not UTF-8")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_at_each_nul_and_at_the_end() {
        for (bytes, fields) in [
            (&b"main\0/usr\0"[..], &["main", "/usr"][..]),
            (b"main\0\0last", &["main", "", "last"]),
            (b"", &[]),
        ] {
            let mut input = bytes;
            let mut found = Vec::new();
            while let Some(text) = field(&mut input).unwrap() {
                found.push(text);
            }
            assert_eq!(found, fields, "{bytes:?}");
        }
        assert!(field(&mut &b"\xff\0"[..]).is_err());
    }
}
