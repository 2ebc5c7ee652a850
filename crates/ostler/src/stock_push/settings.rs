//! What `ostree-receive` is to do: its configuration files, and above them its arguments.
//!
//! `OSTREE_RECEIVE_CONF` names the only file; else `/etc/ostree/ostree-receive.conf` is read and then `ostree/ostree-receive.conf` in the
//! user's configuration, whose values count where both have one. Names that nobody knows are told and ignored; a value of the wrong kind is an
//! error, since a signature that nobody asks for because of a typing mistake is one too few.

use super::log::Level;
use super::receive::Args;
use super::yaml::{self, Value};
use crate::context::Context;
use anyhow::{Context as _, anyhow, bail};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where settings and keys of all users lie.
const SYSTEM: &str = "/etc/ostree";

/// The file of settings, below that and below the user's configuration.
const FILE: &str = "ostree-receive.conf";

/// All settings, by the names that files have for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(super) struct Settings {
    /// Repositories lie below it; anywhere without.
    pub(super) root: Option<PathBuf>,
    /// Keys of GPG that sign commits and the summary.
    pub(super) gpg_sign: Vec<String>,
    pub(super) gpg_homedir: Option<PathBuf>,
    /// Whether commits that come must be signed by GPG.
    pub(super) gpg_verify: bool,
    pub(super) gpg_trustedkeys: Option<PathBuf>,
    /// Which other signatures `sign_*` are about.
    pub(super) sign_type: String,
    /// Files of keys that sign commits and the summary.
    pub(super) sign_keyfiles: Vec<PathBuf>,
    /// Whether commits that come must be signed so.
    pub(super) sign_verify: bool,
    pub(super) sign_trustedkeyfile: Option<PathBuf>,
    /// Make the summary anew afterwards, or run the hook.
    pub(super) update: bool,
    /// What runs in place of making the summary.
    pub(super) update_hook: Option<String>,
    pub(super) log_level: Level,
    /// Take what is not newer, or nothing new.
    pub(super) force: bool,
    pub(super) dry_run: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: None,
            gpg_sign: Vec::new(),
            gpg_homedir: None,
            gpg_verify: false,
            gpg_trustedkeys: None,
            sign_type: "ed25519".to_owned(),
            sign_keyfiles: Vec::new(),
            sign_verify: false,
            sign_trustedkeyfile: None,
            update: true,
            update_hook: None,
            log_level: Level::Info,
            force: false,
            dry_run: false,
        }
    }
}

impl Settings {
    /// Reads the files that are there, and puts the arguments above them.
    pub(super) fn load(context: &Context, args: &Args) -> anyhow::Result<Self> {
        let mut settings = Self::default();
        for path in files(context) {
            if let Some(text) = read(&path)? {
                settings.add_file(context, &path, &text)?;
            }
        }
        settings.add_arguments(args);
        Ok(settings)
    }

    fn add_file(&mut self, context: &Context, path: &Path, text: &str) -> anyhow::Result<()> {
        let shown = path.display();
        let found = yaml::parse(text).map_err(|fault| anyhow!("config file {shown}: {fault}"))?;
        for (name, value) in found {
            let known = self.set(&name, value);
            if !known.with_context(|| format!("config file {shown}"))? {
                let name = name.escape_debug();
                context
                    .ui()
                    .note(&format!("Unrecognized option {name} in config file {shown}"));
            }
        }
        Ok(())
    }

