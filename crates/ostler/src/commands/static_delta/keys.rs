//! The keys by which signatures of deltas are made and checked.

use crate::commands::signing::Secret;
use crate::context::Context;
use crate::trust;
use anyhow::{Context as _, bail};
use ostler_repo::deltas::StoredDelta;
use ostler_repo::sign::{Engine, PublicKeys, Signer, Trust, read_secret_keys};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Which keys check.
#[derive(Debug, clap::Args)]
pub(super) struct Checking {
    /// Kind of the signatures: ed25519, spki or dummy [default: ed25519]
    #[arg(long, value_name = "TYPE")]
    sign_type: Option<String>,
    /// File of public keys, one a line
    #[arg(long, value_name = "FILE")]
    keys_file: Option<PathBuf>,
    /// Directory of files of trusted and revoked keys
    #[arg(long, value_name = "DIRECTORY")]
    keys_dir: Option<PathBuf>,
}

impl Checking {
    /// Returns whether keys are named, or a kind of them.
    pub(super) fn given(&self, public: &[String]) -> bool {
        let options = self.sign_type.is_some() || self.keys_file.is_some() || self.keys_dir.is_some();
        options || !public.is_empty()
    }

    /// Checks the signatures of a delta.
    ///
    /// # Errors
    /// Says first, in the words of stock, how many signatures were looked at, if there were any.
    pub(super) fn check(
        &self,
        context: &Context,
        delta: &StoredDelta,
        public: &[String],
    ) -> anyhow::Result<()> {
        let engine = engine(context, self.sign_type.as_deref())?;
        let checked = delta.check(&self.trust(context, public)?).map(drop);
        match delta.signature_count(engine) {
            0 => Ok(checked?),
            count => {
                checked.with_context(|| format!("signature: {engine}: incorrect signatures found: {count}"))
            }
        }
    }

    /// Returns what asks for a signature by one of the keys that are named, else by one of the well-known ones.
    fn trust(&self, context: &Context, public: &[String]) -> anyhow::Result<Trust> {
        let engine = engine(context, self.sign_type.as_deref())?;
        let mut keys = PublicKeys::new(engine);
        for key in public {
            keys.add(key)?;
        }
        if let Some(file) = &self.keys_file {
            keys.add_file(file)?;
        }
        let directories = match &self.keys_dir {
            Some(own) => vec![own.clone()],
            None if public.is_empty() && self.keys_file.is_none() => trust::paths(context).key_directories,
            None => Vec::new(),
        };
        for directory in &directories {
            keys.add_directory(directory)?;
            keys.add_revoked(directory)?;
        }
        Ok(Trust::of_keys(vec![keys]))
    }
}

/// Reads the name of a kind of signatures.
fn engine(context: &Context, name: Option<&str>) -> anyhow::Result<Engine> {
    let engine = match name {
        None => Engine::Ed25519,
        Some(name) => name.parse()?,
    };
    match engine {
        Engine::Gpg => bail!("Requested signature type is not implemented"),
        Engine::Dummy if !context.environment().dummy_signatures => {
            bail!("dummy signature type is only for ostree testing")
        }
        engine => Ok(engine),
    }
}

/// Returns who signs with these secret keys.
pub(super) fn signers(
    context: &Context,
    sign_type: Option<&str>,
    secret: &[Secret],
    file: Option<&Path>,
) -> anyhow::Result<Vec<Signer>> {
    if secret.is_empty() && file.is_none() {
        return Ok(Vec::new());
    }
    let engine = engine(context, sign_type)?;
    let mut signers = Vec::new();
    for Secret(key) in secret {
        signers.push(Signer::from_secret(engine, key)?);
    }
    if let Some(path) = file {
        let opened = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        signers.extend(read_secret_keys(engine, path, opened)?);
    }
    Ok(signers)
}
