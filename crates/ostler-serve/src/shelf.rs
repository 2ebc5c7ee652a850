//! What lies in no directory: files that somebody hands out when they are asked for, behind a path that is a secret.
//!
//! A server of this kind listens where others on the machine can reach it too. The first part of every path is a secret; without it
//! there is nothing, and how long the answer takes does not tell how much of it was right. Behind it only public paths are asked for.

use crate::open::Opened;
use crate::public::PublicPath;
use rustix::fs::fstat;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Where files come from.
pub trait Source: Send + Sync {
    /// Returns a file, read from its start; `None` if there is none of that path. May take its time, and is called by several threads.
    ///
    /// # Errors
    /// The request is answered with an error.
    fn open(&self, path: &PublicPath) -> io::Result<Option<File>>;
}

/// A source and its secret.
pub(crate) struct Shelf {
    source: Arc<dyn Source>,
    secret: Vec<u8>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shelf")
    }
}

impl Shelf {
    pub(crate) fn new(source: Arc<dyn Source>, secret: &str) -> Self {
        Self {
            source,
            secret: secret.as_bytes().to_vec(),
        }
    }

    /// Returns what a path of a request leads to.
    pub(crate) fn find(&self, path: &str) -> io::Result<Option<Opened>> {
        let Some(path) = self.behind(path).and_then(PublicPath::from_request) else {
            return Ok(None);
        };
        let Some(file) = self.source.open(&path)? else {
            return Ok(None);
        };
        let stat = fstat(&file)?;
        Ok(Some(Opened { file, stat }))
    }

    /// Returns what follows the secret, if it is the right one.
    fn behind<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (said, rest) = path.trim_start_matches('/').split_once('/')?;
        let said = said.as_bytes();
        if said.len() != self.secret.len() || said.is_empty() {
            return None;
        }
        let pairs = said.iter().zip(&self.secret);
        let difference = pairs.fold(0, |difference, (one, other)| difference | (one ^ other));
        (difference == 0).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out nothing.
    struct Empty;

    impl Source for Empty {
        fn open(&self, _path: &PublicPath) -> io::Result<Option<File>> {
            Ok(None)
        }
    }

    #[test]
    fn nothing_is_behind_a_path_without_the_secret() {
        let shelf = Shelf::new(Arc::new(Empty), "abc");
        assert_eq!(shelf.behind("/abc/config"), Some("config"));
        for path in [
            "",
            "/",
            "/config",
            "/abd/config",
            "/ab/config",
            "/abcd/config",
            "//config",
            "/abc",
        ] {
            assert_eq!(shelf.behind(path), None, "{path}");
        }
        let nobody = Shelf::new(Arc::new(Empty), "");
        assert_eq!(nobody.behind("//config"), None);
    }
}
