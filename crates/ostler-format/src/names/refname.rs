//! Names of refs.

use super::fragment::broken_rule;
use super::{checked_text, refused};
use crate::checksum::Checksum;
use crate::error::Result;

/// The most bytes of a ref's name: object stores take keys of at most 1024 bytes.
const MAX_REF_NAME: usize = 1024;

/// The name of a ref, without remote: `fragment(/fragment)*`, each fragment `[\w\d][-._\w\d]*`.
///
/// `a..b`, `A.lock`, `_u` and `é/ñ` are legal. Refused are empty fragments, a leading `-` or `.` in a fragment,
/// any other punctuation, spaces, control characters, fragments of more than 255 bytes, names of more than
/// 1024 bytes, and names that are a checksum (64 lower-case hexadecimal digits).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Box<str>);

checked_text!(RefName);

impl RefName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`FormatError::Name`](crate::FormatError::Name) with the rule that it breaks.
    pub fn new(text: &str) -> Result<Self> {
        if text.len() > MAX_REF_NAME {
            return Err(refused("ref", text, "longer than 1024 bytes"));
        }
        if let Some(rule) = text.split('/').find_map(broken_rule) {
            return Err(refused("ref", text, rule));
        }
        if Checksum::from_hex(text).is_ok() {
            return Err(refused("ref", text, "a checksum is not the name of a ref"));
        }
        Ok(Self(text.into()))
    }

    /// Returns whether the name consists of `0-9a-f` only, so that stock tools take it for the beginning of a
    /// commit's checksum before they look for the ref. Such refs can be read, but should not be created.
    pub fn is_all_hex(&self) -> bool {
        self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Returns whether the last part is `tmp.` and six letters or digits: for an instant, stock tools have a ref that they
    /// write under such a name beside its own. It may also be a ref like any other.
    pub fn may_be_temporary(&self) -> bool {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        let random = last.strip_prefix("tmp.").map(str::as_bytes);
        random.is_some_and(|random| random.len() == 6 && random.iter().all(u8::is_ascii_alphanumeric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stock_tools_take_are_taken() {
        for good in [
            "a",
            "os/x86_64/stable",
            "é/ñ",
            "a..b",
            "A.lock",
            "_u",
            "0",
            "a-",
            "x/1.0",
            "b/beef",
            "中/文",
        ] {
            assert_eq!(RefName::new(good).map(|n| n.to_string()).as_deref(), Ok(good));
        }
    }

    #[test]
    fn names_that_break_the_grammar_or_a_limit_are_refused() {
        let long_part = "a".repeat(256);
        let long_name = "abc/".repeat(257) + "d";
        let checksum = "ab".repeat(32);
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../b",
            "a/./b",
            ".hidden",
            "-x",
            "a/-b",
            "a b",
            "a@b",
            "a+b",
            "a~b",
            "a:b",
            "a\n",
            "a\0b",
            "\u{1b}[31m",
            "a\\b",
            "a*",
            &long_part,
            &long_name,
            &checksum,
        ] {
            assert!(RefName::new(bad).is_err(), "{bad:?}");
        }
        assert!(RefName::new(&"a".repeat(255)).is_ok());
        assert!(RefName::new(&checksum.to_uppercase()).is_ok());
    }

    #[test]
    fn errors_escape_and_shorten_the_name() {
        let message = RefName::new("\u{1b}[31m").unwrap_err().to_string();
        assert!(!message.contains('\u{1b}'), "{message}");
        assert!(RefName::new(&"-".repeat(9999)).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn names_of_hexadecimal_digits_are_told_apart() {
        for (name, hex) in [
            ("b", true),
            ("beef", true),
            ("b/beef", false),
            ("B", false),
            ("g", false),
        ] {
            assert_eq!(RefName::new(name).unwrap().is_all_hex(), hex, "{name}");
        }
    }

    #[test]
    fn names_that_stock_tools_write_under_are_known() {
        for (name, temporary) in [
            ("tmp.SPU0vJ", true),
            ("os/tmp.a1b2c3", true),
            ("tmp.SPU0vJ/os", false),
            ("os/tmp.SPU0v", false),
            ("os/tmp.SPU0vJK", false),
            ("os/tmp.SPU_vJ", false),
            ("os/tmp", false),
        ] {
            assert_eq!(
                RefName::new(name).unwrap().may_be_temporary(),
                temporary,
                "{name}"
            );
        }
    }
}
