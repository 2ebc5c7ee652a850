//! Damage to files: what rot, crashes and people do to objects. Owner, mode and attributes stay.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Removes a file.
pub fn delete(path: &Path) {
    std::fs::remove_file(path).expect("there is a file to delete");
}

/// Leaves the first half of a file.
pub fn truncate(path: &Path) {
    let bytes = read(path);
    let (half, _) = bytes.split_at(bytes.len() / 2);
    replace(path, half);
}

/// Turns a bit round: past the header, where it would be one of its many rules.
pub fn flip(path: &Path) {
    let mut bytes = read(path);
    let at = (bytes.len() - bytes.len() / 8).checked_sub(1);
    *at.and_then(|at| bytes.get_mut(at))
        .expect("a file that is not empty") ^= 0x10;
    replace(path, &bytes);
}

/// Writes a file in place.
pub fn replace(path: &Path, bytes: &[u8]) {
    let file = File::options().write(true).truncate(true).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.expect("a file that can be written to");
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file that can be read")
}
