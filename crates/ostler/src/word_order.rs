//! Arguments in the order that clap reads them, from the freer one that stock allows: there the first argument that
//! is no option names the command, and the options of that command may stand before it.

use std::ffi::{OsStr, OsString};
use std::vec::IntoIter;

/// Options that may stand before the command here as well, but for `--repo`.
const EVERYWHERE: [&str; 7] = ["--json", "-v", "--verbose", "-h", "--help", "-V", "--version"];

/// Returns the argument that names the command: the first that is neither an option nor the value of `--repo`.
pub(crate) fn command_of(arguments: &[OsString]) -> Option<&OsStr> {
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        if argument == "--repo" {
            rest.next();
        } else if argument == "--" {
            return None;
        } else if !argument.is_empty() && !argument.as_encoded_bytes().starts_with(b"-") {
            return Some(argument);
        }
    }
    None
}

/// Moves options of the command that stand before its name (with `remote`, that of its operation) behind it, and a `--` between `config` and its operation
/// behind that.
pub(crate) fn normalized(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut rest = arguments.into_iter().collect::<Vec<_>>().into_iter();
    let mut ordered: Vec<OsString> = rest.next().into_iter().collect();
    let mut moved = Vec::new();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            ordered.append(&mut moved);
            ordered.push(argument);
            break;
        }
        let bytes = argument.as_encoded_bytes();
        if !bytes.starts_with(b"-") {
            let is_config = argument == "config";
            let is_remote = argument == "remote";
            ordered.push(argument);
            if is_remote {
                of_remote(&mut rest, &mut ordered, &mut moved);
            }
            ordered.append(&mut moved);
            if is_config {
                of_config(&mut rest, &mut ordered);
            }
            break;
        }
        place(argument, &mut rest, &mut ordered, &mut moved);
    }
    ordered.extend(moved);
    ordered.extend(rest);
    ordered
}

/// Puts an option that stands before the command where it belongs.
fn place(
    option: OsString,
    rest: &mut IntoIter<OsString>,
    ordered: &mut Vec<OsString>,
    moved: &mut Vec<OsString>,
) {
    let bytes = option.as_encoded_bytes();
    if option == "--repo" {
        ordered.push(option);
        ordered.extend(rest.next());
    } else if bytes.starts_with(b"--repo=") || EVERYWHERE.iter().any(|known| option == *known) {
        ordered.push(option);
    } else {
        moved.push(option);
    }
}

/// Reads on to the operation of `remote`, and gathers its options that stand before it.
fn of_remote(rest: &mut IntoIter<OsString>, ordered: &mut Vec<OsString>, moved: &mut Vec<OsString>) {
    while let Some(argument) = rest.next() {
        if argument == "--" || !argument.as_encoded_bytes().starts_with(b"-") {
            ordered.push(argument);
            return;
        }
        place(argument, rest, ordered, moved);
    }
}

/// Puts a `--` that stands before the operation of `config` behind it.
fn of_config(rest: &mut IntoIter<OsString>, ordered: &mut Vec<OsString>) {
    let is_option = |argument: &OsStr| argument.as_encoded_bytes().starts_with(b"-");
    while let Some(argument) = rest.next() {
        if argument == "--" {
            ordered.extend(rest.next());
            ordered.push(argument);
            return;
        }
        let option = is_option(&argument);
        ordered.push(argument);
        if !option {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_before_the_command_are_moved_behind_it() {
        for (typed, read) in [
            ("ostree ls -R x", "ostree ls -R x"),
            ("ostree -R ls x", "ostree ls -R x"),
            (
                "ostree --timestamp=@1 --repo=R --orphan commit t",
                "ostree --repo=R commit --timestamp=@1 --orphan t",
            ),
            ("ostree --repo R -C ls x", "ostree --repo R ls -C x"),
            ("ostree -v --json refs", "ostree -v --json refs"),
            ("ostree --version", "ostree --version"),
            ("ostree --unknown", "ostree --unknown"),
            ("ostree -x -- ls", "ostree -x -- ls"),
            ("ostree rev-parse -- -x", "ostree rev-parse -- -x"),
            (
                "ostree config --repo=R -- set a.b -1",
                "ostree config --repo=R set -- a.b -1",
            ),
            ("ostree config set -- a.b -1", "ostree config set -- a.b -1"),
            ("ostree config get a.b", "ostree config get a.b"),
            ("ostree config --", "ostree config --"),
            (
                "ostree --force remote --set=k=v --repo=R add a u -v",
                "ostree remote --repo=R add --force --set=k=v a u -v",
            ),
            ("ostree remote --help", "ostree remote --help"),
            ("ostree remote -u -- list", "ostree remote -- -u list"),
            ("ostree", "ostree"),
            ("", ""),
        ] {
            let arguments = typed
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(OsString::from);
            let words = normalized(arguments);
            assert_eq!(words.join(OsStr::new(" ")), *read, "{typed}");
        }
    }
}
