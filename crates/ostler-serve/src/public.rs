//! Which paths are public, and how long a cache may keep each.
//!
//! A list of what is allowed, with the shape of each name: `tmp`, `state`, `extensions`, `.lock`, key rings,
//! cookies, remote refs and whatever else lies in a repository are not on it, and neither is anything with
//! `..` or a leading dot in it, plain or percent-encoded.

use ostler_format::ObjectName;

/// How long a cache may keep a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Named by its checksum: it never changes.
    Immutable,
    /// Replaced under the same name: to be asked for again each time.
    Mutable,
}

impl Lifetime {
    /// Returns the value of `Cache-Control`.
    pub const fn cache_control(self) -> &'static str {
        match self {
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Mutable => "no-cache",
        }
    }
}

/// A path of a repository that anybody may read, relative to its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicPath {
    components: Vec<String>,
    lifetime: Lifetime,
    alias_base: usize,
}

/// How many components of a path are read at all; far more than a ref has.
const MAX_COMPONENTS: usize = 64;

impl PublicPath {
    /// Reads the path of a request as it stands in the request line, percent-encoded.
    /// Returns `None` for all that is not public. A `+` is a `+`.
    pub fn from_request(path: &str) -> Option<Self> {
        let decoded = percent_decode(path)?;
        let relative = decoded.trim_start_matches('/');
        let components: Vec<&str> = relative.split('/').take(MAX_COMPONENTS + 1).collect();
        if components.len() > MAX_COMPONENTS || !components.iter().all(|name| is_plain(name)) {
            return None;
        }
        let (lifetime, alias_base) = classify(&components)?;
        Some(Self {
            components: components.into_iter().map(str::to_owned).collect(),
            lifetime,
            alias_base,
        })
    }

    /// Returns the names from the root down.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// Returns how long a cache may keep the file.
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Returns how many leading components a symbolic link may not leave, or 0 where links are refused:
    /// only refs in `refs/heads` may be aliases.
    pub(crate) const fn alias_base(&self) -> usize {
        self.alias_base
    }
}

/// A name that is neither empty nor hidden nor a step upwards, and that a file system can hold.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(char::is_control)
}

fn classify(components: &[&str]) -> Option<(Lifetime, usize)> {
    match components {
        ["config" | "summary" | "summary.sig" | "summary.idx" | "summary.idx.sig"] => {
            Some((Lifetime::Mutable, 0))
        }
        ["objects", directory, file] => {
            let name = ObjectName::from_loose(directory, file)?;
            let mutable = matches!(
                name.kind,
                ostler_format::ObjectType::CommitMeta | ostler_format::ObjectType::TombstoneCommit
            );
            Some((
                if mutable {
                    Lifetime::Mutable
                } else {
                    Lifetime::Immutable
                },
                0,
            ))
        }
        ["refs", "heads", _, ..] => Some((Lifetime::Mutable, 2)),
        // A collection and a ref of at least one component; deltas are regenerated in place.
        ["refs", "mirrors", _, _, ..] | ["deltas", _, _, _] => Some((Lifetime::Mutable, 0)),
        ["delta-indexes", _, file] => file.strip_suffix(".index").map(|_| (Lifetime::Mutable, 0)),
        // Named by digest, but for signatures, which can be made again.
        ["summaries", file] => {
            let signature = file.strip_suffix(".sig").is_some();
            Some((
                if signature {
                    Lifetime::Mutable
                } else {
                    Lifetime::Immutable
                },
                0,
            ))
        }
        _ => None,
    }
}

/// Decodes `%XX`; `None` for a broken escape and for what is not UTF-8 afterwards.
/// Reads what a request line holds of a path. `None` for what is no UTF-8.
pub(crate) fn percent_decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [char::from(rest.next()?), char::from(rest.next()?)];
            let [high, low] =
                digits.map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()));
            bytes.push(high? << 4 | low?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_public_paths_are_public() {
        let rest = "0".repeat(62);
        for public in [
            "/config",
            "/summary",
            "/summary.sig",
            "/summary.idx.sig",
            "/summaries/abc.gz",
            "/refs/heads/os/x86_64",
            "/refs/heads/%C3%A9t%C3%A9",
            "/refs/mirrors/org.example.Os/stable",
            "/deltas/at/R2So4w+x/superblock",
            "/delta-indexes/at/R2So4w+x.index",
            "//config",
            &format!("/objects/ab/{rest}.filez"),
            &format!("/objects/ab/{rest}.commitmeta"),
        ] {
            assert!(PublicPath::from_request(public).is_some(), "{public}");
        }
        for hidden in [
            "",
            "/",
            "/.lock",
            "/tmp/cache/summaries/x",
            "/state/x.commitpartial",
            "/extensions/ostler/history",
            "/origin.trustedkeys.gpg",
            "/origin.cookies.txt",
            "/refs/remotes/origin/a",
            "/refs/heads",
            "/refs/mirrors/org.example.Os",
            "/refs/heads/../remotes/origin/a",
            "/refs/heads/%2e%2e/remotes/origin/a",
            "/refs/heads/..%2fremotes/origin/a",
            "/refs/heads/.hidden",
            "/objects/ab",
            "/objects/../config",
            "/objects/ab/x.filez",
            "/summary%00",
            "/summary%",
            "/summary/",
            "/summary.old",
            "/config%ff",
        ] {
            assert_eq!(PublicPath::from_request(hidden), None, "{hidden}");
        }
        let deep = format!("/refs/heads/{}", "a/".repeat(100));
        assert_eq!(PublicPath::from_request(&deep), None);
    }

    #[test]
    fn plus_is_a_plus() {
        let path = PublicPath::from_request("/deltas/a+/b%2Bc/0").expect("public");
        assert_eq!(path.components(), ["deltas", "a+", "b+c", "0"]);
    }

    #[test]
    fn only_checksummed_names_are_immutable() {
        let rest = "0".repeat(62);
        for (path, lifetime) in [
            (format!("/objects/ab/{rest}.dirtree"), Lifetime::Immutable),
            (format!("/objects/ab/{rest}.commitmeta"), Lifetime::Mutable),
            ("/summary".to_owned(), Lifetime::Mutable),
            ("/summaries/x.idx.sig".to_owned(), Lifetime::Mutable),
        ] {
            assert_eq!(
                PublicPath::from_request(&path).map(|path| path.lifetime()),
                Some(lifetime)
            );
        }
    }
}
