//! Room for open directories: a repository keeps up to 256 open, and a command may work on two or three of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of files that the process may have open as far as it may be raised.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where that is refused, the usual number is enough for all but the deepest trees.
    let _refused = setrlimit(Resource::Nofile, raised);
}
