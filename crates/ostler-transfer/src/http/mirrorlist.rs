//! Mirror lists: a text file with the URL of a mirror on each line.
//!
//! Empty lines and those that begin with `#` are skipped, and so is what is no `http` or `https` URL. The first mirror whose `config`
//! can be fetched is the first choice; those behind it stand in for it. At most 1 MiB and 256 mirrors are read.

use super::base::Base;
use super::client::Client;
use super::fault::Fault;
use crate::error::Result;

/// The most bytes of a list.
const MAX_SIZE: u64 = 1 << 20;

/// The most mirrors of a list.
const MAX_MIRRORS: usize = 256;

/// The most bytes of the `config` of a repository.
const MAX_CONFIG: u64 = 4 << 20;

/// Reads a list.
pub fn parse(text: &str) -> Vec<Base> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Base::parse(line).ok())
        .filter(|base| base.local_path().is_none())
        .take(MAX_MIRRORS)
        .collect()
}

/// Fetches the list at `url` and returns its mirrors.
///
/// # Errors
/// [`TransferError::Fetch`](crate::TransferError::Fetch).
pub(crate) fn resolve(client: &Client, url: &str) -> Result<Base> {
    let list = Base::parse(url)?;
    let bytes = client.get(&list, "", MAX_SIZE, None)?.into_required()?;
    let mut mirrors = parse(&String::from_utf8_lossy(&bytes)).into_iter();
    // A mirror that is down is no reason to stop: that is what the others are for.
    let is_there = |base: &Base| {
        let config = client.get(base, "config", MAX_CONFIG, None);
        config.is_ok_and(|got| got.into_optional().is_some())
    };
    let first = mirrors.by_ref().find(is_there);
    Base::of_mirrors(first.into_iter().chain(mirrors)).ok_or_else(|| {
        Fault::Unusable(format!("No valid mirrors were found in mirrorlist '{list}'")).of(list.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_mirrors_are_skipped() {
        let text = "\n# http://no/\n http://a/repo \r\nftp://b/\nfile:///etc\nnonsense\nhttps://c/repo/\n";
        let shown: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["http://a/repo", "https://c/repo/"]);
        assert_eq!(parse(&"http://h/\n".repeat(1000)).len(), MAX_MIRRORS);
    }
}
