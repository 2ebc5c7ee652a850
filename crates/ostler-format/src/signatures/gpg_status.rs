//! What `gpg --status-fd` says of signatures and of an import.
//!
//! Shape: lines `[GNUPG:] KEYWORD ARGUMENTS…`, of which the block of a signature begins with `NEWSIG`. Texts are percent-encoded,
//! so that no name of a user can end a line. Other lines and unknown keywords are ignored; nothing makes a signature good
//! but a `GOODSIG` with a `VALIDSIG` in the same block, over bytes or text.

/// What became of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpgVerdict {
    /// It fits, and nothing has expired or is revoked.
    Good,
    /// It does not fit the bytes.
    Bad,
    /// It fits, and its time is over.
    ExpiredSignature,
    /// It fits, and the time of the key is over.
    ExpiredKey,
    /// It fits, and the key is revoked.
    RevokedKey,
    /// The key is not there.
    MissingKey,
    /// It cannot be checked.
    Unchecked,
}

/// A signature that `gpg` looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpgStatus {
    /// What became of it.
    pub verdict: GpgVerdict,
    /// The 16 last digits of the fingerprint of the key, in upper case.
    pub key_id: String,
    /// The fingerprint of the key that made it, as far as it is known.
    pub fingerprint: Option<String>,
    /// The fingerprint of the primary key.
    pub primary: Option<String>,
    /// Who holds the key: name, comment, address.
    pub user: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub made: Option<i64>,
    /// When it expires; `None` is never, or unknown.
    pub expires: Option<i64>,
    /// The number of the algorithm of the key.
    pub algorithm: Option<u8>,
}

/// Returns the signatures in their order.
pub fn parse_gpg_status(text: &[u8]) -> Vec<GpgStatus> {
    let mut found: Vec<Block> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(line) = line.strip_prefix(b"[GNUPG:] ") else {
            continue;
        };
        let line = String::from_utf8_lossy(line);
        let (keyword, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let verdict = match keyword {
            "NEWSIG" => {
                found.push(Block::default());
                continue;
            }
            "VALIDSIG" => {
                if let Some(block) = found.last_mut() {
                    block.valid(rest);
                }
                continue;
            }
            "GOODSIG" => GpgVerdict::Good,
            "BADSIG" => GpgVerdict::Bad,
            "EXPSIG" => GpgVerdict::ExpiredSignature,
            "EXPKEYSIG" => GpgVerdict::ExpiredKey,
            "REVKEYSIG" => GpgVerdict::RevokedKey,
            "ERRSIG" => GpgVerdict::Unchecked,
            _ => continue,
        };
        if found.last().is_none_or(|block| block.verdict.is_some()) {
            found.push(Block::default());
        }
        if let Some(block) = found.last_mut() {
            block.judged(verdict, rest);
        }
    }
    found.into_iter().filter_map(Block::finish).collect()
}

/// Returns how many keys an import brought that were not there before, and how many it read at all.
pub fn parse_gpg_import(text: &[u8]) -> Option<(u64, u64)> {
    let result = text
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"[GNUPG:] IMPORT_RES "))?;
    let text = String::from_utf8_lossy(result);
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let read = numbers.next()?.ok()?;
    let new = numbers.nth(1)?.ok()?;
    Some((new, read))
}

#[derive(Default)]
struct Block {
    verdict: Option<GpgVerdict>,
    key_id: String,
    user: Option<String>,
    fingerprint: Option<String>,
    primary: Option<String>,
    made: Option<i64>,
    expires: Option<i64>,
    algorithm: Option<u8>,
    fits: bool,
}

impl Block {
    /// `KEYID USER`, or `KEYID ALGORITHM HASH CLASS TIME REASON FINGERPRINT` for what cannot be checked.
    fn judged(&mut self, verdict: GpgVerdict, rest: &str) {
        const NO_PUBLIC_KEY: &str = "9";
        let (key, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        self.key_id = short(key);
        self.verdict = Some(verdict);
        if verdict != GpgVerdict::Unchecked {
            self.fingerprint = fingerprint(key);
            self.user = Some(decoded(rest));
            return;
        }
        let fields: Vec<_> = rest.split(' ').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        if field(4) == NO_PUBLIC_KEY {
            self.verdict = Some(GpgVerdict::MissingKey);
        }
        self.algorithm = field(0).parse().ok();
        self.made = field(3).parse().ok();
        self.fingerprint = fingerprint(field(5)).or_else(|| fingerprint(key));
    }

    /// `FINGERPRINT DATE TIME EXPIRES VERSION RESERVED ALGORITHM HASH CLASS PRIMARY`.
    fn valid(&mut self, rest: &str) {
        let fields: Vec<_> = rest.split(' ').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        self.fingerprint = fingerprint(field(0));
        self.made = field(2).parse().ok();
        self.expires = field(3).parse().ok().filter(|time| *time != 0);
        self.algorithm = field(6).parse().ok();
        self.primary = fingerprint(field(9));
        self.fits = self.fingerprint.is_some() && matches!(field(8), "00" | "01");
    }

    fn finish(self) -> Option<GpgStatus> {
        let verdict = match self.verdict? {
            GpgVerdict::Good if !self.fits => GpgVerdict::Unchecked,
            verdict => verdict,
        };
        let key_id = self.fingerprint.as_deref().map_or(self.key_id, short);
        Some(GpgStatus {
            verdict,
            key_id,
            fingerprint: self.fingerprint,
            primary: self.primary,
            user: self.user,
            made: self.made,
            expires: self.expires,
            algorithm: self.algorithm,
        })
    }
}

/// Takes a fingerprint: 40 digits or more.
fn fingerprint(text: &str) -> Option<String> {
    let fits = text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_uppercase())
}

