//! Where a repository lies: a URL, or several mirrors of one repository in the order in which they are tried.
//!
//! Schemes are `http`, `https` and `file`. User name and password of a URL are kept apart from it, and no message shows them, nor
//! the query, in which tokens are.

use crate::error::{Result, TransferError};
use base64::Engine as _;
use reqwest::Url;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The most bytes that a URL may have.
const MAX_URL: usize = 8 << 10;

/// The most places that stand in for the first of a list.
pub(crate) const MAX_STAND_INS: usize = 8;

/// A repository's URL, with the mirrors that stand in for it. Cheap to clone; never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Base {
    places: Arc<[Place]>,
}

/// One place of a repository.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Without user name and password.
    url: Url,
    /// The value of the header `Authorization`.
    authorization: Option<String>,
    /// Whether it is what the user named, and not only what a list names.
    is_own: bool,
}

impl Base {
    /// Reads the URL of a repository.
    ///
    /// # Errors
    /// [`TransferError::Fetch`] for what is no URL, or one of another scheme than `http`, `https` and `file`.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self {
            places: [Place::parse(text)?].into(),
        })
    }

    /// Takes one place.
    pub(crate) fn of_place(place: Place) -> Self {
        Self {
            places: [place].into(),
        }
    }

    /// Says that the places were named by this list: they are the user's own only where they are on its server.
    pub(crate) fn listed_by(self, list: &Self) -> Self {
        let named = |place: &Place| {
            let mut place = place.clone();
            place.is_own &= list
                .places
                .iter()
                .any(|own| own.url.origin() == place.url.origin());
            place
        };
        Self {
            places: self.places.iter().map(named).collect(),
        }
    }

    /// Puts several places of one repository together, best first; `None` where there are none.
    pub fn of_mirrors(mirrors: impl IntoIterator<Item = Self>) -> Option<Self> {
        let places: Vec<Place> = mirrors
            .into_iter()
            .flat_map(|base| base.places.iter().cloned().collect::<Vec<_>>())
            .collect();
        (!places.is_empty()).then(|| Self {
            places: places.into(),
        })
    }

    /// Returns the directory of this machine that a `file` URL stands for.
    pub fn local_path(&self) -> Option<PathBuf> {
        let first = self.places.first()?;
        (first.url.scheme() == "file")
            .then(|| first.url.to_file_path().ok())
            .flatten()
    }

    /// Returns all places, best first.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns the URL of a file below the first place, for messages: without a query.
    pub(crate) fn display(&self, path: &str) -> String {
        self.places
            .first()
            .map_or_else(String::new, |place| place.display(path))
    }
}

impl Place {
    /// Reads a URL.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let fail = |reason: String| TransferError::Url {
            url: without_secrets(text),
            reason,
        };
        if text.len() > MAX_URL {
            return Err(fail("Invalid URI (it is too long)".to_owned()));
        }
        let url = Url::parse(text).map_err(|error| fail(format!("Invalid URI ({error})")))?;
        Self::of_url(url).map_err(|reason| fail(reason.to_owned()))
    }

    /// Takes the user name and password off a URL; the error says what is wrong with it.
    pub(crate) fn of_url(mut url: Url) -> Result<Self, &'static str> {
        match url.scheme() {
            "http" | "https" if url.has_host() => {}
            "file" if url.to_file_path().is_ok() => {}
            "http" | "https" | "file" => return Err("Invalid URI (no place)"),
            _ => return Err("Invalid URI scheme"),
        }
        let authorization = authorization_of(&url);
        // Both fail only for URLs without a host, which have nothing to remove.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Ok(Self {
                url,
                authorization: None,
                is_own: true,
            });
        }
        url.set_fragment(None);
        Ok(Self {
            url,
            authorization,
            is_own: true,
        })
    }

    /// Returns the URL itself.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the value of the header `Authorization`, if the URL names a user.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Returns whether secrets that the user gave for the remote may go there.
    pub(crate) const fn is_own(&self) -> bool {
        self.is_own
    }

    /// Returns the URL of a file for messages: without a query.
    pub(crate) fn display(&self, path: &str) -> String {
        let mut url = self.url_of(path);
        url.set_query(None);
        url.to_string()
    }

    /// Returns the URL of a file; a query of the repository's URL stays. The path of no file is the URL itself.
    pub(crate) fn url_of(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        if !path.is_empty() {
            let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
            url.set_path(&joined);
        }
        url
    }

    /// Returns the place of the directory that holds the file at this URL.
    pub(crate) fn parent(&self) -> Self {
        let mut place = self.clone();
        let path = place.url.path().to_owned();
        let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
        place.url.set_path(directory);
        place.url.set_query(None);
        place
    }
}

