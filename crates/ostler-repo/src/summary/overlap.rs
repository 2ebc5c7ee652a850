//! Signatures that fit the summary before a change and the one after it, so that no client finds a pair that does not fit.
//!
//! Clients fetch `summary.sig` first and `summary` second; between the two a change may fall. For the engines of libostree's
//! interface for signatures (`ed25519`, `spki`) they take a `summary.sig` in which *any* signature fits. So the change has four
//! steps, of which [`Overlap`] says what the file holds:
//!
//! 1. `summary.sig` gets the signatures of both summaries, those of the old one first ([`Overlap::meanwhile`]);
//! 2. for the settle time nothing happens: who has fetched the former `summary.sig` fetches the summary that it fits;
//! 3. `summary` is replaced;
//! 4. `summary.sig` is replaced by other bytes, so that caches notice: those of the new one first, then the last of
//!    the former ones ([`Overlap::afterwards`]), with which a cached summary of before still fits.
//!
//! After a crash between any two steps whatever is there fits. Of GPG clients judge the first signature alone; its signatures
//! are those of the summary that is there, and change with it.

use crate::error::{RepoError, Result};
use crate::sign::Engine;
use ostler_format::gvariant::VarDict;
use ostler_format::{parse_detached, set_signatures, signatures};

/// How many signatures of former summaries are carried on, for each engine: clients check all of them, one by one.
const FORMER: usize = 8;

/// The engines of which any signature that fits is enough.
const ANY: [Engine; 2] = [Engine::Ed25519, Engine::Spki];

/// What `summary.sig` holds around a change of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Before the summary is replaced; `None` where nothing can overlap.
    pub meanwhile: Option<Vec<u8>>,
    /// From then on.
    pub afterwards: Vec<u8>,
}

impl Overlap {
    /// Takes the bytes of `summary.sig` that are there, and those of the signatures of the new summary alone.
    ///
    /// # Errors
    /// [`RepoError::Format`] if the new ones cannot be read. Old ones that cannot are as good as none.
    pub fn between(old: Option<&[u8]>, new: &[u8]) -> Result<Self> {
        let failed = || RepoError::format("the signatures of the new summary");
        let mut afterwards = parse_detached(new).map_err(failed())?;
        let mut meanwhile = old.and_then(|old| parse_detached(old).ok()).unwrap_or_default();
        let mut overlaps = false;
        for engine in ANY {
            let key = engine.key();
            let ours = owned(signatures(&afterwards, key).map_err(failed())?);
            let former: Vec<_> = signatures(&meanwhile, key)
                .map(owned)
                .unwrap_or_default()
                .into_iter()
                .filter(|signature| !ours.contains(signature))
                .take(FORMER)
                .collect();
            if ours.is_empty() || former.is_empty() {
                continue;
            }
            overlaps = true;
            set_signatures(&mut meanwhile, key, &[former.as_slice(), &ours].concat());
            set_signatures(&mut afterwards, key, &[ours.as_slice(), &former].concat());
        }
        Ok(Self {
            meanwhile: overlaps.then(|| meanwhile.to_bytes()),
            afterwards: if overlaps {
                afterwards.to_bytes()
            } else {
                new.to_vec()
            },
        })
    }
}

/// Returns whether a `summary.sig` holds all signatures of another, beside those of former summaries: then it need not be
/// replaced by it.
pub fn covers(there: &[u8], wanted: &[u8]) -> bool {
    if there == wanted {
        return true;
    }
    let (Ok(there), Ok(wanted)) = (parse_detached(there), parse_detached(wanted)) else {
        return false;
    };
    let may_have_more = |key: &str| ANY.iter().any(|engine| engine.key() == key);
    there.len() == wanted.len()
        && wanted.iter().all(|(key, value)| {
            if may_have_more(key) {
                let (Ok(there), Ok(wanted)) = (signatures(&there, key), signatures(&wanted, key)) else {
                    return false;
                };
                wanted.iter().all(|signature| there.contains(signature))
            } else {
                there.get(key) == Some(value)
            }
        })
}

/// Returns whether a `summary.sig` has signatures of all these engines.
pub fn is_signed_by(there: &[u8], mut engines: impl Iterator<Item = Engine>) -> bool {
    parse_detached(there).is_ok_and(|there: VarDict| {
        engines.all(|engine| signatures(&there, engine.key()).is_ok_and(|found| !found.is_empty()))
    })
}

