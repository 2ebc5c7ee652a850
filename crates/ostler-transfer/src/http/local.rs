//! Files of this machine, for URLs with the scheme `file`. No symbolic link leads out of the repository.

use super::base::Place;
use super::fault::Fault;
use super::intake::Intake;
use ostler_repo::fs::Dir;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Reads a file into `intake`; returns whether there is one.
pub(crate) fn read(place: &Place, path: &str, intake: &mut Intake) -> Result<bool, Fault> {
    let Ok(root) = place.url().to_file_path() else {
        return Err(Fault::Protocol("not the path of a file".to_owned()));
    };
    let mut file = match open(&root, path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    intake.restart()?;
    intake.expect(file.metadata()?.len())?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            length => intake.take(buffer.get(..length).unwrap_or_default())?,
        }
    }
}

fn open(root: &Path, path: &str) -> std::io::Result<File> {
    if path.is_empty() {
        let directory = root.parent().unwrap_or(root);
        let name = root.file_name().ok_or(ErrorKind::IsADirectory)?;
        return Dir::open(directory)?.open_file_following(name);
    }
    Dir::open(root)?.open_file_following(path)
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
