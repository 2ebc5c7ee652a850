//! A signature that was checked, and what there is to say of it, in the words of libostree, which scripts look for.

use ostler_format::signatures::{GpgKey, GpgKeyPart, GpgStatus, GpgVerdict, split_user};

/// A signature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpgSignature {
    /// `None` for bytes that are no signature.
    status: Option<GpgStatus>,
    key_expires: Option<i64>,
    primary_expires: Option<i64>,
    /// The time of the check, in seconds since the epoch.
    checked: i64,
}

impl GpgSignature {
    /// Adds what is known of the key.
    pub(super) fn of(status: GpgStatus, keys: &[GpgKey], checked: i64) -> Self {
        let is = |part: &GpgKeyPart| match &status.fingerprint {
            Some(fingerprint) => part.fingerprint == *fingerprint,
            None => part.fingerprint.ends_with(&status.key_id),
        };
        let key = keys.iter().find(|key| key.parts.iter().any(is));
        let own = key.and_then(|key| key.parts.iter().find(|part| is(part)));
        let primary = key.and_then(|key| key.parts.first());
        Self {
            key_expires: own.and_then(|part| part.expires),
            primary_expires: primary
                .filter(|primary| Some(*primary) != own)
                .and_then(|part| part.expires),
            status: Some(status),
            checked,
        }
    }

    /// Stands for bytes that are no signature.
    pub(super) const fn unreadable() -> Self {
        Self {
            status: None,
            key_expires: None,
            primary_expires: None,
            checked: 0,
        }
    }

    /// Returns whether it fits, and neither itself nor the key has expired or is revoked.
    pub fn is_valid(&self) -> bool {
        self.verdict() == GpgVerdict::Good
    }

    /// Returns what became of it.
    pub fn verdict(&self) -> GpgVerdict {
        self.status
            .as_ref()
            .map_or(GpgVerdict::Unchecked, |status| status.verdict)
    }

    /// Returns the last 16 digits of the fingerprint of the key.
    pub fn key_id(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.key_id.as_str())
    }

    /// Returns the fingerprint of the key, as far as it is known.
    pub fn fingerprint(&self) -> Option<&str> {
        self.status.as_ref()?.fingerprint.as_deref()
    }

    /// Returns whether one of these fingerprints is that of the key that made it, or of its primary key.
    pub fn is_by(&self, fingerprints: &[String]) -> bool {
        let Some(status) = &self.status else {
            return false;
        };
        let known = [&status.fingerprint, &status.primary];
        fingerprints.iter().any(|wanted| {
            known.iter().any(|known| known.as_ref() == Some(wanted))
                || (status.key_id.len() == 16 && wanted.ends_with(&status.key_id))
        })
    }

    /// Returns lines for people.
    pub fn describe(&self, show_time: fn(i64) -> String) -> Vec<String> {
        let Some(status) = &self.status else {
            return vec!["Can't check signature: it cannot be read".to_owned()];
        };
        let made = status
            .made
            .map_or_else(String::new, |made| format!("made {} ", show_time(made)));
        let algorithm = algorithm(status.algorithm);
        let mut lines = vec![format!(
            "Signature {made}using {algorithm}key ID {}",
            status.key_id
        )];
        let (name, address) = split_user(status.user.as_deref().unwrap_or_default());
        let by = |what: &str| format!("{what} signature from \"{name} <{address}>\"");
        lines.push(match status.verdict {
            GpgVerdict::Good => by("Good"),
            GpgVerdict::Bad | GpgVerdict::ExpiredKey => by("BAD"),
            GpgVerdict::ExpiredSignature => by("Expired"),
            GpgVerdict::RevokedKey => "Key revoked".to_owned(),
            GpgVerdict::MissingKey => "Can't check signature: public key not found".to_owned(),
            GpgVerdict::Unchecked => "Can't check signature: gpg cannot".to_owned(),
        });
        if matches!(status.verdict, GpgVerdict::MissingKey | GpgVerdict::Unchecked) {
            return lines;
        }
        if let Some(primary) = status
            .primary
            .as_ref()
            .filter(|primary| status.fingerprint.as_ref() != Some(*primary))
        {
            let start = primary.len().saturating_sub(16);
            lines.push(format!(
                "Primary key ID {}",
                primary.get(start..).unwrap_or(primary)
            ));
        }
        let ends = [
            ("Signature", status.expires),
            ("Key", self.key_expires),
            ("Primary key", self.primary_expires),
        ];
        for (what, time) in ends {
            if let Some(time) = time {
                let word = if time <= self.checked {
                    "expired"
                } else {
                    "expires"
                };
                lines.push(format!("{what} {word} {}", show_time(time)));
            }
        }
        lines
    }
}