fn owned(signatures: Vec<&[u8]>) -> Vec<Vec<u8>> {
    signatures.into_iter().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(pairs: &[(Engine, &[&str])]) -> Vec<u8> {
        let mut dict = VarDict::new();
        for (engine, signatures) in pairs {
            set_signatures(&mut dict, engine.key(), signatures);
        }
        dict.to_bytes()
    }

    fn of(bytes: &[u8], engine: Engine) -> Vec<String> {
        let dict = parse_detached(bytes).expect("ours");
        let found = signatures(&dict, engine.key()).expect("ours");
        found
            .into_iter()
            .map(|signature| String::from_utf8_lossy(signature).into_owned())
            .collect()
    }

    #[test]
    fn both_summaries_fit_from_the_first_step_to_the_last_and_bytes_change_each_time() {
        let mut there = file(&[(Engine::Ed25519, &["s0", "t0"])]);
        for round in 1..30 {
            let (s, t) = (format!("s{round}"), format!("t{round}"));
            let (old_s, old_t) = (format!("s{}", round - 1), format!("t{}", round - 1));
            let new = file(&[(Engine::Ed25519, &[&s, &t])]);
            let overlap = Overlap::between(Some(&there), &new).expect("ours");
            let meanwhile = overlap.meanwhile.expect("both are signed");
            for step in [&meanwhile, &overlap.afterwards] {
                let found = of(step, Engine::Ed25519);
                for signature in [&s, &t, &old_s, &old_t] {
                    assert!(found.contains(signature), "{signature} in {found:?}");
                }
                assert!(found.len() <= 2 + FORMER, "{found:?}");
            }
            assert_eq!(
                of(&overlap.afterwards, Engine::Ed25519)[..4],
                [s, t, old_s, old_t]
            );
            assert!(there != meanwhile && meanwhile != overlap.afterwards);
            assert!(covers(&overlap.afterwards, &new) && !covers(&there, &new));
            there = overlap.afterwards;
        }
    }

    #[test]
    fn gpg_signatures_change_with_the_summary() {
        let old = file(&[(Engine::Gpg, &["g0"]), (Engine::Ed25519, &["e0"])]);
        let new = file(&[(Engine::Gpg, &["g1"]), (Engine::Ed25519, &["e1"])]);
        let overlap = Overlap::between(Some(&old), &new).expect("ours");
        let meanwhile = overlap.meanwhile.expect("of ed25519");
        assert_eq!(of(&meanwhile, Engine::Gpg), ["g0"]);
        assert_eq!(of(&overlap.afterwards, Engine::Gpg), ["g1"]);
        let gpg = file(&[(Engine::Gpg, &["g1"])]);
        let alone = Overlap::between(Some(&old), &gpg).expect("ours");
        assert_eq!((alone.meanwhile, alone.afterwards), (None, gpg));
    }

    #[test]
    fn nothing_overlaps_with_what_is_not_there_or_cannot_be_read() {
        let new = file(&[(Engine::Spki, &["n"])]);
        for old in [
            None,
            Some(&b"text"[..]),
            Some(&file(&[(Engine::Ed25519, &["e"])])),
        ] {
            let overlap = Overlap::between(old, &new).expect("ours");
            assert_eq!((overlap.meanwhile, &overlap.afterwards), (None, &new));
        }
        assert!(Overlap::between(None, b"text").is_err());
    }

    #[test]
    fn another_set_of_engines_is_not_covered() {
        let both = file(&[(Engine::Gpg, &["g"]), (Engine::Ed25519, &["e", "former"])]);
        assert!(covers(
            &both,
            &file(&[(Engine::Gpg, &["g"]), (Engine::Ed25519, &["e"])])
        ));
        for other in [
            file(&[(Engine::Gpg, &["g"])]),
            file(&[(Engine::Gpg, &["h"]), (Engine::Ed25519, &["e"])]),
            file(&[(Engine::Gpg, &["g"]), (Engine::Ed25519, &["f"])]),
            b"text".to_vec(),
        ] {
            assert!(!covers(&both, &other));
        }
        assert!(is_signed_by(&both, [Engine::Gpg, Engine::Ed25519].into_iter()));
        assert!(!is_signed_by(&both, [Engine::Spki].into_iter()));
    }
}
