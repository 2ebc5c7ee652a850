//! One question to one server, through its redirects, and the body of the answer.
//!
//! Redirects are followed here and not by reqwest: at most ten, never from TLS to plain text, never to another scheme. User name
//! and headers of the caller's go to the host that the remote names and to no other, the headers not to one that only a list of mirrors
//! names; cookies go where they belong. What a server sends as the rest of a body is taken for that only if it is, to the byte.

use super::base::Place;
use super::engine::{Engine, fault_of};
use super::exchange::Manner;
use super::fault::Fault;
use super::headers::{content_range, date, is_strong, retry_after, to_date};
use super::intake::Intake;
use super::pace::Pace;
use super::request::Validator;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How often one server may send us on.
const MAX_REDIRECTS: u32 = 10;

/// How much of a body that nobody wants is read so that the connection can be used again.
const DRAINED: usize = 16 << 10;

/// What is asked beside the file itself.
#[derive(Debug)]
pub(crate) struct Conditions<'a> {
    pub(crate) fresh: bool,
    pub(crate) changed: Option<&'a Validator>,
}

/// By which the rest of a body is asked for: the entity tag of what came.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    etag: String,
}

/// What one server says.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The body is in the intake, whole.
    Body(Validator),
    NotModified,
    NotFound(u16),
    /// A fault, which passes after this time at the earliest.
    Later(u16, Option<Duration>),
    /// The rest of what came cannot be had: to be asked for from the start.
    Anew,
}

/// Asks for a file. What comes goes into `intake`; `resume` says what to do with what is there already, and afterwards how the rest
/// can be had if the connection was cut.
pub(crate) async fn ask(
    engine: &Engine,
    place: &Place,
    path: &str,
    conditions: &Conditions<'_>,
    resume: &mut Option<Resume>,
    intake: &mut Intake,
    manner: &mut Manner,
) -> Result<Reply, Fault> {
    let origin = place.url_of(path);
    let mut url = origin.clone();
    let mut pace = Pace::start(engine.options.low_speed);
    for _ in 0..=MAX_REDIRECTS {
        let mut headers = conditional(conditions, resume.as_ref(), intake.length());
        add_secrets(&mut headers, engine, place, &origin, &url);
        let request = engine
            .connections(url.scheme())?
            .get(url.clone())
            .headers(headers);
        let asked = Instant::now();
        let response = pace.wait(request.send()).await?.map_err(fault_of)?;
        manner.version = Some(response.version());
        manner.latency = asked.elapsed();
        if let Some(next) = redirect(&response, &url)? {
            drain(response, &mut pace).await;
            url = next;
            continue;
        }
        match take(engine, response, conditions, resume, intake, &mut pace).await? {
            Reply::Anew => {}
            reply => return Ok(reply),
        }
    }
    Err(Fault::Redirect(format!("more than {MAX_REDIRECTS} redirects")))
}

