//! Room for open directories: a repository keeps up to 256 open, and a command may work on two or three of them.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// As many files as a command has open in the usual case.
const USUAL: i32 = 1024;

/// Raises the number of files that the process may have open as far as it may be raised, and has the kernel make room for
/// the usual number of them. To be called before there is a second thread: Linux enlarges the table of descriptors when
/// it is full, at once where it belongs to one thread, and otherwise only after all processors have come by (an RCU grace
/// period, some 10 ms, three times on the way to a thousand).
pub(crate) fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where that is refused, the usual number is enough for all but the deepest trees; and room is a matter of speed.
    let _refused = setrlimit(Resource::Nofile, raised);
    drop(fcntl_dupfd_cloexec(io::stdin(), USUAL - 1));
}
