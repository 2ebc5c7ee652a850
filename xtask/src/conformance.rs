//! libostree's own installed tests (Debian's package `ostree-tests`), unchanged, with our binary in the place of `ostree`.
//!
//! Each script runs in a directory of its own, in a mount namespace in which `/usr/bin/ostree` is our binary as well:
//! nothing of stock's command line answers, whichever way a script calls it. (Its library and its small helpers, such as
//! the web server, are still stock's.) Needs root for the namespace.

use crate::step;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the scripts are installed.
const INSTALLED: &str = "/usr/libexec/installed-tests/libostree";

/// What a script finds at the place of stock's binary.
const STOCK: &str = "/usr/bin/ostree";

/// The scripts that have to pass, every point of them.
const REQUIRED: &[&str] = &[
    "test-archivez.sh",
    "test-auto-summary.sh",
    "test-basic-root.sh",
    "test-basic-user-only.sh",
    "test-basic-user.sh",
    "test-cli-extensions.sh",
    "test-commit-sign.sh",
    "test-commit-timestamp.sh",
    "test-concurrency.py",
    "test-config.sh",
    "test-corruption.sh",
    "test-create-usb.sh",
    "test-delta-ed25519.sh",
    "test-delta-sign.sh",
    "test-delta.sh",
    "test-demo-buildsystem.sh",
    "test-export.sh",
    "test-find-remotes.sh",
    "test-fsck-collections.sh",
    "test-fsck-delete.sh",
    "test-gpg-signed-commit.sh",
    "test-help.sh",
    "test-init-collections.sh",
    "test-libarchive.sh",
    "test-local-pull-depth.sh",
    "test-local-pull.sh",
    "test-oldstyle-partial.sh",
    "test-parent.sh",
    "test-pre-signed-pull.sh",
    "test-prune-collections.sh",
    "test-prune.sh",
    "test-pull-bare.sh",
    "test-pull-bareuser.sh",
    "test-pull-bareuseronly.sh",
    "test-pull-basicauth.sh",
    "test-pull-commit-only.sh",
    "test-pull-contenturl.sh",
    "test-pull-corruption.sh",
    "test-pull-depth.sh",
    "test-pull-localcache.sh",
    "test-pull-metalink.sh",
    "test-pull-mirror-summary.sh",
    "test-pull-mirrorlist.sh",
    "test-pull-override-url.sh",
    "test-pull-resume.sh",
    "test-pull-sizes.sh",
    "test-pull-subpath.sh",
    "test-pull-summary-caching.sh",
    "test-pull-summary-sigs.sh",
    "test-pull-untrusted.sh",
    "test-pull2-bareuseronly.sh",
    "test-refs-collections.sh",
    "test-refs.sh",
    "test-remote-add-collections.sh",
    "test-remote-add.sh",
    "test-remote-cookies.sh",
    "test-remote-gpg-import.sh",
    "test-remote-gpg-list-keys.sh",
    "test-remote-headers.sh",
    "test-reset-nonlinear.sh",
    "test-rofiles-fuse.sh",
    "test-signed-commit.sh",
    "test-signed-pull.sh",
    "test-summary-collections.sh",
    "test-summary-update.sh",
    "test-summary-view.sh",
];

/// What became of one script.
struct Outcome {
    name: String,
    passed: usize,
    skipped: usize,
    failed: usize,
    planned: Option<usize>,
    /// The status that it ended with; `None` if the time was over.
    status: Option<i32>,
    /// The last error that it printed: mostly what we said, which it did not expect.
    error: Option<String>,
}

/// Runs the scripts whose names contain one of `wanted` (all that concern a repository, if there is none), each for at
/// most `limit` seconds; their output is left in `target/conformance`. Without a `binary`, one is built.
pub(crate) fn run(wanted: &[String], limit: u32, binary: Option<&Path>) -> Result<()> {
    let binary = match binary {
        Some(path) => path
            .canonicalize()
            .with_context(|| format!("cannot find {}", path.display()))?,
        None => build()?,
    };
    let place = std::env::current_dir()?.join("target/conformance");
    if place.exists() {
        fs::remove_dir_all(&place).context("cannot remove the results of the last run")?;
    }
    fs::create_dir_all(&place)?;
    check_namespace(&binary)?;
    let mut outcomes = Vec::new();
    for script in scripts(wanted)? {
        let outcome = run_script(&script, &place, &binary, limit)?;
        println!("{}", outcome.line());
        if let Some(error) = outcome.error.as_ref().filter(|_| !outcome.is_complete()) {
            println!("    {error}");
        }
        outcomes.push(outcome);
    }
    conclude(&outcomes, &place)
}

/// Builds our binary, and returns where it is.
fn build() -> Result<PathBuf> {
    step::run(
        "building ostler",
        step::cargo().args(["build", "--locked", "--release", "--package=ostler"]),
    )?;
    Ok(std::env::current_dir()?.join("target/release/ostler"))
}

