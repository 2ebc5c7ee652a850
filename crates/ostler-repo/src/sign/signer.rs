//! Those who sign.

use super::child;
use super::gpg;
use super::spki::KeyPair;
use crate::error::{RepoError, Result};
use ostler_format::FormatError;
use ostler_format::signatures::{
    ED25519_SIGNATURE, Ed25519SecretKey, Engine, dearmor, decode_base64, pem_blocks,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How long a command that signs may take: it may have to ask a machine elsewhere, though no person.
const EXTERNAL_LIMIT: Duration = Duration::from_secs(120);

/// The largest signature that a command may give, in bytes.
const MAX_SIGNATURE: usize = 64 << 10;

/// One who signs. Secrets in it are not shown by `Debug`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Signer {
    /// A key of `gpg`, which keeps it.
    Gpg {
        /// Whatever `gpg` knows a key by.
        key_id: String,
        /// The directory with the keys; by default the one that `gpg` itself takes.
        homedir: Option<PathBuf>,
    },
    /// A key of Ed25519.
    Ed25519(Ed25519SecretKey),
    /// A key in X.509 form.
    Spki(SpkiSecretKey),
    /// A text that stands for a key, for tests.
    Dummy(String),
    /// A command that reads the bytes on standard input and writes the signature to standard output.
    External {
        /// What kind of signature it makes.
        engine: Engine,
        /// The program and its arguments.
        command: Vec<OsString>,
    },
}

impl Signer {
    /// Reads a secret key as options and files hold it.
    ///
    /// # Errors
    /// [`RepoError::Format`] for what is no such key, and keys that we cannot sign with; never shows the key.
    pub fn from_secret(engine: Engine, text: &str) -> Result<Self> {
        Ok(match engine {
            Engine::Gpg => {
                return Err(RepoError::invalid(
                    "secret key",
                    "keys of gpg are named, and stay with gpg",
                ));
            }
            Engine::Ed25519 => {
                let key = Ed25519SecretKey::from_base64(text)
                    .map_err(RepoError::format("secret key of ed25519"))?;
                key_pair(&key)?;
                Self::Ed25519(key)
            }
            Engine::Spki => Self::Spki(SpkiSecretKey::from_text(text.as_bytes())?),
            Engine::Dummy => Self::Dummy(text.to_owned()),
        })
    }

    /// Returns what kind of signature it makes.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Gpg { .. } => Engine::Gpg,
            Self::Ed25519(_) => Engine::Ed25519,
            Self::Spki(_) => Engine::Spki,
            Self::Dummy(_) => Engine::Dummy,
            Self::External { engine, .. } => *engine,
        }
    }

    /// Signs bytes.
    ///
    /// # Errors
    /// [`RepoError::Signing`] when the key or command cannot.
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Gpg { key_id, homedir } => gpg::sign(key_id, homedir.as_deref(), data),
            Self::Ed25519(key) => Ok(key_pair(key)?.sign(data).as_ref().to_vec()),
            Self::Spki(key) => key.pair.sign(data),
            Self::Dummy(key) => Ok(key.as_bytes().to_vec()),
            Self::External { engine, command } => external(*engine, command, data),
        }
    }
}

fn key_pair(key: &Ed25519SecretKey) -> Result<Ed25519KeyPair> {
    let wrong = |rule: &str| RepoError::Format {
        subject: "secret key of ed25519".to_owned(),
        source: FormatError::invalid("key", rule),
    };
    let pair = Ed25519KeyPair::from_seed_unchecked(key.seed())
        .map_err(|_rejected: ring::error::KeyRejected| wrong("not a seed"))?;
    match key.public() {
        Some(public) if public.as_bytes() != pair.public_key().as_ref() => {
            Err(wrong("the public half does not fit the seed"))
        }
        _ => Ok(pair),
    }
}

/// A secret key in X.509 form, never shown.
#[derive(Clone)]
pub struct SpkiSecretKey {
    pair: Arc<KeyPair>,
}