/// Returns what people call an algorithm, with a space behind it; nothing for unknown ones.
const fn algorithm(number: Option<u8>) -> &'static str {
    match number {
        Some(1..=3) => "RSA ",
        Some(17) => "DSA ",
        Some(19) => "ECDSA ",
        Some(22 | 27 | 28) => "EdDSA ",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::signatures::parse_gpg_status;

    fn time(seconds: i64) -> String {
        format!("@{seconds}")
    }

    fn status(verdict: GpgVerdict) -> GpgStatus {
        let text = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 6DA62C7BB7CDE17A Test Key 2 <a@b>\n\
            [GNUPG:] VALIDSIG 327A4F3E97E5E58121D46EDF6DA62C7BB7CDE17A 2026-11-23 50 90 4 0 1 10 00 \
            FFFC6FAB76E30C00F6956FD2F726BFB3F5124ED1\n";
        let status = parse_gpg_status(text.as_bytes()).remove(0);
        GpgStatus { verdict, ..status }
    }

    fn keys() -> Vec<GpgKey> {
        let part = |fingerprint: &str, expires| GpgKeyPart {
            fingerprint: fingerprint.to_owned(),
            expires,
            ..GpgKeyPart::default()
        };
        vec![GpgKey {
            parts: vec![
                part("FFFC6FAB76E30C00F6956FD2F726BFB3F5124ED1", Some(60)),
                part("327A4F3E97E5E58121D46EDF6DA62C7BB7CDE17A", Some(80)),
            ],
            users: Vec::new(),
        }]
    }

    #[test]
    fn a_signature_is_told_with_all_that_ends() {
        let signature = GpgSignature::of(status(GpgVerdict::Good), &keys(), 70);
        assert_eq!(
            signature.describe(time),
            [
                "Signature made @50 using RSA key ID 6DA62C7BB7CDE17A",
                "Good signature from \"Test Key 2 <a@b>\"",
                "Primary key ID F726BFB3F5124ED1",
                "Signature expires @90",
                "Key expires @80",
                "Primary key expired @60",
            ]
        );
    }

    #[test]
    fn only_good_signatures_are_valid() {
        for verdict in [
            GpgVerdict::Bad,
            GpgVerdict::ExpiredSignature,
            GpgVerdict::ExpiredKey,
            GpgVerdict::RevokedKey,
            GpgVerdict::MissingKey,
            GpgVerdict::Unchecked,
        ] {
            let signature = GpgSignature::of(status(verdict), &keys(), 70);
            assert!(!signature.is_valid(), "{verdict:?}");
            assert!(!signature.describe(time).join("").contains("Good"), "{verdict:?}");
        }
        assert!(GpgSignature::of(status(GpgVerdict::Good), &[], 0).is_valid());
        assert!(!GpgSignature::unreadable().is_valid());
    }

    #[test]
    fn a_signature_is_attributed_to_its_key_and_the_primary() {
        let signature = GpgSignature::of(status(GpgVerdict::Good), &[], 0);
        for (fingerprint, is_by) in [
            ("327A4F3E97E5E58121D46EDF6DA62C7BB7CDE17A", true),
            ("FFFC6FAB76E30C00F6956FD2F726BFB3F5124ED1", true),
            ("6DA62C7BB7CDE17A", true),
            ("FFFC6FAB76E30C00F6956FD26DA62C7BB7CDE17B", false),
            ("", false),
        ] {
            assert_eq!(signature.is_by(&[fingerprint.to_owned()]), is_by, "{fingerprint}");
        }
    }
}
