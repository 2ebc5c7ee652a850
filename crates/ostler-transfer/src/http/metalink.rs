//! Metalinks: an XML file of version 3.0 that says where copies of a repository's summary are, how long it is, and its digests.
//!
//! Of `metalink/files/file[@name="summary"]` are read: `size`, `verification/hash[@type]` (`sha256` and `sha512`, in lower-case hex; at
//! least one), `resources/url[@protocol]` (`http` and `https`; at least one, in the order of the file, at most 64). Anything else
//! is skipped. A document type declaration, and with it every entity of somebody's own, is refused; so are more than 100,000
//! nodes, and sizes above [`MAX_METADATA_SIZE`].

use super::base::{Base, MAX_STAND_INS, Place};
use super::client::Client;
use super::fault::Fault;
use crate::error::Result;
use ostler_format::MAX_METADATA_SIZE;
use ring::digest::{SHA256, SHA512, digest};
use roxmltree::{Document, Node, ParsingOptions};

/// The most bytes of a metalink.
const MAX_SIZE: u64 = 1 << 20;

/// The most copies that are looked at.
const MAX_URLS: usize = 64;

/// What a metalink says of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metalink {
    /// How many bytes it has.
    pub size: u64,
    /// Its SHA-256 in hex.
    pub sha256: Option<String>,
    /// Its SHA-512 in hex.
    pub sha512: Option<String>,
    /// Where copies of it are.
    pub urls: Vec<String>,
}

impl Metalink {
    /// Reads a metalink.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
            return Err("Document must begin with an element".to_owned());
        }
        let options = ParsingOptions {
            nodes_limit: 100_000,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
        let root = document.root_element();
        if !root.has_tag_name_of("metalink") {
            return Err("no metalink".to_owned());
        }
        let file = children(root, "files")
            .flat_map(|files| children(files, "file"))
            .find(|file| file.attribute("name") == Some("summary"))
            .ok_or("No <file name='summary'> found")?;
        Self::of_file(file)
    }

    fn of_file(file: Node<'_, '_>) -> Result<Self, String> {
        let size = children(file, "size").next().ok_or("No <size> element found")?;
        let size: u64 = text_of(size).parse().map_err(|_error| "Invalid <size>")?;
        if size > MAX_METADATA_SIZE {
            return Err(format!(
                "size {size} is above the limit of {MAX_METADATA_SIZE} bytes"
            ));
        }
        let sha256 = hash(file, "sha256", SHA256.output_len())?;
        let sha512 = hash(file, "sha512", SHA512.output_len())?;
        if sha256.is_none() && sha512.is_none() {
            return Err("No <verification> element with known <hash type=> found".to_owned());
        }
        let urls: Vec<String> = children(file, "resources")
            .flat_map(|resources| children(resources, "url"))
            .filter(|url| matches!(url.attribute("protocol"), Some("http" | "https")))
            .take(MAX_URLS)
            .map(|url| text_of(url).to_owned())
            .collect();
        if urls.is_empty() {
            return Err("No <url method='http'> elements found".to_owned());
        }
        Ok(Self {
            size,
            sha256,
            sha512,
            urls,
        })
    }

    /// Checks the summary that some copy gave.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() as u64 != self.size {
            return Err(format!(
                "Expected size is {} bytes but content is {} bytes",
                self.size,
                bytes.len()
            ));
        }
        for (expected, algorithm) in [(&self.sha512, &SHA512), (&self.sha256, &SHA256)] {
            let Some(expected) = expected else { continue };
            let actual = hex(digest(algorithm, bytes).as_ref());
            if *expected != actual {
                return Err(format!("Expected checksum is {expected} but actual is {actual}"));
            }
        }
        Ok(())
    }
}

/// Reads the metalink at `url`; returns where the repository lies and its summary.
///
/// # Errors
/// [`TransferError::Fetch`](crate::TransferError::Fetch).
pub(crate) fn resolve(client: &Client, url: &str) -> Result<(Base, Vec<u8>)> {
    let base = Base::parse(url)?;
    let unusable = |reason: String| Fault::Unusable(reason).of(base.to_string());
    let bytes = client.get(&base, "", MAX_SIZE, None)?.into_required()?;
    let text = String::from_utf8(bytes).map_err(|_error| unusable("it is not UTF-8".to_owned()))?;
    let metalink = Metalink::parse(&text).map_err(unusable)?;
    let mut last = String::new();
    for (index, url) in metalink.urls.iter().enumerate() {
        match copy(client, &metalink, &base, url) {
            Ok((place, summary)) => {
                // What comes behind may have objects that this one lacks.
                let later = metalink.urls.iter().skip(index + 1);
                let later = later.filter_map(|url| Some(Base::of_place(Place::parse(url).ok()?.parent())));
                let places = std::iter::once(Base::of_place(place)).chain(later.take(MAX_STAND_INS));
                let all = Base::of_mirrors(places).ok_or_else(|| unusable("it names no place".to_owned()))?;
                return Ok((all.listed_by(&base), summary));
            }
            Err(reason) => last = reason,
        }
    }
    let count = metalink.urls.len();
    Err(unusable(format!(
        "Exhausted {count} metalink targets, last error: {last}"
    )))
}

