//! Mirror lists: a text file with the URL of a mirror on each line.
//!
//! Empty lines and those that begin with `#` are skipped, and so is what is no `http` or `https` URL. The first mirror whose `config`
//! can be fetched is the first choice; eight behind it stand in for it. Each is asked once; only where none has answered, the first
//! few that may be back a moment later are asked again. At most 1 MiB and 256 mirrors are read.

use super::base::{Base, MAX_STAND_INS};
use super::client::Client;
use super::fault::Fault;
use super::request::Got;
use crate::error::{Result, TransferError};

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
    let mirrors = parse(&String::from_utf8_lossy(&bytes)).into_iter();
    let mirrors: Vec<Base> = mirrors.map(|mirror| mirror.listed_by(&list)).collect();
    let first = first_there(client, &mirrors).ok_or_else(|| {
        Fault::Unusable(format!("No valid mirrors were found in mirrorlist '{list}'")).of(list.to_string())
    })?;
    let chosen = mirrors.into_iter().skip(first).take(1 + MAX_STAND_INS);
    Base::of_mirrors(chosen).ok_or_else(|| Fault::Ended.of(list.to_string()))
}

/// Returns the place in the list of the first mirror that has a `config`.
fn first_there(client: &Client, mirrors: &[Base]) -> Option<usize> {
    let mut doubtful = Vec::new();
    for (index, mirror) in mirrors.iter().enumerate() {
        // A mirror that is down is no reason to stop: that is what the others are for.
        match client.get_once(mirror, "config", MAX_CONFIG) {
            Ok(Got::Body { .. }) => return Some(index),
            Err(TransferError::Fetch { fault, .. }) if fault.is_passing() => doubtful.push(index),
            _ => {}
        }
    }
    let mut again = doubtful.into_iter().take(MAX_STAND_INS);
    again.find(|index| {
        let mirror = mirrors.get(*index);
        mirror.is_some_and(|mirror| {
            matches!(
                client.get(mirror, "config", MAX_CONFIG, None),
                Ok(Got::Body { .. })
            )
        })
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
