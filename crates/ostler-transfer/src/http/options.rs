//! How a client behaves: everything that the command line, the configuration of a remote and the environment decide.

use super::cookies::CookieJar;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a client behaves.
#[derive(Clone)]
pub struct ClientOptions {
    /// The header `User-Agent`.
    pub user_agent: String,
    /// More headers for every request; they may be secrets and are sent to the remote's own hosts only.
    pub headers: Vec<(String, String)>,
    /// Cookies, sent where they belong.
    pub cookies: CookieJar,
    /// Certificates.
    pub tls: Tls,
    /// The proxy of the remote; it stands in for those of the environment.
    pub proxy: Option<String>,
    /// The proxies that the environment names.
    pub proxies: Proxies,
    /// Whether HTTP/2 may be spoken.
    pub http2: bool,
    /// How often a passing fault is tried again.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long, up to a limit. Zero means none.
    pub pause: Duration,
    /// From which the length of each pause is varied, so that many clients do not come back at once.
    pub seed: u64,
    /// When a transfer is given up as too slow.
    pub low_speed: LowSpeed,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// The most requests in flight; without it, what suits the protocol.
    pub max_in_flight: Option<usize>,
    /// The most requests that wait, of those that [`submit`](super::Client::submit) takes.
    pub max_queued: usize,
    /// How many bytes of bodies may lie in memory at once.
    pub memory: usize,
    /// Seconds since the epoch, by which cookies expire.
    pub now: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("ostler/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
            cookies: CookieJar::default(),
            tls: Tls::default(),
            proxy: None,
            proxies: Proxies::default(),
            http2: true,
            retries: 5,
            pause: Duration::from_millis(200),
            seed: 0,
            low_speed: LowSpeed::default(),
            connect_timeout: Duration::from_secs(30),
            max_in_flight: None,
            max_queued: 1024,
            memory: 64 << 20,
            now: 0,
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers, cookies and proxies may hold secrets.
        f.debug_struct("ClientOptions")
            .field("user_agent", &self.user_agent)
            .field("tls", &self.tls)
            .field("http2", &self.http2)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// Which certificates are trusted, and which is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Trusts everybody: whoever sits between may read and change everything.
    pub permissive: bool,
    /// A PEM file of the only certificates that are trusted, in place of the system's.
    pub ca_path: Option<PathBuf>,
    /// PEM files of the certificate that is shown, and of its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The proxies that an environment names: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<String>,
    /// For `https` URLs.
    pub https: Option<String>,
    /// For either, where there is none of its own.
    pub all: Option<String>,
    /// Hosts that are reached without, separated by commas.
    pub except: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies(..)")
    }
}

/// When a transfer is given up: fewer bytes a second than this for so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowSpeed {
    /// Bytes a second; zero for no limit.
    pub bytes: u64,
    /// For how long; zero for no limit.
    pub seconds: u64,
}

impl Default for LowSpeed {
    fn default() -> Self {
        Self {
            bytes: 1000,
            seconds: 30,
        }
    }
}