fn authorization_of(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = percent_decoded(url.username());
    pair.push(b':');
    pair.extend(percent_decoded(url.password().unwrap_or_default()));
    Some(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    ))
}

/// Reads `%XX`; anything else stands for itself.
fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        if let (b'%', Some(high), Some(low)) =
            (byte, digit(bytes.get(index + 1)), digit(bytes.get(index + 2)))
        {
            decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            index += 3;
        } else {
            decoded.push(*byte);
            index += 1;
        }
    }
    decoded
}

/// Takes out what may be a user name, a password and a query, of something that may be no URL.
pub(crate) fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display(""))
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.places.iter()).finish()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_libostree_joins_them() {
        for (base, path, joined) in [
            ("http://h/repo", "summary", "http://h/repo/summary"),
            ("http://h/repo/", "summary", "http://h/repo/summary"),
            ("http://h", "config", "http://h/config"),
            (
                "http://h:8080/a?key=1",
                "objects/aa/bb.filez",
                "http://h:8080/a/objects/aa/bb.filez?key=1",
            ),
            (
                "http://h/r",
                "deltas/T0/a+b_-/superblock",
                "http://h/r/deltas/T0/a+b_-/superblock",
            ),
            ("http://h/r", "refs/heads/\u{e9}", "http://h/r/refs/heads/%C3%A9"),
            ("http://h/r", "refs/heads/a?b", "http://h/r/refs/heads/a%3Fb"),
        ] {
            let base = Base::parse(base).unwrap();
            assert_eq!(base.places()[0].url_of(path).as_str(), joined);
        }
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let base = Base::parse("https://me:s%65cret@h/repo").unwrap();
        assert_eq!(base.places()[0].authorization(), Some("Basic bWU6c2VjcmV0"));
        assert_eq!(format!("{base} {base:?}"), "https://h/repo [https://h/repo]");
        let error = Base::parse("ftp://me:secret@h/repo").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
        let error = Base::parse("https://me:secret@h:port/").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
    }

    #[test]
    fn a_query_is_sent_and_never_shown() {
        let base = Base::parse("https://h/repo?token=secret#part").unwrap();
        assert_eq!(
            base.places()[0].url_of("x").as_str(),
            "https://h/repo/x?token=secret"
        );
        let shown = format!("{base} {base:?} {}", base.display("x"));
        assert_eq!(shown, "https://h/repo [https://h/repo] https://h/repo/x");
        for bad in [
            "ftp://h/repo?token=secret",
            "repo?token=secret",
            "https://?token=secret",
        ] {
            let error = Base::parse(bad).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn only_a_place_on_the_server_of_its_list_is_the_users_own() {
        let list = Base::parse("https://me:pass@h/list").unwrap();
        for (place, own) in [
            ("https://h/repo", true),
            ("https://h:443/other", true),
            ("https://h:444/repo", false),
            ("http://h/repo", false),
            ("https://h.evil/repo", false),
        ] {
            let base = Base::parse(place).unwrap();
            assert!(base.places()[0].is_own());
            assert_eq!(base.listed_by(&list).places()[0].is_own(), own, "{place}");
        }
    }

    #[test]
    fn a_metalink_leads_to_the_directory_of_its_file() {
        let place = Place::parse("http://h/repo/summary?x=1").unwrap();
        assert_eq!(place.parent().url_of("config").as_str(), "http://h/repo/config");
    }

    #[test]
    fn local_repositories_have_a_path() {
        let local = Base::parse("file:///srv/my%20repo").unwrap();
        assert_eq!(local.local_path(), Some("/srv/my repo".into()));
        assert_eq!(Base::parse("http://h/").unwrap().local_path(), None);
        assert!(Base::parse("repo").is_err());
        assert!(Base::parse("file://host/x").is_err());
    }
}
