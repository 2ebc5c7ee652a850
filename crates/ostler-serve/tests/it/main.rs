//! Behaviour of the server as clients see it.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a step that fails is the test failing"
)]

mod client;
mod forbidden;
mod http;
mod stock_pull;
mod tree;
