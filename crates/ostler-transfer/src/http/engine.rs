//! What all requests share: the connections, the memory, the options.
//!
//! There are two pools of connections, each made when it is first needed, because reading the certificates of a system takes longer
//! than many a pull: one without TLS and one with.

use super::base::without_secrets;
use super::fault::Fault;
use super::intake::Memory;
use super::options::ClientOptions;
use super::pace::Pauses;
use super::resolver::Resolver;
use super::tls;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{NoProxy, Proxy};
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How many bytes of one HTTP/2 stream may be on their way.
const STREAM_WINDOW: u32 = 1 << 20;

/// And of all streams of a connection: so many that streams which nobody reads never keep back the others.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// What all requests share.
pub(crate) struct Engine {
    pub(crate) options: ClientOptions,
    pub(crate) headers: HeaderMap,
    pub(crate) pauses: Pauses,
    pub(crate) memory: Arc<Memory>,
    /// How many bytes of bodies have come.
    pub(crate) received: Arc<AtomicU64>,
    plain: OnceCell<reqwest::Client>,
    secure: OnceCell<reqwest::Client>,
}

impl Engine {
    /// Puts the options into the form in which requests need them.
    pub(crate) fn new(options: ClientOptions, received: Arc<AtomicU64>) -> Result<Self, Fault> {
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let parsed = HeaderName::try_from(name)
                .ok()
                .zip(HeaderValue::try_from(value).ok());
            let (name, mut value) =
                parsed.ok_or_else(|| Fault::Protocol(format!("'{}' is no header", name.escape_debug())))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(Self {
            pauses: Pauses::new(options.pause, options.seed),
            memory: Arc::new(Memory::new(options.memory)),
            headers,
            options,
            received,
            plain: OnceCell::new(),
            secure: OnceCell::new(),
        })
    }

    /// Returns the connections for a scheme.
    pub(crate) fn connections(&self, scheme: &str) -> Result<&reqwest::Client, Fault> {
        let secure = scheme == "https" || self.proxy_is_secure();
        let pool = if secure { &self.secure } else { &self.plain };
        if let Some(client) = pool.get() {
            return Ok(client);
        }
        let client = self.connect(secure)?;
        Ok(pool.get_or_init(|| client))
    }

    fn proxy_is_secure(&self) -> bool {
        let options = &self.options;
        let all = options
            .proxy
            .iter()
            .chain(&options.proxies.http)
            .chain(&options.proxies.all);
        all.into_iter().any(|proxy| proxy.starts_with("https:"))
    }

    fn connect(&self, secure: bool) -> Result<reqwest::Client, Fault> {
        let options = &self.options;
        let tls = if secure {
            tls::configure(&options.tls, options.http2)?
        } else {
            tls::none()?
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(options.user_agent.as_str())
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .dns_resolver(Resolver::default())
            .connect_timeout(options.connect_timeout)
            .pool_max_idle_per_host(64)
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_header_list_size(64 << 10)
            .no_proxy();
        if !options.http2 {
            builder = builder.http1_only();
        }
        for proxy in self.proxies()? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| Fault::Protocol(chain(&error)))
    }

    /// The remote's proxy, which is for everything, or those of the environment.
    fn proxies(&self) -> Result<Vec<Proxy>, Fault> {
        type Make = fn(&str) -> reqwest::Result<Proxy>;
        let all: Make = |url| Proxy::all(url);
        let environment = &self.options.proxies;
        let (wanted, except): (Vec<(Option<&String>, Make)>, _) = match &self.options.proxy {
            Some(proxy) => (vec![(Some(proxy), all)], None),
            None => (
                vec![
                    (environment.http.as_ref(), |url| Proxy::http(url)),
                    (environment.https.as_ref(), |url| Proxy::https(url)),
                    (environment.all.as_ref(), all),
                ],
                environment.except.as_deref().and_then(NoProxy::from_string),
            ),
        };
        let mut proxies = Vec::new();
        for (url, make) in wanted {
            if let Some(url) = url {
                let proxy = make(url).map_err(|_error| {
                    Fault::Protocol(format!("'{}' is no URL of a proxy", without_secrets(url)))
                })?;
                proxies.push(proxy.no_proxy(except.clone()));
            }
        }
        Ok(proxies)
    }
}

/// Turns what reqwest tells into a fault.
pub(crate) fn fault_of(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let text = chain(&error);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if is_tls(error) {
            return Fault::Tls(text);
        }
        cause = error.source();
    }
    Fault::Network(text)
}

/// Returns whether an error, or one that it was made of, is about certificates or the like.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // What an I/O error was made of is not its source.
    error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| {
            inner.is::<rustls::Error>()
                || inner
                    .downcast_ref::<std::io::Error>()
                    .is_some_and(|error| is_tls(error))
        })
}

/// Returns the causes of an error in one line, outermost first, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut cause = error.source();
    while let Some(next) = cause {
        let message = next.to_string();
        if !last.contains(&message) {
            text = format!("{text}: {message}");
        }
        last = message;
        cause = next.source();
    }
    text
}
