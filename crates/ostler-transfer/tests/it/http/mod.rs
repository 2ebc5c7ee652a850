//! The HTTP client against servers that serve, fail and lie.

mod faults;
mod hostile;
mod lists;
mod many;
mod pairs;
mod tls;
mod words;

use ostler_transfer::TransferError;
use ostler_transfer::http::{
    Answer, Base, Client, ClientOptions, Completion, Destination, Fault, Got, LowSpeed, Request,
};
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Options under which nothing is waited for.
pub(crate) fn hasty() -> ClientOptions {
    ClientOptions {
        pause: Duration::ZERO,
        low_speed: LowSpeed {
            bytes: 1000,
            seconds: 2,
        },
        ..ClientOptions::default()
    }
}

pub(crate) fn client() -> Client {
    Client::new(hasty()).unwrap()
}

pub(crate) fn base(url: &str) -> Base {
    Base::parse(url).unwrap()
}

/// A directory with `small` and `large` (1 MiB and a bit).
pub(crate) fn files() -> TempDir {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("small"), "small\n").unwrap();
    std::fs::write(directory.path().join("large"), large()).unwrap();
    directory
}

pub(crate) fn large() -> Vec<u8> {
    ostler_testkit::random::Random::new(1).bytes((1 << 20) + 321)
}

pub(crate) fn get(client: &Client, url: &str, path: &str) -> Result<Got, TransferError> {
    client.get(&base(url), path, 8 << 20, None)
}

/// Fetches one file as objects are fetched.
pub(crate) fn fetch(client: &Client, url: &str, path: &str) -> Result<Vec<u8>, TransferError> {
    client.submit(request(0, url, path));
    bytes(
        client
            .completions()
            .recv_timeout(Duration::from_secs(60))
            .unwrap(),
    )
}

pub(crate) fn request(id: u64, url: &str, path: &str) -> Request {
    Request {
        id,
        base: base(url),
        path: path.to_owned(),
        limit: None,
        destination: Destination::File(tempfile::tempfile().unwrap()),
        fresh: false,
    }
}

pub(crate) fn bytes(completion: Completion) -> Result<Vec<u8>, TransferError> {
    Ok(match completion.result? {
        Answer::Memory(body) => body.into_vec(),
        Answer::NotFound(missing) => return Err(missing.into()),
        Answer::File(mut file, length) => {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, length);
            bytes
        }
    })
}

pub(crate) fn fault(error: TransferError) -> Fault {
    match error {
        TransferError::Fetch { fault, .. } => fault,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
