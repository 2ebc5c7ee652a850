//! Waiting for the end of a child process for a limited time; the system wakes us when it comes.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Returns how a child ended, or `None` where it has not ended within `limit`, or not before a signal came.
///
/// # Errors
/// What the system says.
pub fn wait_for(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = pidfd_open(pid.ok_or(io::ErrorKind::InvalidData)?, PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    // Readable is one that has ended.
    match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => child.try_wait(),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_is_waited_for_until_it_ends_and_no_longer_than_asked() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert_eq!(wait_for(&mut child, Duration::ZERO).unwrap(), None);
        drop(child.stdin.take());
        let status = wait_for(&mut child, Duration::from_secs(60)).unwrap();
        assert!(status.is_some_and(|status| status.success()));
        // One that has ended is not asked for again.
        assert_eq!(wait_for(&mut child, Duration::ZERO).unwrap(), status);
    }
}
