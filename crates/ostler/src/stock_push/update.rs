//! What follows when refs have moved: the hook of the configuration, or else the summary.
//!
//! In a repository of Flatpak's, `flatpak` makes the summary, with what clients of Flatpak need; in one with a collection the commit on
//! `ostree-metadata` is made first, as by `summary --update`. Elsewhere the summary was made in the flip of the refs, and
//! nothing is left to do.

use super::log::Log;
use super::settings::Settings;
use crate::context::Context;
use crate::dates;
use crate::shell_words;
use anyhow::{Context as _, bail};
use ostler_format::RefName;
use ostler_repo::sign::Signer;
use ostler_repo::{Repo, SummaryOptions, commit_metadata, update_summary};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Update {
    /// Nothing.
    None,
    /// A program of the administrator's.
    Hook,
    /// `flatpak build-update-repo`.
    Flatpak,
    /// The commit of a collection's metadata, and the summary.
    Collection,
    /// The summary, in the flip of the refs.
    Summary,
}

impl Update {
    /// Returns what settings ask for in a repository.
    pub(super) const fn of(settings: &Settings, is_flatpak: bool, has_collection: bool) -> Self {
        match (settings.update, &settings.update_hook) {
            (false, _) => Self::None,
            (true, Some(_)) => Self::Hook,
            (true, None) if is_flatpak => Self::Flatpak,
            (true, None) if has_collection => Self::Collection,
            (true, None) => Self::Summary,
        }
    }
}

/// Does what is left to do after the flip.
pub(super) fn run(
    context: &Context,
    (settings, log): (&Settings, &Log<'_>),
    repo: &Repo,
    signers: &[Signer],
    (update, refs): (Update, &[RefName]),
) -> anyhow::Result<()> {
    match (update, &settings.update_hook) {
        (Update::Hook, Some(hook)) => run_hook(log, repo, hook, refs),
        (Update::Flatpak, _) => run_flatpak(log, settings, repo),
        (Update::Collection, _) => {
            log.info(format_args!(
                "Updating repo metadata of {}",
                repo.path().display()
            ));
            let options = SummaryOptions {
                now: context.environment().now(),
                signers: signers.to_vec(),
                ..SummaryOptions::default()
            };
            commit_metadata(repo, &options, dates::of_new_commit(context.environment())?)?;
            update_summary(repo, &options)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn run_hook(log: &Log<'_>, repo: &Repo, hook: &str, refs: &[RefName]) -> anyhow::Result<()> {
    let words = shell_words::split(hook).with_context(|| format!("cannot make out update_hook '{hook}'"))?;
    let Some((program, arguments)) = words.split_first() else {
        bail!("update_hook names no program");
    };
    let path = std::path::absolute(repo.path()).context("cannot tell where we are")?;
    let refs: Vec<_> = refs.iter().map(RefName::as_str).collect();
    let refs = refs.join(" ");
    log.info(format_args!("Updating repo with {hook}"));
    log.debug(format_args!("OSTREE_RECEIVE_REPO={}", path.display()));
    log.debug(format_args!("OSTREE_RECEIVE_REFS={refs}"));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("OSTREE_RECEIVE_REPO", path)
        .env("OSTREE_RECEIVE_REFS", refs);
    finish(&mut command)
}

fn run_flatpak(log: &Log<'_>, settings: &Settings, repo: &Repo) -> anyhow::Result<()> {
    let mut command = Command::new("flatpak");
    command.arg("build-update-repo").arg(repo.path());
    for key in &settings.gpg_sign {
        command.arg(format!("--gpg-sign={key}"));
    }
    if let Some(homedir) = settings
        .gpg_homedir
        .as_ref()
        .filter(|_| !settings.gpg_sign.is_empty())
    {
        let mut option = OsString::from("--gpg-homedir=");
        option.push(homedir);
        command.arg(option);
    }
    log.info(format_args!(
        "Updating repo metadata with flatpak build-update-repo {}",
        repo.path().display()
    ));
    if !settings.sign_keyfiles.is_empty() {
        command.arg(format!("--sign-type={}", settings.sign_type));
        for path in &settings.sign_keyfiles {
            for key in keys(path)? {
                command.arg(format!("--sign={key}"));
            }
        }
    }
    finish(&mut command)
}

/// Returns the lines of a file of keys.
fn keys(path: &Path) -> anyhow::Result<Vec<String>> {
    let file = File::open(path).with_context(|| missing(path))?;
    let lines = BufReader::new(file).lines().map(|line| {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(line.trim().to_owned())
    });
    let lines: Vec<String> = lines.collect::<anyhow::Result<_>>()?;
    Ok(lines.into_iter().filter(|line| !line.is_empty()).collect())
}

/// Says that a file of keys is not there, in the words of ostree-push.
pub(super) fn missing(path: &Path) -> String {
    format!("sign_keyfiles keyfile \"{}\" does not exist", path.display())
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let status = command
        .status()
        .with_context(|| format!("the refs have moved, but cannot run {program}"))?;
    if !status.success() {
        bail!("the refs have moved, but {program} failed: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_comes_in_place_of_a_summary_and_nothing_where_none_is_wanted() {
        let settings = Settings::default();
        assert_eq!(Update::of(&settings, false, false), Update::Summary);
        assert_eq!(Update::of(&settings, true, true), Update::Flatpak);
        assert_eq!(Update::of(&settings, false, true), Update::Collection);
        let mut settings = Settings {
            update_hook: Some("x".into()),
            ..settings
        };
        assert_eq!(Update::of(&settings, true, true), Update::Hook);
        settings.update = false;
        assert_eq!(Update::of(&settings, true, true), Update::None);
    }
}
