//! What `gpg --with-colons --list-keys` says of keys.
//!
//! Shape: records of fields between colons, a line each, in which `\xNN` stands for a byte. `pub` begins a key, `sub` a sub-key,
//! `fpr` gives the fingerprint of the one before, `uid` a user. Fields: 1 validity (`r` revoked, `e` expired), 5 time of
//! making, 6 time of expiry, 9 fingerprint or user. Other records, and fields that are no numbers, are ignored.

/// A primary key or a sub-key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpgKeyPart {
    /// The fingerprint, in upper case.
    pub fingerprint: String,
    /// When it was made, in seconds since the epoch.
    pub created: Option<i64>,
    /// When it expires; `None` is never.
    pub expires: Option<i64>,
    /// Whether it is revoked.
    pub is_revoked: bool,
}

/// A user of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpgUser {
    /// Name, comment, address.
    pub text: String,
    /// Whether it is revoked, by itself or with the key.
    pub is_revoked: bool,
}

/// A key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpgKey {
    /// The primary key first, then the sub-keys.
    pub parts: Vec<GpgKeyPart>,
    /// Its users.
    pub users: Vec<GpgUser>,
}

impl GpgUser {
    /// Returns the name and the address, each empty where there is none.
    pub fn name_and_address(&self) -> (&str, &str) {
        split_user(&self.text)
    }
}

/// Returns the name and the address in `NAME (COMMENT) <ADDRESS>`, or of a bare address, each empty where there is none.
pub fn split_user(text: &str) -> (&str, &str) {
    let (name, address) = match text.split_once('<') {
        Some((name, rest)) => (name, rest.split_once('>').map_or(rest, |(address, _)| address)),
        None if is_address(text) => ("", text),
        None => (text, ""),
    };
    let name = name.split_once(" (").map_or(name, |(name, _)| name);
    (name.trim(), address.trim())
}

/// Returns whether all of a text is an address.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.');
    is_part(local)
        && is_part(domain)
        && !text.contains("..")
        && !domain.contains('@')
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// Returns the keys in their order.
pub fn parse_gpg_listing(text: &[u8]) -> Vec<GpgKey> {
    let mut keys: Vec<GpgKey> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let fields: Vec<_> = line.split(':').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        let kind = field(0);
        if matches!(kind, "pub" | "sec") {
            keys.push(GpgKey::default());
        }
        let Some(key) = keys.last_mut() else {
            continue;
        };
        let is_revoked = field(1) == "r";
        match kind {
            "pub" | "sec" | "sub" | "ssb" => key.parts.push(GpgKeyPart {
                fingerprint: field(4).to_ascii_uppercase(),
                created: field(5).parse().ok(),
                expires: field(6).parse().ok().filter(|time| *time != 0),
                is_revoked,
            }),
            "fpr" => {
                if let Some(part) = key.parts.last_mut() {
                    part.fingerprint = field(9).to_ascii_uppercase();
                }
            }
            "uid" => key.users.push(GpgUser {
                text: unescaped(field(9)),
                is_revoked,
            }),
            _ => {}
        }
    }
    keys
}

/// Undoes `\xNN`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.strip_prefix(b"x").filter(|_| byte == b'\\');
        let coded = digits
            .and_then(|after| std::str::from_utf8(after.get(..2)?).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(byte));
        rest = if coded.is_some() {
            after.get(3..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_sub_keys_and_users() {
        let text = b"tru:t:0:0:0:0:0:0\n\
            pub:r:2048:1:F726BFB3F5124ED1:1795452144:1858524154::-:::sc::::::23::0:\n\
            fpr:::::::::FFFC6FAB76E30C00F6956FD2F726BFB3F5124ED1:\n\
            uid:r::::1795452144::205B::Test\\x3aKey (note) <a@b.c>::::::::::0:\n\
            sub:e:2048:1:6DA62C7BB7CDE17A:1795452144::::::s::::::23:\n\
            fpr:::::::::327A4F3E97E5E58121D46EDF6DA62C7BB7CDE17A:\n";
        let keys = parse_gpg_listing(text);
        assert_eq!(keys.len(), 1);
        let parts = &keys[0].parts;
        assert_eq!(parts[0].fingerprint, "FFFC6FAB76E30C00F6956FD2F726BFB3F5124ED1");
        assert_eq!(
            (parts[0].expires, parts[0].is_revoked),
            (Some(1_858_524_154), true)
        );
        assert_eq!((parts[1].created, parts[1].expires), (Some(1_795_452_144), None));
        assert!(!parts[1].is_revoked);
        let user = &keys[0].users[0];
        assert_eq!(
            (user.text.as_str(), user.is_revoked),
            ("Test:Key (note) <a@b.c>", true)
        );
        assert_eq!(user.name_and_address(), ("Test:Key", "a@b.c"));
    }

    #[test]
    fn users_have_a_name_an_address_or_both() {
        for (text, parts) in [
            ("Test Key", ("Test Key", "")),
            ("<a@b>", ("", "a@b")),
            ("", ("", "")),
            ("A (b) (c)", ("A", "")),
            ("A <b", ("A", "b")),
            ("a@b.c", ("", "a@b.c")),
            ("a b@c", ("a b@c", "")),
            ("a@", ("a@", "")),
            ("a@b@c", ("a@b@c", "")),
        ] {
            assert_eq!(split_user(text), parts, "{text}");
        }
    }

    #[test]
    fn records_before_any_key_are_ignored() {
        assert!(parse_gpg_listing(b"sub:u\nfpr\nuid:\n\n:").is_empty());
    }
}
