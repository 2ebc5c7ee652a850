//! Hands out what is pushed over HTTP, on the loopback interface and behind a secret, for as long as a push runs.
//!
//! The threads of the server ask, and threads of ours answer, which may look at what is borrowed. What has to be made first goes into a
//! file without a name in a directory of our own.

use ostler_serve::{PublicPath, Source};
use ostler_transfer::push::{Piece, PushReporter, Shelf};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

/// A request and who waits for the answer.
#[derive(Debug)]
pub(super) struct Request {
    path: PublicPath,
    answer: Sender<io::Result<Option<File>>>,
}

/// What the server asks.
#[derive(Debug)]
pub(super) struct Asking(pub(super) Sender<Request>);

impl Source for Asking {
    fn open(&self, path: &PublicPath) -> io::Result<Option<File>> {
        let (answer, answered) = bounded(1);
        let path = path.clone();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send(Request { path, answer }).map_err(|_ended| gone())?;
        answered.recv().map_err(|_ended| gone())?
    }
}

/// Answers until nobody asks any more.
pub(super) fn answer(
    shelf: &Shelf<'_>,
    requests: &Receiver<Request>,
    directory: &Path,
    reporter: &dyn PushReporter,
) {
    for request in requests {
        let found = find(shelf, request.path.components(), directory);
        if let (Ok(Some(file)), Some("objects")) =
            (&found, request.path.components().first().map(String::as_str))
        {
            reporter.wanted(1);
            reporter.sent(file.metadata().map_or(0, |stat| stat.len()));
        }
        if let Err(fault) = &found {
            reporter.note(&fault.to_string());
        }
        // Whoever has asked may be gone.
        drop(request.answer.send(found));
    }
}

fn find(shelf: &Shelf<'_>, path: &[String], directory: &Path) -> io::Result<Option<File>> {
    match shelf.find(path).map_err(io::Error::other)? {
        None => Ok(None),
        Some(Piece::File(file)) => Ok(Some(file)),
        Some(Piece::Bytes(bytes)) => {
            let mut file = nameless(directory)?;
            file.write_all(&bytes)?;
            file.rewind()?;
            Ok(Some(file))
        }
        Some(Piece::Stream(mut stream)) => {
            let mut file = nameless(directory)?;
            io::copy(&mut stream, &mut file)?;
            file.rewind()?;
            Ok(Some(file))
        }
    }
}

/// Makes a file that goes with its last user.
fn nameless(directory: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let path = directory.join(format!("made-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}
