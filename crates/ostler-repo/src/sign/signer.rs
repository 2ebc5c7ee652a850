//! Those who sign.

use super::child;
use super::gpg;
use super::interruption::Interruption;
use super::spki::KeyPair;
use crate::error::{RepoError, Result};
use ostler_format::FormatError;
use ostler_format::signatures::{
    ED25519_SIGNATURE, Ed25519SecretKey, Engine, dearmor, decode_base64, pem_blocks,
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How long a command that signs may take: it may have to ask a machine elsewhere, though no person.
const EXTERNAL_LIMIT: Duration = Duration::from_secs(120);

/// The largest signature that a command may give, in bytes.
const MAX_SIGNATURE: usize = 64 << 10;

/// The smallest signature of RSA, in bytes: with shorter keys nobody is to sign any more.
const SMALLEST_RSA: usize = 256;

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
        /// What ends it early.
        interruption: Interruption,
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
        /// What ends it early.
        interruption: Interruption,
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

    /// Signs bytes. Where the public key is known, the signature is checked with it; of others the form is.
    ///
    /// # Errors
    /// [`RepoError::Signing`] when the key or command cannot, and for what is no such signature; [`RepoError::Interrupted`].
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>> {
        let signature = match self {
            Self::Gpg {
                key_id,
                homedir,
                interruption,
            } => gpg::sign(key_id, homedir.as_deref(), data, interruption)?,
            Self::Ed25519(key) => ed25519(key, data)?,
            Self::Spki(key) => key.pair.sign(data)?,
            Self::Dummy(key) => key.as_bytes().to_vec(),
            Self::External {
                engine,
                command,
                interruption,
            } => external(*engine, command, data, interruption)?,
        };
        let engine = self.engine();
        match malformed(engine, &signature) {
            None => Ok(signature),
            Some(detail) => {
                let with = match self {
                    Self::External { .. } => format!("the command for {engine}"),
                    _ => engine.to_string(),
                };
                Err(RepoError::Signing { with, detail })
            }
        }
    }
}

/// Signs, and checks what came out: a signature that a fault of the machine has spoilt would give the key away.
fn ed25519(key: &Ed25519SecretKey, data: &[u8]) -> Result<Vec<u8>> {
    let pair = key_pair(key)?;
    let signature = pair.sign(data);
    UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref())
        .verify(data, signature.as_ref())
        .map_err(|_unspecified: ring::error::Unspecified| RepoError::Signing {
            with: Engine::Ed25519.to_string(),
            detail: "the signature does not fit the key".to_owned(),
        })?;
    Ok(signature.as_ref().to_vec())
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
fn external(
    engine: Engine,
    command: &[OsString],
    data: &[u8],
    interruption: &Interruption,
) -> Result<Vec<u8>> {
    let failed = |detail: String| RepoError::Signing {
        with: format!("the command for {engine}"),
        detail,
    };
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| failed("no command is given".to_owned()))?;
    let mut program = Command::new(program);
    let done = child::run(program.args(arguments), data, EXTERNAL_LIMIT, interruption);
    let done = done.map_err(|error| match error.kind() {
        ErrorKind::Interrupted => RepoError::Interrupted,
        ErrorKind::TimedOut => failed(format!("no answer within {} s", EXTERNAL_LIMIT.as_secs())),
        _ => failed(error.to_string()),
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
        _ => Ok(signature),
    }
}

/// Says why bytes cannot be a signature, as far as their form tells; `None` if they may be one.
fn malformed(engine: Engine, signature: &[u8]) -> Option<String> {
    let length = signature.len();
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match (engine, signature) {
        (Engine::Ed25519, _) if length != ED25519_SIGNATURE => Some(format!(
            "a signature of {length} bytes, expected {ED25519_SIGNATURE}"
        )),
        // The tag of the packet, in the old form and the new.
        (Engine::Gpg, [first, ..]) if first & 0xfc != 0x88 && *first != 0xc2 => {
            Some("no packet of a signature".to_owned())
        }
        (Engine::Ed25519 | Engine::Spki, _) if signature.iter().all(is_text) => {
            Some("text, where the bytes of a signature are expected".to_owned())
        }
        (Engine::Spki, [0x30, rest, ..]) if length < SMALLEST_RSA && usize::from(*rest) + 2 == length => None,
        // Of ECDSA with the largest curve the length takes a byte more.
        (Engine::Spki, [0x30, 0x81, rest, ..]) if usize::from(*rest) + 3 == length => None,
        (Engine::Spki, _) if length != ED25519_SIGNATURE && length < SMALLEST_RSA => {
            Some(format!("{length} bytes are no signature"))
        }
        _ => None,
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
    fn what_is_no_signature_by_its_form_is_refused() {
        let der = [&[0x30, 0x44][..], &[2; 0x44]].concat();
        for (engine, signature, fits) in [
            (Engine::Ed25519, vec![0x80; 64], true),
            (Engine::Ed25519, vec![0x80; 63], false),
            (Engine::Spki, vec![0x80; 64], true),
            (Engine::Spki, vec![0x80; 256], true),
            (Engine::Spki, vec![b'Z'; 344], false),
            (Engine::Spki, vec![0x80; 65], false),
            (Engine::Spki, der.clone(), true),
            (Engine::Spki, der[..60].to_vec(), false),
            (Engine::Gpg, vec![0x88, 1, 4], true),
            (Engine::Gpg, vec![0xc2, 1, 4], true),
            (Engine::Gpg, vec![0x99, 1, 4], false),
            (Engine::Gpg, b"-----".to_vec(), false),
            (Engine::Dummy, b"any".to_vec(), true),
        ] {
            let found = malformed(engine, &signature);
            assert_eq!(found.is_none(), fits, "{engine} {signature:x?} {found:?}");
        }
    }

    #[test]
    fn a_command_signs_what_it_reads() {
        let signer = |engine, script| Signer::External {
            engine,
            command: command(script),
            interruption: Interruption::default(),
        };
        let signed = signer(Engine::Spki, "tr a b").sign(&[b'a'; 64]);
        assert!(signed.unwrap_err().to_string().contains("text"));
        let signed = signer(Engine::Spki, "tr a '\\201'").sign(&[b'a'; 64]).unwrap();
        assert_eq!(signed, [0o201; 64]);
        for (engine, script, why) in [
            (Engine::Spki, "exit 0", "gave no signature"),
            (Engine::Spki, "echo broken >&2; exit 1", "broken"),
            (Engine::Ed25519, "echo short", "6 bytes"),
            (Engine::Gpg, "echo short", "no packet of a signature"),
        ] {
            let error = signer(engine, script).sign(b"bytes").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let missing = Signer::External {
            engine: Engine::Spki,
            command: vec!["/nonexistent/signer".into()],
            interruption: Interruption::default(),
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
