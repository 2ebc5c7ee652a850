//! The two kinds of strings that have a grammar: D-Bus object paths and signatures.

use super::types;

/// Returns whether `text` is a D-Bus object path: `/`, or names of ASCII letters, digits and `_` with a `/`
/// before each.
pub fn is_object_path(text: &str) -> bool {
    text == "/"
        || text.strip_prefix('/').is_some_and(|names| {
            names.split('/').all(|name| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
        })
}

/// Returns whether `text` is a D-Bus signature: any number of types, none of them with `m`, at most
/// [`MAX_TYPE_LEN`](super::MAX_TYPE_LEN) bytes in all.
pub fn is_signature(text: &str) -> bool {
    if text.len() > types::MAX_TYPE_LEN || text.contains('m') {
        return false;
    }
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        if types::scan(&mut rest, 0).is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_paths_are_told_from_other_texts() {
        for text in ["/", "/a", "/a/b_1/C"] {
            assert!(is_object_path(text), "{text}");
        }
        for text in ["", "a", "/a/", "//", "/a//b", "/a-b", "/\u{e9}"] {
            assert!(!is_object_path(text), "{text}");
        }
    }

    #[test]
    fn signatures_are_told_from_other_texts() {
        for text in ["", "s", "a{sv}(ii)h", &"y".repeat(255)] {
            assert!(is_signature(text), "{text}");
        }
        for text in ["a", "ms", "ams", "(", "*", "z", &"y".repeat(256)] {
            assert!(!is_signature(text), "{text}");
        }
    }
}