fn conditional(conditions: &Conditions<'_>, resume: Option<&Resume>, length: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: HeaderName, value: &str| {
        // What a server sent as a header is one.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    if conditions.fresh {
        add(header::CACHE_CONTROL, "no-cache");
        add(header::PRAGMA, "no-cache");
    }
    if let Some(changed) = conditions.changed {
        if let Some(etag) = &changed.etag {
            add(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = changed.modified.and_then(to_date) {
            add(header::IF_MODIFIED_SINCE, &date);
        }
    }
    if let Some(resume) = resume {
        add(header::RANGE, &format!("bytes={length}-"));
        add(header::IF_RANGE, &resume.etag);
    }
    headers
}

fn add_secrets(headers: &mut HeaderMap, engine: &Engine, place: &Place, origin: &Url, url: &Url) {
    if is_same_host(origin, url) {
        if place.is_own() {
            for (name, value) in &engine.headers {
                headers.append(name, value.clone());
            }
        }
        add_sensitive(headers, header::AUTHORIZATION, place.authorization());
    }
    let cookies = engine.options.cookies.header(url, engine.options.now);
    add_sensitive(headers, header::COOKIE, cookies.as_deref());
}

fn add_sensitive(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(Ok(mut value)) = value.map(HeaderValue::try_from)
        && !headers.contains_key(&name)
    {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// Returns whether secrets for `origin` may go to `url`: the same host and port, or its TLS side.
fn is_same_host(origin: &Url, url: &Url) -> bool {
    let ports = (origin.port_or_known_default(), url.port_or_known_default());
    let upgraded = origin.scheme() == "http" && url.scheme() == "https" && ports == (Some(80), Some(443));
    origin.host() == url.host() && (upgraded || origin.scheme() == url.scheme() && ports.0 == ports.1)
}

/// Returns where the server sends us, if it does.
fn redirect(response: &Response, url: &Url) -> Result<Option<Url>, Fault> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = text(response, &header::LOCATION) else {
        return Ok(None);
    };
    let refused = |reason: &str| Fault::Redirect(format!("redirected to {reason}"));
    let next = url.join(location).map_err(|_error| refused("what is no URL"))?;
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err(refused("a place without TLS")),
        _ => return Err(refused("another scheme")),
    }
    // Names and passwords from a server are not ours to use.
    let place = Place::of_url(next).map_err(|_reason| refused("what is no URL"))?;
    Ok(Some(place.url().clone()))
}

async fn take(
    engine: &Engine,
    response: Response,
    conditions: &Conditions<'_>,
    resume: &mut Option<Resume>,
    intake: &mut Intake,
    pace: &mut Pace,
) -> Result<Reply, Fault> {
    let status = response.status();
    let mut whole = None;
    match status {
        StatusCode::OK => {
            intake.restart()?;
            *resume = resumable(&response);
        }
        StatusCode::PARTIAL_CONTENT => {
            // Only who was asked for a part may send one.
            let Some(asked) = resume.as_ref() else {
                return Err(Fault::Protocol("a part that nobody asked for".to_owned()));
            };
            whole = whole_with(&response, asked, intake.length());
            if whole.is_none() {
                *resume = None;
                return Ok(Reply::Anew);
            }
        }
        StatusCode::NOT_MODIFIED if conditions.changed.is_some() => return Ok(Reply::NotModified),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
            drain(response, pace).await;
            return Ok(Reply::NotFound(status.as_u16()));
        }
        StatusCode::RANGE_NOT_SATISFIABLE if resume.take().is_some() => {
            drain(response, pace).await;
            return Ok(Reply::Anew);
        }
        _ => {
            let pause = text(&response, &header::RETRY_AFTER)
                .and_then(|value| retry_after(value, text(&response, &header::DATE)));
            drain(response, pace).await;
            return Ok(Reply::Later(status.as_u16(), pause));
        }
    }
    let validator = validator(&response);
    if let Some(length) = response.content_length() {
        intake.expect(intake.length().saturating_add(length))?;
    }
    read_body(engine, response, intake, pace).await?;
    if whole.is_some_and(|whole| whole != intake.length()) {
        *resume = None;
        return Ok(Reply::Anew);
    }
    Ok(Reply::Body(validator))
}

/// Returns how large the whole is that a part completes: `None` unless it is all that lacks behind `length` bytes, of the same body.
fn whole_with(response: &Response, asked: &Resume, length: u64) -> Option<u64> {
    let (first, last, total) = content_range(text(response, &header::CONTENT_RANGE)?)?;
    let whole = last.checked_add(1)?;
    let is_rest = first == length && total == Some(whole);
    let is_same = text(response, &header::ETAG).is_none_or(|etag| etag == asked.etag);
    let plain = !response.headers().contains_key(header::CONTENT_ENCODING);
    let announced = response.content_length().unwrap_or(whole - first);
    (is_rest && is_same && plain && announced == whole - first).then_some(whole)
}

async fn read_body(
    engine: &Engine,
    mut response: Response,
    intake: &mut Intake,
    pace: &mut Pace,
) -> Result<(), Fault> {
    while let Some(chunk) = pace.wait(response.chunk()).await?.map_err(cut)? {
        pace.count(chunk.len());
        engine.received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        if intake.must_wait(chunk.len()) {
            intake.make_room(chunk.len()).await;
            pace.resume();
        }
        intake.take(&chunk)?;
    }
    Ok(())
}

/// Says of a fault that it came in the middle of a body.
fn cut(error: reqwest::Error) -> Fault {
    match fault_of(error) {
        Fault::Network(text) => Fault::Network(format!("Download incomplete: {text}")),
        fault => fault,
    }
}

/// Returns how the rest can be asked for if the connection is cut: by a strong entity tag, unless the server says that it knows no
/// ranges. Many that know them do not say so; one that does not sends all of it.
fn resumable(response: &Response) -> Option<Resume> {
    let plain = !response.headers().contains_key(header::CONTENT_ENCODING);
    let ranges = text(response, &header::ACCEPT_RANGES).is_none_or(|value| value.trim() == "bytes");
    let etag = text(response, &header::ETAG).filter(|etag| is_strong(etag))?;
    (plain && ranges).then(|| Resume {
        etag: etag.to_owned(),
    })
}

fn validator(response: &Response) -> Validator {
    Validator {
        etag: text(response, &header::ETAG).map(str::to_owned),
        modified: text(response, &header::LAST_MODIFIED).and_then(date),
    }
}

fn text<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Reads what little there is of a body that nobody wants; with more the connection is given up.
async fn drain(mut response: Response, pace: &mut Pace) {
    let mut drained = 0;
    while drained < DRAINED {
        let next = tokio::time::timeout(Duration::from_secs(2), pace.wait(response.chunk()));
        match next.await {
            Ok(Ok(Ok(Some(chunk)))) => drained += chunk.len(),
            _ => return,
        }
    }
}
