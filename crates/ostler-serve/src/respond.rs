//! From a request to its response: methods, validators, ranges, headers.
//!
//! A 304 is given for an entity tag that is equal, or, without one, for a time that is equal to the second: a
//! time that is merely not later would hide a file that was replaced by an older one (a roll-back).

use crate::body::{CHUNK, ResponseBody, Traffic};
use crate::demands::Demands;
use crate::faults::Dice;
use crate::log::Log;
use crate::open::{self, Opened};
use crate::public::PublicPath;
use crate::range::{self, Part};
use crate::shelf::Shelf;
use crate::tree::{self, Found};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use rustix::fs::Stat;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Site {
    /// The directory that is served, where it is one.
    pub(crate) root: Option<OwnedFd>,
    pub(crate) kind: Kind,
    pub(crate) traffic: Arc<Traffic>,
}

/// What the root is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A repository, of which the public files are served.
    Repository,
    /// A directory, of which everything is served that everybody may read.
    Tree(Tree),
    /// What somebody hands out, behind a secret.
    Source(Shelf),
}

/// How a directory is served.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) demands: Demands,
    pub(crate) dice: Dice,
    pub(crate) log: Option<Log>,
}

impl Tree {
    fn log(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.line(&line());
        }
    }

    /// Returns the status to answer with instead of what is asked for, if there is a reason.
    fn refusal(&self, parts: &Parts) -> Option<StatusCode> {
        if !self.demands.admits(&parts.headers) {
            return Some(StatusCode::UNAUTHORIZED);
        }
        if let Some(lack) = self.demands.lacking(&parts.headers) {
            self.log(|| lack);
            return Some(StatusCode::FORBIDDEN);
        }
        self.dice.throw()
    }
}

/// Answers a request. Errors become a status; only a body can still fail.
pub(crate) async fn respond<B>(site: Arc<Site>, request: Request<B>) -> Response<ResponseBody> {
    site.traffic.requests.fetch_add(1, Ordering::Relaxed);
    let (parts, _) = request.into_parts();
    if let Kind::Tree(tree) = &site.kind {
        tree.log(|| format!("serving {}", parts.uri.path()));
    }
    let response = decide(&site, parts).await;
    if let Kind::Tree(tree) = &site.kind {
        let status = response.status();
        tree.log(|| {
            format!(
                "  status: {} ({})",
                status.canonical_reason().unwrap_or("?"),
                status.as_u16()
            )
        });
    }
    response
}

async fn decide(site: &Arc<Site>, parts: Parts) -> Response<ResponseBody> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return not_allowed(site);
    }
    if let Kind::Tree(tree) = &site.kind
        && let Some(refusal) = tree.refusal(&parts)
    {
        let mut response = status(site, refusal);
        if refusal == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"auth-test\""),
            );
        }
        return response;
    }
    let answering = Arc::clone(site);
    // Files are opened and read where blocking is allowed.
    let answer = tokio::task::spawn_blocking(move || match &answering.kind {
        Kind::Repository => answer_public(&answering, &parts),
        Kind::Tree(tree) => answer_tree(&answering, tree, &parts),
        Kind::Source(shelf) => answer_source(&answering, shelf, &parts),
    })
    .await;
    match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            plain(site, StatusCode::FORBIDDEN, "forbidden\n")
        }
        Ok(Err(_)) | Err(_) => plain(site, StatusCode::INTERNAL_SERVER_ERROR, "cannot read the file\n"),
    }
}

