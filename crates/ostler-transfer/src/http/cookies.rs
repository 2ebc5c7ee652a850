//! The cookies of a remote, `NAME.cookies.txt` in the repository: Netscape's format, as curl and browsers write it.
//!
//! A line is `DOMAIN TAB SUBDOMAINS TAB PATH TAB SECURE TAB EXPIRES TAB NAME TAB VALUE`: whether subdomains get the cookie and whether
//! it goes over TLS only are `TRUE` or `FALSE`, EXPIRES is in seconds since the epoch, 0 for never. `#HttpOnly_` before the domain
//! is skipped; other lines that begin with `#`, empty ones, and those that are not of this form are no cookies, and are
//! kept. At most 1 MiB is read. Cookies that servers send are not kept.

use crate::error::Result;
use ostler_repo::{FileLock, Repo, RepoError};
use reqwest::Url;
use std::fmt;

/// The most bytes that a file of cookies may have.
const MAX_JAR: u64 = 1 << 20;

/// The permission bits of a new file: cookies are secrets.
const NEW_MODE: u32 = 0o600;

/// One cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// The host, or with a leading dot the domain.
    pub domain: String,
    /// Whether hosts below the domain get it.
    pub subdomains: bool,
    /// The path below which it is sent.
    pub path: String,
    /// Whether it is sent over TLS only.
    pub secure: bool,
    /// When it expires, in seconds since the epoch; 0 for never.
    pub expires: u64,
    /// Its name.
    pub name: String,
    /// Its value, a secret.
    pub value: String,
}

/// The cookies of a remote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CookieJar {
    cookies: Vec<Cookie>,
}