/// Returns the last 16 digits of a fingerprint or key id.
fn short(text: &str) -> String {
    let start = text.len().saturating_sub(16);
    text.get(start..).unwrap_or(text).to_ascii_uppercase()
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%');
        let coded = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(byte));
        rest = if coded.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[GNUPG:] NEWSIG\n\
        [GNUPG:] GOODSIG 6DA62C7BB7CDE17A Test%0AKey 2\n\
        [GNUPG:] VALIDSIG 327A4F3E97E5E58121D46EDF6DA62C7BB7CDE17A 2026-11-23 1795452145 0 4 0 1 10 00 FFFC6FAB76E30C00F6956FD2F726BFB3F5124ED1\n";

    #[test]
    fn a_good_signature_is_told_with_both_fingerprints() {
        let found = parse_gpg_status(GOOD.as_bytes());
        assert_eq!(
            found,
            [GpgStatus {
                verdict: GpgVerdict::Good,
                key_id: "6DA62C7BB7CDE17A".into(),
                fingerprint: Some("327A4F3E97E5E58121D46EDF6DA62C7BB7CDE17A".into()),
                primary: Some("FFFC6FAB76E30C00F6956FD2F726BFB3F5124ED1".into()),
                user: Some("Test\nKey 2".into()),
                made: Some(1_795_452_145),
                expires: None,
                algorithm: Some(1),
            }]
        );
    }

    #[test]
    fn nothing_is_good_without_its_own_validsig() {
        let cases = [
            "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 6DA62C7BB7CDE17A x\n".to_owned(),
            GOOD.replace(" 00 FFFC", " 1F FFFC"),
            GOOD.replace("VALIDSIG 327A", "VALIDSIG zz"),
            format!(
                "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 00 x\n{}",
                GOOD.replace("GOODSIG", "BADSIG")
            ),
            GOOD.replace("[GNUPG:] GOODSIG", "gpg: [GNUPG:] GOODSIG"),
        ];
        for case in cases {
            let found = parse_gpg_status(case.as_bytes());
            assert!(found.iter().all(|one| one.verdict != GpgVerdict::Good), "{case}");
        }
    }

    #[test]
    fn each_verdict_is_told_from_the_others() {
        for (keyword, verdict) in [
            ("EXPSIG", GpgVerdict::ExpiredSignature),
            ("EXPKEYSIG", GpgVerdict::ExpiredKey),
            ("REVKEYSIG", GpgVerdict::RevokedKey),
            ("BADSIG", GpgVerdict::Bad),
        ] {
            let found = parse_gpg_status(GOOD.replace("GOODSIG", keyword).as_bytes());
            assert_eq!(found.first().map(|one| one.verdict), Some(verdict));
        }
        let missing = b"[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG D8228CFECA950D41 22 10 00 1795452115 9 7B3B1020D74479687FDB2273D8228CFECA950D41\n";
        let found = parse_gpg_status(missing).remove(0);
        assert_eq!(
            (found.verdict, found.algorithm),
            (GpgVerdict::MissingKey, Some(22))
        );
        assert_eq!(
            (found.made, found.key_id.as_str()),
            (Some(1_795_452_115), "D8228CFECA950D41")
        );
        let unknown = b"[GNUPG:] ERRSIG D8228CFECA950D41 99 10 00 1795452115 4 -\n";
        assert_eq!(parse_gpg_status(unknown).remove(0).verdict, GpgVerdict::Unchecked);
    }

    #[test]
    fn an_import_tells_new_keys_from_all() {
        let text = b"gpg: x\n[GNUPG:] IMPORT_RES 4 0 3 0 1 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(parse_gpg_import(text), Some((3, 4)));
        assert_eq!(parse_gpg_import(b"[GNUPG:] NODATA 1\n"), None);
    }
}