fn not_allowed(site: &Site) -> Response<ResponseBody> {
    let mut response = match site.kind {
        Kind::Repository | Kind::Source(_) => {
            plain(site, StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
        }
        // What stock answers.
        Kind::Tree(_) => status(site, StatusCode::NOT_IMPLEMENTED),
    };
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn answer_public(site: &Site, parts: &Parts) -> io::Result<Response<ResponseBody>> {
    let path = PublicPath::from_request(parts.uri.path());
    let Some(path) = path else {
        return Ok(plain(site, StatusCode::NOT_FOUND, "not found\n"));
    };
    let Some(root) = &site.root else {
        return Ok(plain(site, StatusCode::NOT_FOUND, "not found\n"));
    };
    let Some(opened) = open::open(root, &path)? else {
        return Ok(plain(site, StatusCode::NOT_FOUND, "not found\n"));
    };
    let mut response = file(site, opened, parts)?;
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(path.lifetime().cache_control()),
    );
    Ok(response)
}

/// Answers from what a source hands out. Whoever does not know the secret finds nothing.
fn answer_source(site: &Site, shelf: &Shelf, parts: &Parts) -> io::Result<Response<ResponseBody>> {
    let found = shelf.find(parts.uri.path())?;
    match found {
        Some(opened) => file(site, opened, parts),
        None => Ok(plain(site, StatusCode::NOT_FOUND, "not found\n")),
    }
}

fn answer_tree(site: &Site, tree: &Tree, parts: &Parts) -> io::Result<Response<ResponseBody>> {
    let path = parts.uri.path();
    let Some(root) = &site.root else {
        return Ok(status(site, StatusCode::NOT_FOUND));
    };
    match tree::find(root.as_fd(), path)? {
        Found::File(opened) => {
            let response = file(site, opened, parts)?;
            let halved =
                tree.dice.half_objects && path.contains("/objects/") && response.status() == StatusCode::OK;
            Ok(if halved {
                response.map(ResponseBody::break_off_halfway)
            } else {
                response
            })
        }
        Found::Page(page) => Ok(web_page(site, page, &parts.method)),
        Found::Moved(address) => {
            let mut response = status(site, StatusCode::MOVED_PERMANENTLY);
            insert(response.headers_mut(), header::LOCATION, &address);
            Ok(response)
        }
        Found::Forbidden => Ok(status(site, StatusCode::FORBIDDEN)),
        Found::Nothing => Ok(status(site, StatusCode::NOT_FOUND)),
    }
}

fn web_page(site: &Site, page: String, method: &Method) -> Response<ResponseBody> {
    let size = page.len();
    let page = if method == Method::HEAD {
        String::new()
    } else {
        page
    };
    let mut response = Response::new(ResponseBody::of(page, Arc::clone(&site.traffic)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// Answers with a file, with the part of it that is asked for, or that it has not changed.
fn file(site: &Site, Opened { mut file, stat }: Opened, parts: &Parts) -> io::Result<Response<ResponseBody>> {
    let tag = entity_tag(&stat);
    let modified = modified(&stat);
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let headers = &parts.headers;
    let mut response = if is_unchanged(headers, &tag, modified) {
        status(site, StatusCode::NOT_MODIFIED)
    } else if parts.method == Method::HEAD {
        let mut response = status(site, StatusCode::OK);
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        response
    } else {
        match range::asked(headers, size, &tag, modified) {
            Part::Whole => body(site, file, size)?,
            Part::Bytes(bytes) => {
                file.seek(SeekFrom::Start(bytes.start))?;
                let mut response = body(site, file, bytes.end - bytes.start)?;
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
                insert(response.headers_mut(), header::CONTENT_RANGE, &range);
                response
            }
            Part::Unsatisfiable => {
                let mut response = status(site, StatusCode::RANGE_NOT_SATISFIABLE);
                insert(
                    response.headers_mut(),
                    header::CONTENT_RANGE,
                    &format!("bytes */{size}"),
                );
                response
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(headers, header::ETAG, &tag);
    if let Some(modified) = modified {
        insert(headers, header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    }
    Ok(response)
}

/// Answers with `size` bytes from where the file stands.
fn body(site: &Site, mut file: std::fs::File, size: u64) -> io::Result<Response<ResponseBody>> {
    let mut first = Vec::with_capacity(usize::try_from(size).unwrap_or(CHUNK).min(CHUNK));
    (&mut file).take(size.min(CHUNK as u64)).read_to_end(&mut first)?;
    let mut response = Response::new(ResponseBody::stream(first, file, size, Arc::clone(&site.traffic)));
    response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
    Ok(response)
}

/// Names one state of a file: replacing it by a rename changes the inode, and with it the tag, even where the
/// time and the size stay.
fn entity_tag(stat: &Stat) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec
    )
}

fn modified(stat: &Stat) -> Option<SystemTime> {
    // What the date format can hold: from 1970 until 9999.
    let seconds = u64::try_from(stat.st_mtime)
        .ok()
        .filter(|seconds| *seconds < 253_402_300_800)?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn is_unchanged(headers: &HeaderMap, tag: &str, modified: Option<SystemTime>) -> bool {
    let mut tags = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        return tags
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|sent| sent == "*" || sent.trim_start_matches("W/") == tag);
    }
    let since = headers
        .get(header::IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok());
    since.is_some_and(|since| {
        // libostree writes "UTC" where the standard wants "GMT".
        httpdate::parse_http_date(&since.replace("UTC", "GMT"))
            .ok()
            .is_some_and(|since| modified == Some(since))
    })
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn plain(site: &Site, code: StatusCode, text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::of(text, Arc::clone(&site.traffic)));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn status(site: &Site, code: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::of("", Arc::clone(&site.traffic)));
    *response.status_mut() = code;
    response
}