    /// Sets one by its name; returns whether there is such a setting.
    fn set(&mut self, name: &str, value: Value) -> anyhow::Result<bool> {
        match name {
            "root" => self.root = path(name, value)?,
            "gpg_sign" => self.gpg_sign = list(name, value)?,
            "gpg_homedir" => self.gpg_homedir = path(name, value)?,
            "gpg_verify" => self.gpg_verify = switch(name, &value)?,
            "gpg_trustedkeys" => self.gpg_trustedkeys = path(name, value)?,
            "sign_type" => self.sign_type = text(name, value)?,
            "sign_keyfiles" => {
                self.sign_keyfiles = list(name, value)?.into_iter().map(PathBuf::from).collect();
            }
            "sign_verify" => self.sign_verify = switch(name, &value)?,
            "sign_trustedkeyfile" => self.sign_trustedkeyfile = path(name, value)?,
            "update" => self.update = switch(name, &value)?,
            "update_hook" => self.update_hook = optional_text(name, value)?,
            "log_level" => {
                let level = text(name, value)?;
                self.log_level =
                    Level::of(&level).ok_or_else(|| anyhow!("unknown level '{}'", level.escape_debug()))?;
            }
            "force" => self.force = switch(name, &value)?,
            "dry_run" => self.dry_run = switch(name, &value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add_arguments(&mut self, args: &Args) {
        self.update &= !args.no_update;
        self.dry_run |= args.dry_run;
        self.force |= args.force;
        if args.quiet {
            self.log_level = Level::Warning;
        } else if args.verbose {
            self.log_level = Level::Debug;
        }
    }

    /// Returns what a remote of the repository's configuration would say of where commits come from.
    ///
    /// # Errors
    /// A file of keys that is named and not there.
    pub(super) fn of_remote(&self, context: &Context, url: &str) -> anyhow::Result<Vec<(String, String)>> {
        let flag = |name: &str, value: bool| (name.to_owned(), value.to_string());
        let mut settings = vec![
            ("url".to_owned(), url.to_owned()),
            flag("gpg-verify", self.gpg_verify),
            flag("gpg-verify-summary", false),
        ];
        if self.gpg_verify {
            let named = ("gpg_trustedkeys keyring", self.gpg_trustedkeys.as_deref());
            if let Some(keys) = trusted(context, named, "ostree-receive-trustedkeys.gpg")? {
                settings.push(("gpgkeypath".to_owned(), keys));
            }
        }
        if self.sign_verify {
            let named = ("sign_trustedkeyfile keyfile", self.sign_trustedkeyfile.as_deref());
            let usual = format!("ostree-receive-trustedkeyfile.{}", self.sign_type);
            if let Some(keys) = trusted(context, named, &usual)? {
                settings.push((format!("verification-{}-file", self.sign_type), keys));
            }
            settings.push(flag("sign-verify", true));
            settings.push(flag("sign-verify-summary", false));
        }
        Ok(settings)
    }
}

/// Returns the files that may be there, the one that counts most last.
fn files(context: &Context) -> Vec<PathBuf> {
    match &context.environment().receive_configuration {
        Some(path) => vec![path.clone()],
        None => usual(context, FILE),
    }
}

/// Returns where a file of all users would lie, and where one of the user.
fn usual(context: &Context, name: &str) -> Vec<PathBuf> {
    let own = context.environment().configuration_of("ostree", name);
    [Path::new(SYSTEM).join(name)].into_iter().chain(own).collect()
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(yaml::LIMIT + 1).read_to_string(&mut text));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > yaml::LIMIT {
        bail!("{} is larger than any configuration", path.display());
    }
    Ok(Some(text))
}

/// Returns the file of keys that is named, else the first of the usual ones that is there.
fn trusted(
    context: &Context,
    (what, named): (&str, Option<&Path>),
    name: &str,
) -> anyhow::Result<Option<String>> {
    let path = match named {
        Some(path) if !path.exists() => bail!("{what} \"{}\" does not exist", path.display()),
        Some(path) => Some(path.to_owned()),
        None => usual(context, name).into_iter().find(|path| path.exists()),
    };
    let Some(path) = path else {
        return Ok(None);
    };
    let real = path
        .canonicalize()
        .with_context(|| format!("cannot look at {}", path.display()))?;
    let text = real.to_str().map(str::to_owned);
    text.with_context(|| format!("{} is no UTF-8", real.display()))
        .map(Some)
}

fn wrong(name: &str, wanted: &str, value: &Value) -> anyhow::Error {
    anyhow!(
        "{name} must be an instance of <class '{wanted}'>, but found {}",
        value.kind()
    )
}

fn switch(name: &str, value: &Value) -> anyhow::Result<bool> {
    match value {
        Value::Switch(value) => Ok(*value),
        other => Err(wrong(name, "bool", other)),
    }
}

fn text(name: &str, value: Value) -> anyhow::Result<String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(wrong(name, "str", &other)),
    }
}

/// Nothing and the empty text are the same.
fn optional_text(name: &str, value: Value) -> anyhow::Result<Option<String>> {
    match value {
        Value::Nothing => Ok(None),
        value => Ok(Some(text(name, value)?).filter(|text| !text.is_empty())),
    }
}

fn path(name: &str, value: Value) -> anyhow::Result<Option<PathBuf>> {
    Ok(optional_text(name, value)?.map(PathBuf::from))
}

fn list(name: &str, value: Value) -> anyhow::Result<Vec<String>> {
    match value {
        Value::List(texts) => Ok(texts),
        other => Err(wrong(name, "list", &other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> anyhow::Result<Settings> {
        let mut settings = Settings::default();
        for (name, value) in yaml::parse(text).unwrap() {
            assert!(settings.set(&name, value)?, "{name}");
        }
        Ok(settings)
    }

    #[test]
    fn all_settings_of_the_example_are_known() {
        let text = "root: null\ngpg_sign: []\ngpg_homedir: null\ngpg_verify: no\ngpg_trustedkeys: null\nsign_type: ed25519\n\
                    sign_keyfiles: []\nsign_verify: no\nsign_trustedkeyfile: null\nupdate: yes\nupdate_hook: null\n\
                    log_level: INFO\nforce: no\ndry_run: no\n";
        assert_eq!(set(text).unwrap(), Settings::default());
        let settings = set("root: /srv\ngpg_sign: [A]\nupdate_hook: ''\nlog_level: WARNING\n").unwrap();
        assert_eq!(settings.root, Some(PathBuf::from("/srv")));
        assert_eq!(settings.gpg_sign, ["A"]);
        assert_eq!(settings.update_hook, None);
        assert_eq!(settings.log_level, Level::Warning);
    }

    #[test]
    fn value_of_the_wrong_kind_is_an_error() {
        for (text, told) in [
            (
                "gpg_verify: maybe\n",
                "gpg_verify must be an instance of <class 'bool'>, but found <class 'str'>",
            ),
            (
                "gpg_sign: KEY\n",
                "gpg_sign must be an instance of <class 'list'>, but found <class 'str'>",
            ),
            (
                "root: yes\n",
                "root must be an instance of <class 'str'>, but found <class 'bool'>",
            ),
            (
                "update:\n",
                "update must be an instance of <class 'bool'>, but found <class 'NoneType'>",
            ),
            ("log_level: LOUD\n", "unknown level 'LOUD'"),
        ] {
            assert_eq!(set(text).unwrap_err().to_string(), told);
        }
    }
}
