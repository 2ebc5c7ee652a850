//! Values of options that are the same in several commands.

/// Reads the truth value of options such as `--fsync=false`, with the words of stock.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "none" | "off" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}