/// Fetches and checks one copy; the error is the reason.
fn copy(client: &Client, metalink: &Metalink, list: &Base, url: &str) -> Result<(Place, Vec<u8>), String> {
    let place = Place::parse(url).map_err(|error| error.chain())?;
    let base = Base::of_place(place.clone()).listed_by(list);
    let got = client.get(&base, "", metalink.size, None);
    let bytes = got
        .and_then(super::Got::into_required)
        .map_err(|error| error.chain())?;
    metalink.check(&bytes)?;
    Ok((place.parent(), bytes))
}

/// Reads the hash of one type.
fn hash(file: Node<'_, '_>, kind: &str, length: usize) -> Result<Option<String>, String> {
    let found = children(file, "verification")
        .flat_map(|verification| children(verification, "hash"))
        .find(|hash| hash.attribute("type") == Some(kind));
    let Some(hash) = found.map(text_of) else {
        return Ok(None);
    };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if hash.len() != 2 * length || !hash.bytes().all(is_hex) {
        return Err(format!("Invalid hash digest for {kind}"));
    }
    Ok(Some(hash.to_owned()))
}

/// The elements of a name, in whatever namespace.
fn children<'a, 'i>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name_of(name))
}

fn text_of<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The name of an element without its namespace.
trait LocalName {
    fn has_tag_name_of(&self, name: &str) -> bool;
}

impl LocalName for Node<'_, '_> {
    fn has_tag_name_of(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn damaged_metalinks_are_read_or_refused(at in 0usize..400, byte in any::<char>()) {
            let text = sound();
            let mut damaged: Vec<char> = text.chars().collect();
            let index = at % damaged.len();
            damaged[index] = byte;
            let damaged: String = damaged.into_iter().collect();
            if let Ok(metalink) = Metalink::parse(&damaged) {
                prop_assert!(!metalink.urls.is_empty() && metalink.size <= MAX_METADATA_SIZE);
            }
        }
    }

    const SUMMARY: &[u8] = b"a summary";

    fn text(size: &str, hashes: &str, urls: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"><deep><er/></deep><files>\
             <file name=\"other\"/><file name=\"summary\"><size>{size}</size><verification>{hashes}</verification>\
             <resources maxconnections=\"1\">{urls}</resources></file></files></metalink>"
        )
    }

    fn sound() -> String {
        let sha256 = hex(digest(&SHA256, SUMMARY).as_ref());
        text(
            "9",
            &format!("<hash type=\"md5\">x</hash><hash type=\"sha256\">{sha256}</hash>"),
            "<url protocol=\"ftp\">ftp://h/summary</url><url protocol=\"http\"> http://h/summary </url>",
        )
    }

    #[test]
    fn what_matters_is_read() {
        let metalink = Metalink::parse(&sound()).unwrap();
        assert_eq!(metalink.urls, ["http://h/summary"]);
        assert_eq!((metalink.size, metalink.sha512.clone()), (9, None));
        metalink.check(SUMMARY).unwrap();
        assert!(
            metalink
                .check(b"b summary")
                .unwrap_err()
                .starts_with("Expected checksum is ")
        );
        let size = metalink.check(b"abc").unwrap_err();
        assert_eq!(size, "Expected size is 9 bytes but content is 3 bytes");
    }

    #[test]
    fn what_is_wrong_is_told_as_libostree_tells_it() {
        let url = "<url protocol=\"https\">https://h/summary</url>";
        let hash = |value: &str| format!("<hash type=\"sha512\">{value}</hash>");
        for (bad, told) in [
            ("bacon".to_owned(), "Document must begin with an element"),
            (text("9", &hash("bacon"), url), "Invalid hash digest for sha512"),
            (
                text("9", &hash(&"A".repeat(128)), url),
                "Invalid hash digest for sha512",
            ),
            (
                text("9", "<hash type=\"md5\">x</hash>", url),
                "No <verification> element with known <hash type=> found",
            ),
            (
                text("9", &hash(&"a".repeat(128)), ""),
                "No <url method='http'> elements found",
            ),
            (text("-1", &hash(&"a".repeat(128)), url), "Invalid <size>"),
            (
                text("99999999999", &hash(&"a".repeat(128)), url),
                "above the limit",
            ),
            ("<metalink/>".to_owned(), "No <file name='summary'> found"),
            ("<x/>".to_owned(), "no metalink"),
        ] {
            let error = Metalink::parse(&bad).unwrap_err();
            assert!(error.contains(told), "{bad}: {error}");
        }
    }

    #[test]
    fn bombs_are_harmless() {
        let entities = "<!DOCTYPE m [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;\">]><metalink>&b;</metalink>";
        assert!(Metalink::parse(entities).is_err());
        let external = "<!DOCTYPE m SYSTEM \"file:///etc/passwd\"><metalink/>";
        assert!(Metalink::parse(external).is_err());
        let deep = "<metalink>".repeat(90_000);
        assert!(Metalink::parse(&deep).is_err());
        let deep = format!("{}{}", "<metalink>".repeat(90_000), "</metalink>".repeat(90_000));
        assert!(Metalink::parse(&deep).is_err());
        assert!(Metalink::parse(&format!("<metalink>{}</metalink>", "<a/>".repeat(200_000))).is_err());
    }
}