impl SpkiSecretKey {
    /// Reads a key without a passphrase: PEM with one block `PRIVATE KEY` or `RSA PRIVATE KEY`, base64 of the DER, or the DER.
    ///
    /// # Errors
    /// [`RepoError::Format`] for anything else, and keys that we cannot sign with.
    pub fn from_text(text: &[u8]) -> Result<Self> {
        let failed = || RepoError::format("secret key of spki");
        let pair = if text.trim_ascii_start().starts_with(b"-----") {
            let blocks = pem_blocks(text).map_err(failed())?;
            let found = blocks.iter().find_map(|block| match block.label.as_str() {
                "PRIVATE KEY" => Some(KeyPair::from_pkcs8(&block.bytes)),
                "RSA PRIVATE KEY" => Some(KeyPair::from_pkcs1(&block.bytes)),
                _ => None,
            });
            let wrong = FormatError::invalid(
                "PEM",
                "no block PRIVATE KEY; 'openssl pkcs8 -topk8 -nocrypt' makes one",
            );
            found.ok_or(wrong).map_err(failed())??
        } else if text.first() == Some(&0x30) {
            KeyPair::from_pkcs8(text)?
        } else {
            KeyPair::from_pkcs8(&decode_base64(text).map_err(failed())?)?
        };
        Ok(Self { pair: Arc::new(pair) })
    }
}

impl fmt::Debug for SpkiSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpkiSecretKey(hidden)")
    }
}

/// Lets a command sign.
fn external(engine: Engine, command: &[OsString], data: &[u8]) -> Result<Vec<u8>> {
    let failed = |detail: String| RepoError::Signing {
        with: format!("the command for {engine}"),
        detail,
    };
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| failed("no command is given".to_owned()))?;
    let done = child::run(Command::new(program).args(arguments), data, EXTERNAL_LIMIT).map_err(|error| {
        failed(match error.kind() {
            std::io::ErrorKind::TimedOut => format!("no answer within {} s", EXTERNAL_LIMIT.as_secs()),
            _ => error.to_string(),
        })
    })?;
    if !done.status.success() {
        return Err(failed(done.complaint()));
    }
    let mut signature = done.output;
    if engine == Engine::Gpg
        && let Some(packets) = dearmor(&signature).map_err(|error| failed(error.to_string()))?
    {
        signature = packets;
    }
    match signature.len() {
        0 => Err(failed("it gave no signature".to_owned())),
        length if length > MAX_SIGNATURE => Err(failed(format!("{length} bytes are no signature"))),
        length if engine == Engine::Ed25519 && length != ED25519_SIGNATURE => Err(failed(format!(
            "a signature of {length} bytes, expected {ED25519_SIGNATURE}"
        ))),
        _ => Ok(signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::signatures::encode_base64;

    fn command(script: &str) -> Vec<OsString> {
        ["sh", "-c", script].map(OsString::from).to_vec()
    }

    #[test]
    fn a_secret_key_whose_public_half_is_of_another_is_refused() {
        let wrong = encode_base64(&[7; 64]);
        let error = Signer::from_secret(Engine::Ed25519, &wrong).unwrap_err();
        assert!(format!("{error:?}").contains("does not fit"), "{error:?}");
    }

    #[test]
    fn no_debug_output_and_no_error_shows_a_secret() {
        let secret = encode_base64(&[7; 32]);
        let signer = Signer::from_secret(Engine::Ed25519, &secret).unwrap();
        let cut = secret.get(..30).unwrap();
        for shown in [
            format!("{signer:?}"),
            format!("{:?}", Signer::from_secret(Engine::Ed25519, cut).unwrap_err()),
            format!("{:?}", Signer::from_secret(Engine::Spki, &secret).unwrap_err()),
        ] {
            assert!(!shown.contains("Bwc") && !shown.contains("7, 7"), "{shown}");
        }
    }

    #[test]
    fn a_command_signs_what_it_reads() {
        let signer = |engine, script| Signer::External {
            engine,
            command: command(script),
        };
        let signed = signer(Engine::Spki, "tr a-z A-Z").sign(b"bytes").unwrap();
        assert_eq!(signed, b"BYTES");
        for (engine, script, why) in [
            (Engine::Spki, "exit 0", "gave no signature"),
            (Engine::Spki, "echo broken >&2; exit 1", "broken"),
            (Engine::Ed25519, "echo short", "6 bytes"),
        ] {
            let error = signer(engine, script).sign(b"bytes").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let missing = Signer::External {
            engine: Engine::Spki,
            command: vec!["/nonexistent/signer".into()],
        };
        assert!(
            missing
                .sign(b"")
                .unwrap_err()
                .to_string()
                .contains("No such file")
        );
    }
}
