//! Files of keys: one a line for ed25519 and dummy, PEM blocks or DER for spki.
//!
//! Lines that are empty or begin with `#` are skipped. What a file holds besides keys is an error: a key with a typing
//! mistake would otherwise be taken for none. Files are at most [`MAX_KEY_FILE`] bytes.

use super::signer::Signer;
use crate::error::{RepoError, Result};
use ostler_format::FormatError;
use ostler_format::signatures::{Engine, pem_blocks};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file of keys, in bytes.
pub(super) const MAX_KEY_FILE: u64 = 16 << 20;

/// Reads a file of at most [`MAX_KEY_FILE`] bytes.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    File::open(path)
        .and_then(read_bounded)
        .map_err(RepoError::io("read keys from", path))
}

fn read_bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_KEY_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KEY_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Returns the texts of the public keys in a file, in the form that [`PublicKeys::add`](super::PublicKeys::add) takes.
///
/// # Errors
/// [`RepoError::Io`], and [`RepoError::Format`] for what is no such file.
pub fn read_public_keys(engine: Engine, path: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = read_file(path)?;
    match engine {
        Engine::Spki if !bytes.starts_with(&[0x30]) => {
            let blocks = pem_blocks(&bytes).map_err(RepoError::format(path.display().to_string()))?;
            let keys = blocks.into_iter().filter(|block| block.label == "PUBLIC KEY");
            Ok(keys.map(|block| block.bytes).collect())
        }
        Engine::Spki => Ok(vec![bytes]),
        _ => Ok(lines(&bytes).map(<[u8]>::to_vec).collect()),
    }
}

/// Reads the signers whose secret keys a file holds; `name` is what errors call it. There must be one at least.
///
/// # Errors
/// [`RepoError::Io`], and [`RepoError::Format`] for what is no such file; never shows what it holds.
pub fn read_secret_keys(engine: Engine, name: &Path, source: impl Read) -> Result<Vec<Signer>> {
    let bytes = read_bounded(source).map_err(RepoError::io("read keys from", name))?;
    let wrong = |rule: &str| RepoError::Format {
        subject: name.display().to_string(),
        source: FormatError::invalid("file of secret keys", rule),
    };
    if engine == Engine::Spki {
        return Ok(vec![Signer::Spki(super::SpkiSecretKey::from_text(&bytes)?)]);
    }
    let signers = lines(&bytes)
        .map(|line| {
            let text = std::str::from_utf8(line).map_err(|_secret: std::str::Utf8Error| wrong("not text"))?;
            Signer::from_secret(engine, text)
        })
        .collect::<Result<Vec<_>>>()?;
    if signers.is_empty() {
        return Err(wrong("it holds no key"));
    }
    Ok(signers)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}
