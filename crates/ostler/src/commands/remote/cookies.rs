//! `remote add-cookie`, `remote delete-cookie` and `remote list-cookies`: what a server asks its clients to bring.
//!
//! They change and show `NAME.cookies.txt` in the repository; the remote itself need not be there.

use super::named;
use crate::context::Context;
use crate::dates;
use crate::ui::printable;
use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use ostler_transfer::http::{Cookie, CookieJar, edit_cookies};
use serde::Serialize;

/// Which cookie of which remote.
#[derive(Debug, clap::Args)]
pub(super) struct Key {
    /// Name of the remote
    #[arg(value_name = "NAME")]
    remote: String,
    /// Host, or with a leading dot the domain, that gets it
    domain: String,
    /// Path below which it is sent
    path: String,
    /// Name of the cookie
    #[arg(value_name = "COOKIE_NAME")]
    cookie: String,
}

/// The arguments of `remote add-cookie`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote add-cookie origin example.org /repo token 123")]
pub(super) struct Add {
    #[command(flatten)]
    key: Key,
    /// Value of the cookie
    value: String,
}

/// The arguments of `remote delete-cookie`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote delete-cookie origin example.org /repo token")]
pub(super) struct Delete {
    #[command(flatten)]
    key: Key,
}

/// The arguments of `remote list-cookies`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote list-cookies origin")]
pub(super) struct List {
    /// Name of the remote
    name: String,
}

#[derive(Serialize)]
struct Record<'a> {
    domain: &'a str,
    path: &'a str,
    name: &'a str,
    secure: bool,
    expires: u64,
    value: &'a str,
}

/// Adds a cookie that is good for 25 years, as stock does; one of the same name for the same place makes way.
pub(super) fn add(context: &Context, args: &Add) -> anyhow::Result<()> {
    let Key {
        remote,
        domain,
        path,
        cookie,
    } = &args.key;
    let remote = named(remote)?;
    let cookie = Cookie::new(domain, path, cookie, &args.value, in_25_years(context)?);
    let line = cookie.to_line();
    if Cookie::parse(&line).as_ref() != Some(&cookie) {
        bail!("no field of a cookie may be empty or hold a tab, a line break or ';'");
    }
    edit_cookies(&context.open()?, remote.as_str(), |mut lines| {
        lines.retain(|line| !is(line, &args.key));
        lines.push(line);
        Some(lines)
    })?;
    Ok(())
}

/// Removes a cookie.
pub(super) fn delete(context: &Context, args: &Delete) -> anyhow::Result<()> {
    let remote = named(&args.key.remote)?;
    let found = edit_cookies(&context.open()?, remote.as_str(), |mut lines| {
        let before = lines.len();
        lines.retain(|line| !is(line, &args.key));
        (lines.len() < before).then_some(lines)
    })?;
    if !found {
        bail!("Cookie not found in jar");
    }
    Ok(())
}

/// Prints the cookies.
pub(super) fn list(context: &Context, args: &List) -> anyhow::Result<()> {
    let remote = named(&args.name)?;
    let jar = CookieJar::load(&context.open()?, remote.as_str())?;
    let ui = context.ui();
    for cookie in jar.cookies() {
        if ui.json() {
            ui.object(&Record {
                domain: &cookie.domain,
                path: &cookie.path,
                name: &cookie.name,
                secure: cookie.secure,
                expires: cookie.expires,
                value: &cookie.value,
            })?;
            continue;
        }
        ui.line("--")?;
        for (title, value) in [
            ("Domain", cookie.domain.as_str()),
            ("Path", &cookie.path),
            ("Name", &cookie.name),
            ("Secure", if cookie.secure { "TRUE" } else { "FALSE" }),
            ("Expires", &dates::commit_date(cookie.expires)),
            ("Value", &cookie.value),
        ] {
            ui.line(format_args!("{title}: {}", printable(value)))?;
        }
    }
    Ok(())
}

fn is(line: &str, key: &Key) -> bool {
    Cookie::parse(line).is_some_and(|cookie| cookie.is(&key.domain, &key.path, &key.cookie))
}

fn in_25_years(context: &Context) -> anyhow::Result<u64> {
    let now = i64::try_from(context.environment().now())?;
    let then = Timestamp::from_second(now)?
        .to_zoned(TimeZone::UTC)
        .checked_add(25.years())
        .context("the clock is far in the future")?;
    Ok(u64::try_from(then.timestamp().as_second())?)
}
