//! From a request to its response: methods, validators, headers.
//!
//! A 304 is given for an entity tag that is equal, or, without one, for a time that is equal to the second: a
//! time that is merely not later would hide a file that was replaced by an older one (a roll-back).

use crate::body::{CHUNK, ResponseBody, Traffic};
use crate::open::{Opened, open};
use crate::public::PublicPath;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rustix::fs::Stat;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) root: OwnedFd,
    pub(crate) traffic: Arc<Traffic>,
}

/// Answers a request. Errors become a status; only a body can still fail.
pub(crate) async fn respond<B>(site: Arc<Site>, request: Request<B>) -> Response<ResponseBody> {
    site.traffic.requests.fetch_add(1, Ordering::Relaxed);
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(&site, StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some(path) = PublicPath::from_request(request.uri().path()) else {
        return plain(&site, StatusCode::NOT_FOUND, "not found\n");
    };
    let (parts, _) = request.into_parts();
    let answering = Arc::clone(&site);
    // Files are opened and read where blocking is allowed.
    let answer =
        tokio::task::spawn_blocking(move || answer(&answering, &path, &parts.method, &parts.headers)).await;
    match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            plain(&site, StatusCode::FORBIDDEN, "forbidden\n")
        }
        Ok(Err(_)) | Err(_) => plain(&site, StatusCode::INTERNAL_SERVER_ERROR, "cannot read the file\n"),
    }
}

fn answer(
    site: &Site,
    path: &PublicPath,
    method: &Method,
    headers: &HeaderMap,
) -> io::Result<Response<ResponseBody>> {
    let Some(Opened { mut file, stat }) = open(&site.root, path)? else {
        return Ok(plain(site, StatusCode::NOT_FOUND, "not found\n"));
    };
    let tag = entity_tag(&stat);
    let modified = modified(&stat);
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let mut response = if is_unchanged(headers, &tag, modified) {
        status(site, StatusCode::NOT_MODIFIED)
    } else if method == Method::HEAD {
        let mut response = status(site, StatusCode::OK);
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        response
    } else {
        let mut first = Vec::with_capacity(usize::try_from(size).unwrap_or(CHUNK).min(CHUNK));
        (&mut file).take(size.min(CHUNK as u64)).read_to_end(&mut first)?;
        let mut response = Response::new(ResponseBody::stream(first, file, size, Arc::clone(&site.traffic)));
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        response
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(path.lifetime().cache_control()),
    );
    insert(headers, header::ETAG, &tag);
    if let Some(modified) = modified {
        insert(headers, header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    }
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
