//! `KEY=VALUE` arguments.

use crate::exit;
use anyhow::Context as _;
use ostler_format::gvariant::Value;

/// Splits the argument at the first `=`.
///
/// # Errors
/// A usage error where there is none, or no key before it.
pub(crate) fn split(pair: &str) -> anyhow::Result<(&str, &str)> {
    match pair.split_once('=') {
        Some(("", _)) => Err(exit::usage("Empty metadata key")),
        Some(parts) => Ok(parts),
        None => Err(exit::usage(format!(
            "Missing '=' in KEY=VALUE metadata '{}'",
            pair.escape_debug()
        ))),
    }
}

/// Reads an argument whose value is in GVariant text form.
///
/// # Errors
/// As [`split`]; a value that is not in that form.
pub(crate) fn variant(pair: &str) -> anyhow::Result<(&str, Value)> {
    let (key, text) = split(pair)?;
    let value = Value::parse_text(text, None)
        .with_context(|| format!("cannot read the value of '{}'", key.escape_debug()))?;
    Ok((key, value))
}
