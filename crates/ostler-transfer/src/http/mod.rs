//! The client side of HTTP: many requests at once, behind a blocking face.
//!
//! A [`Client`] owns one network thread; nobody outside this folder sees anything asynchronous. It is given a [`Base`] (the URL
//! of a repository, or several mirrors of it in order) and paths below it. What passes (a reset, a truncated body, a busy server)
//! is tried again; what is final is reported at once. Whatever a server sends is bounded: sizes while they are read, memory over
//! all requests, redirects, time.
//!
//! [`RemoteSettings`] is what a repository says of a remote, [`Remote`] where it lies once mirror lists and metalinks are read.

mod base;
mod client;
mod cookies;
mod engine;
mod exchange;
mod fault;
pub mod headers;
mod hop;
mod intake;
mod local;
pub mod metalink;
pub mod mirrorlist;
mod network;
mod options;
mod pace;
mod remote;
mod request;
mod resolver;
mod summary;
mod tls;

pub use base::Base;
pub use client::Client;
pub use cookies::{Cookie, CookieJar, edit as edit_cookies};
pub use fault::{Fault, NotFound};
pub use options::{ClientOptions, LowSpeed, Proxies, Tls};
pub use remote::{Remote, RemoteOverrides, RemoteSettings};
pub use request::{Answer, Body, Completion, Destination, Got, Request, Validator};
pub use summary::{Check, SummaryCache, SummaryOptions, SummaryPair, fetch_summary};