impl Cookie {
    /// Returns a cookie as `remote add-cookie` makes it.
    pub fn new(domain: &str, path: &str, name: &str, value: &str, expires: u64) -> Self {
        Self {
            domain: domain.to_owned(),
            subdomains: domain.starts_with('.'),
            path: path.to_owned(),
            secure: false,
            expires,
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    /// Reads one line; `None` for what is no cookie.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
        if line.starts_with('#') {
            return None;
        }
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let cookie = Self {
            domain: next()?.to_owned(),
            subdomains: truth(next()?)?,
            path: next()?.to_owned(),
            secure: truth(next()?)?,
            expires: next()?.parse().ok()?,
            name: next()?.to_owned(),
            value: next()?.to_owned(),
        };
        let sendable = |text: &str| {
            text.bytes()
                .all(|byte| byte >= b' ' && byte != 0x7f && byte != b';')
        };
        (next().is_none() && sendable(&cookie.name) && sendable(&cookie.value) && !cookie.domain.is_empty())
            .then_some(cookie)
    }

    /// Returns the line of the cookie, without its end.
    pub fn to_line(&self) -> String {
        let truth = |flag| if flag { "TRUE" } else { "FALSE" };
        let Self {
            domain,
            path,
            expires,
            name,
            value,
            ..
        } = self;
        let (subdomains, secure) = (truth(self.subdomains), truth(self.secure));
        format!("{domain}\t{subdomains}\t{path}\t{secure}\t{expires}\t{name}\t{value}")
    }

    /// Returns whether it is the cookie of that name for that domain and path.
    pub fn is(&self, domain: &str, path: &str, name: &str) -> bool {
        self.domain == domain && self.path == path && self.name == name
    }

    /// Returns whether it is sent with a request for `url` at the time `now`.
    fn fits(&self, url: &Url, now: u64) -> bool {
        let alive = self.expires == 0 || self.expires > now;
        let over = !self.secure || url.scheme() == "https";
        alive && over && self.fits_host(url.host_str().unwrap_or_default()) && self.fits_path(url.path())
    }

    fn fits_host(&self, host: &str) -> bool {
        let domain = self.domain.strip_prefix('.').unwrap_or(&self.domain);
        if host.eq_ignore_ascii_case(domain) {
            return true;
        }
        // An address has no subdomains.
        let is_name = host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[');
        let below = host
            .len()
            .checked_sub(domain.len())
            .and_then(|split| host.split_at_checked(split))
            .is_some_and(|(rest, end)| rest.ends_with('.') && end.eq_ignore_ascii_case(domain));
        self.subdomains && is_name && below
    }

    fn fits_path(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'))
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "TRUE" => Some(true),
        "FALSE" => Some(false),
        _ => None,
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({} {} {})", self.domain, self.path, self.name)
    }
}

impl CookieJar {
    /// Reads the text of a jar.
    pub fn parse(text: &str) -> Self {
        Self {
            cookies: text.lines().filter_map(Cookie::parse).collect(),
        }
    }

    /// Reads the jar of a remote; an empty one where there is none.
    ///
    /// # Errors
    /// [`TransferError::Repo`](crate::TransferError::Repo).
    pub fn load(repo: &Repo, remote: &str) -> Result<Self> {
        Ok(Self::parse(&read(repo, &file_name(remote))?))
    }

    /// Returns the cookies.
    pub fn cookies(&self) -> &[Cookie] {
        &self.cookies
    }

    /// Returns the value of the header `Cookie` for a URL: longer paths first, as browsers do.
    pub(crate) fn header(&self, url: &Url, now: u64) -> Option<String> {
        let mut fitting: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.fits(url, now))
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = fitting
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// Changes the jar of a remote: `change` gets the lines and returns those that it is to have, or `None` to leave it. Two that do so at
/// once do it one after the other. The file is replaced in one step, and nobody but its owner may read a new one. Returns whether it
/// was changed.
///
/// # Errors
/// [`TransferError::Repo`](crate::TransferError::Repo).
pub fn edit(
    repo: &Repo,
    remote: &str,
    change: impl FnOnce(Vec<String>) -> Option<Vec<String>>,
) -> Result<bool> {
    let (root, name, tmp) = (repo.root(), file_name(remote), repo.tmp()?);
    let (limit, observer) = (repo.config().lock_timeout(), repo.observer());
    let _serial = FileLock::acquire(tmp, "ostler-cookies-lock", limit, observer.as_deref())?;
    let lines = read(repo, &name)?.lines().map(str::to_owned).collect();
    let Some(lines) = change(lines) else {
        return Ok(false);
    };
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let write = || {
        let mode = root.stat(&name)?.map_or(NEW_MODE, |stat| stat.mode & 0o777);
        root.replace_via(tmp, &name, text.as_bytes(), mode, repo.config().fsync())
    };
    write().map_err(RepoError::io("write", root.path_of(&name)))?;
    Ok(true)
}

fn file_name(remote: &str) -> String {
    format!("{remote}.cookies.txt")
}

fn read(repo: &Repo, name: &str) -> Result<String> {
    let root = repo.root();
    let bytes = root.read_if_exists(name, MAX_JAR);
    let bytes = bytes.map_err(RepoError::io("read", root.path_of(name)))?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_that_are_cookies_read_back(line in "(#HttpOnly_)?[a.]{0,3}\t(TRUE|FALSE)\t/?\t(TRUE|FALSE)\t[0-9]{0,20}\t\\PC{0,5}\t\\PC{0,5}|\\PC{0,40}") {
            if let Some(cookie) = Cookie::parse(&line) {
                prop_assert_eq!(Cookie::parse(&cookie.to_line()), Some(cookie));
            }
        }
    }

    fn sent(line: &str, url: &str) -> bool {
        let jar = CookieJar::parse(line);
        assert_eq!(jar.cookies().len(), 1, "{line}");
        jar.header(&Url::parse(url).expect("a URL"), 1000).is_some()
    }

    #[test]
    fn cookies_go_where_they_belong() {
        for (line, url, goes) in [
            ("h\tFALSE\t/\tFALSE\t0\tn\tv", "http://h/x", true),
            ("h\tFALSE\t/\tFALSE\t0\tn\tv", "http://H:80/x", true),
            ("h\tFALSE\t/\tFALSE\t0\tn\tv", "http://a.h/x", false),
            (".h.org\tTRUE\t/\tFALSE\t0\tn\tv", "http://a.h.org/x", true),
            (".h.org\tTRUE\t/\tFALSE\t0\tn\tv", "http://h.org/x", true),
            (".h.org\tTRUE\t/\tFALSE\t0\tn\tv", "http://eh.org/x", false),
            (".0.0.1\tTRUE\t/\tFALSE\t0\tn\tv", "http://127.0.0.1/", false),
            ("h\tFALSE\t/a\tFALSE\t0\tn\tv", "http://h/a/b", true),
            ("h\tFALSE\t/a\tFALSE\t0\tn\tv", "http://h/ab", false),
            ("h\tFALSE\t/\tTRUE\t0\tn\tv", "http://h/", false),
            ("h\tFALSE\t/\tTRUE\t0\tn\tv", "https://h/", true),
            ("h\tFALSE\t/\tFALSE\t1000\tn\tv", "http://h/", false),
            ("#HttpOnly_h\tFALSE\t/\tFALSE\t1001\tn\tv", "http://h/", true),
        ] {
            assert_eq!(sent(line, url), goes, "{line} {url}");
        }
    }

    #[test]
    fn what_is_no_cookie_is_skipped() {
        for line in [
            "",
            "# comment",
            "h\tFALSE\t/\tFALSE\t0\tn",
            "h\tFALSE\t/\tFALSE\t0\tn\tv\tmore",
            "h\tno\t/\tFALSE\t0\tn\tv",
            "h\tFALSE\t/\tFALSE\tsoon\tn\tv",
            "h\tFALSE\t/\tFALSE\t0\tn\tv;w=x",
            "\tFALSE\t/\tFALSE\t0\tn\tv",
        ] {
            assert_eq!(Cookie::parse(line), None, "{line:?}");
        }
        assert_eq!(
            format!("{:?}", Cookie::new("h", "/", "n", "secret", 0)),
            "Cookie(h / n)"
        );
    }
}
