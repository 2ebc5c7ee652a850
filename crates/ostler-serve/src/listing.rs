//! A directory as a web page: the names in it as links.

use rustix::fs::Dir;
use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;

/// How many names a page lists; a page is in memory as a whole.
const MAX_NAMES: usize = 10_000;

/// Returns the page of a directory. Names that are no UTF-8 are left out: no request can ask for them.
pub(crate) fn page(directory: OwnedFd, path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    let mut more = false;
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if matches!(name, "." | "..") {
            continue;
        }
        more = names.len() == MAX_NAMES;
        if more {
            break;
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    let title = escaped(path);
    let mut page = format!(
        "<html>\n<head><title>Index of {title}</title></head>\n<body><h1>Index of {title}</h1>\n<p>\n"
    );
    for name in names {
        page.push_str("<a href=\"");
        // Else a name with a colon were a scheme.
        page.push_str("./");
        percent_encode(&mut page, &name);
        page.push_str("\">");
        page.push_str(&escaped(&name));
        page.push_str("</a><br>\n");
    }
    if more {
        page.push_str("and more<br>\n");
    }
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

/// Appends a name as it stands in an address.
pub(crate) fn percent_encode(to: &mut String, name: &str) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~+,=@".contains(&byte) {
            to.push(char::from(byte));
        } else {
            write!(to, "%{byte:02X}").expect("a string takes all");
        }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char => escaped.push(char),
        }
    }
    escaped
}