/// Returns the scripts to run: those about deployments and boot loaders are none of ours.
fn scripts(wanted: &[String]) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(INSTALLED)
        .with_context(|| format!("{INSTALLED}: `cargo xtask test --only-install` installs the tests"))?;
    let mut scripts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let suffix = path
            .extension()
            .is_some_and(|suffix| suffix == "sh" || suffix == "py");
        let concerned = if wanted.is_empty() {
            !name.contains("-admin-")
        } else {
            wanted.iter().any(|part| name.contains(part.as_str()))
        };
        if name.starts_with("test-") && suffix && concerned {
            scripts.push(path);
        }
    }
    scripts.sort();
    if scripts.is_empty() {
        bail!("no script has such a name in {INSTALLED}");
    }
    Ok(scripts)
}

/// Makes sure that in the namespace stock's path leads to our binary.
fn check_namespace(binary: &Path) -> Result<()> {
    let output = inside(binary, "exec cmp /proc/self/root/usr/bin/ostree \"$OSTLER\"").output()?;
    if !output.status.success() {
        bail!(
            "cannot put our binary in the place of {STOCK} (root is needed): {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// Returns a shell command in a mount namespace of its own, in which our binary is `ostree`.
fn inside(binary: &Path, command: &str) -> Command {
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "--propagation=private", "sh", "-c"])
        .arg(format!("mount --bind \"$OSTLER\" {STOCK} && {command}"))
        .env("OSTLER", binary);
    unshare
}

fn run_script(script: &Path, place: &Path, binary: &Path, limit: u32) -> Result<Outcome> {
    let name = script
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let work = place.join(&name);
    fs::create_dir(&work)?;
    let output = inside(binary, "exec timeout --kill-after=10 \"$LIMIT\" \"$SCRIPT\"")
        .env("LIMIT", limit.to_string())
        .env("SCRIPT", script)
        .env("HOME", &work)
        .env_remove("OSTREE_REPO")
        .current_dir(&work)
        .output()?;
    fs::write(place.join(format!("{name}.out")), &output.stdout)?;
    fs::write(place.join(format!("{name}.err")), &output.stderr)?;
    // What it made is large; what it printed tells more.
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    Ok(Outcome::of(name, &output))
}

impl Outcome {
    /// Reads the points of a script from its output in the Test Anything Protocol.
    fn of(name: String, output: &Output) -> Self {
        let printed = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        let is_skip = |line: &&str| line.to_ascii_lowercase().contains("# skip");
        let ok = |line: &&str| line.starts_with("ok");
        let skipped = printed.lines().filter(ok).filter(is_skip).count();
        let planned = printed.lines().find_map(|line| line.strip_prefix("1.."));
        Self {
            passed: printed.lines().filter(ok).count() - skipped,
            skipped,
            failed: printed.lines().filter(|line| line.starts_with("not ok")).count(),
            planned: planned.and_then(|plan| plan.split_whitespace().next()?.parse().ok()),
            // 124 and 137 are how `timeout` says that the time was over.
            status: output.status.code().filter(|code| ![124, 137].contains(code)),
            error: said
                .lines()
                .rfind(|line| line.contains("error: "))
                .map(str::to_owned),
            name,
        }
    }

    /// Returns whether nothing of it was left out or failed, or all of it was skipped by itself.
    fn is_complete(&self) -> bool {
        let planned = self.planned.unwrap_or(self.passed + self.skipped);
        self.status == Some(0) && self.failed == 0 && self.passed + self.skipped >= planned
    }

    fn line(&self) -> String {
        let planned = self
            .planned
            .map_or_else(|| "?".to_owned(), |planned| planned.to_string());
        let verdict = match self.status {
            None => "out of time".to_owned(),
            _ if self.is_complete() && self.passed == 0 => "skipped by itself".to_owned(),
            _ if self.is_complete() => "passed".to_owned(),
            Some(status) => format!("FAILED, status {status}"),
        };
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        format!(
            "{:<44} {:>3} of {planned:>3}{skipped}  {verdict}",
            self.name, self.passed
        )
    }
}

/// Prints the totals; fails if a script that has to pass did not.
fn conclude(outcomes: &[Outcome], place: &Path) -> Result<()> {
    let complete = outcomes.iter().filter(|outcome| outcome.is_complete()).count();
    let passed: usize = outcomes.iter().map(|outcome| outcome.passed).sum();
    let planned: usize = outcomes
        .iter()
        .map(|outcome| outcome.planned.unwrap_or(outcome.passed))
        .sum();
    println!(
        "\n{complete} of {} scripts complete, {passed} of {planned} points; output in {}",
        outcomes.len(),
        place.display()
    );
    let broken: Vec<_> = outcomes
        .iter()
        .filter(|outcome| REQUIRED.contains(&outcome.name.as_str()) && !outcome.is_complete())
        .map(|outcome| outcome.name.as_str())
        .collect();
    if !broken.is_empty() {
        bail!("these have to pass: {}", broken.join(" "));
    }
    Ok(())
}
