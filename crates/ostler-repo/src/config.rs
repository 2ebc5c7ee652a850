//! The configuration of a repository, `config`: the keys that matter to us, with libostree's defaults.
//!
//! Reading is libostree's, but a value that has no meaning is an error here where libostree at times takes
//! garbage for zero. Writing (see [`Repo::edit_config`](crate::Repo::edit_config)) replaces the whole file in
//! one step and keeps comments and unknown keys.

use crate::error::{RepoError, Result};
use crate::keyfile::KeyFile;
use crate::remote_files::RemoteFiles;
use ostler_format::{CollectionId, RemoteName, RepoMode};
use std::path::PathBuf;
use std::time::Duration;

/// The most bytes that a configuration may have.
pub(crate) const MAX_CONFIG_SIZE: u64 = 4 << 20;

/// The configuration of a repository.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the file, none depends on another"
)]
pub struct Config {
    file: KeyFile,
    remote_files: Option<RemoteFiles>,
    adds_remotes_elsewhere: Option<bool>,
    mode: RepoMode,
    collection_id: Option<CollectionId>,
    fsync: bool,
    per_object_fsync: bool,
    min_free_space: MinFreeSpace,
    locking: bool,
    lock_timeout: Option<Duration>,
    tmp_expiry: Duration,
    auto_update_summary: bool,
    no_deltas_in_summary: bool,
    indexed_deltas: bool,
    sign_verify_deltas: bool,
    tombstone_commits: bool,
    parent: Option<PathBuf>,
    disable_xattrs: bool,
    enable_uncompressed_cache: bool,
    payload_link_threshold: u64,
    zlib_level: u32,
}

/// The space that content must leave free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinFreeSpace {
    /// So much of the file system, 0 to 99.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
}

impl Config {
    /// Reads the configuration from its bytes.
    ///
    /// # Errors
    /// [`RepoError::Format`] for what is not a key file, [`RepoError::Unsupported`] for versions and modes
    /// that nobody supports any more, [`RepoError::Invalid`] for values without meaning.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::from_keyfile(KeyFile::parse(bytes).map_err(RepoError::format("config"))?)
    }

    /// Takes the configuration from a key file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_keyfile(file: KeyFile) -> Result<Self> {
        let core = Core(&file);
        check_version(&core)?;
        let mode = match core.text("mode")? {
            None => RepoMode::Bare,
            Some(text) => text.parse().map_err(RepoError::format("core.mode in config"))?,
        };
        let collection_id = match core.text("collection-id")?.filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => {
                Some(CollectionId::new(&id).map_err(RepoError::format("core.collection-id in config"))?)
            }
        };
        let commit_update_summary = core.flag("commit-update-summary", false)?;
        Ok(Self {
            mode,
            collection_id,
            fsync: core.flag("fsync", true)?,
            per_object_fsync: core.flag("per-object-fsync", false)?,
            min_free_space: min_free_space(&core)?,
            locking: core.flag("locking", true)?,
            lock_timeout: match core.number("lock-timeout-secs", 300)? {
                -1 => None,
                _ => Some(core.seconds("lock-timeout-secs", 300)?),
            },
            tmp_expiry: core.seconds("tmp-expiry-secs", 86400)?,
            auto_update_summary: core.flag("auto-update-summary", commit_update_summary)?,
            no_deltas_in_summary: core.flag("no-deltas-in-summary", false)?,
            indexed_deltas: core.flag("indexed-deltas", false)?,
            sign_verify_deltas: core.flag("sign-verify-deltas", false)?,
            tombstone_commits: core.flag("tombstone-commits", false)?,
            parent: core
                .text("parent")?
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            disable_xattrs: core.flag("disable-xattrs", false)?,
            enable_uncompressed_cache: core.flag("enable-uncompressed-cache", true)?,
            payload_link_threshold: payload_link_threshold(&core)?,
            zlib_level: zlib_level(&file)?,
            adds_remotes_elsewhere: core.optional_flag("add-remotes-config-dir")?,
            remote_files: None,
            file,
        })
    }

    /// Returns the first contents of the configuration of a new repository, as libostree writes them.
    pub(crate) fn initial(mode: RepoMode, collection: Option<&CollectionId>) -> String {
        let mut text = format!("[core]\nrepo_version=1\nmode={mode}\n");
        if let Some(id) = collection {
            text.push_str("collection-id=");
            text.push_str(id.as_str());
            text.push('\n');
        }
        text
    }

    /// Returns everything that the file says.
    pub fn keyfile(&self) -> &KeyFile {
        &self.file
    }

    /// Returns `core.mode`; bare where it is missing.
    pub fn mode(&self) -> RepoMode {
        self.mode
    }

    /// Returns `core.collection-id`.
    pub fn collection_id(&self) -> Option<&CollectionId> {
        self.collection_id.as_ref()
    }

    /// Returns `core.fsync`: whether anything is synced at all. On by default.
    pub fn fsync(&self) -> bool {
        self.fsync
    }

    /// Syncs nothing, whatever the file says.
    pub(crate) fn disable_fsync(&mut self) {
        self.fsync = false;
    }

    /// Returns `core.per-object-fsync`: sync each object and write it straight to its place.
    pub fn per_object_fsync(&self) -> bool {
        self.per_object_fsync
    }

    /// Returns `core.min-free-space-size`, or else `core.min-free-space-percent`, or else 3 %.
    pub fn min_free_space(&self) -> MinFreeSpace {
        self.min_free_space
    }

    /// Returns `core.locking`: whether the lock file is used.
    pub fn locking(&self) -> bool {
        self.locking
    }

    /// Returns `core.lock-timeout-secs`: how long to wait for a lock; `None` is for ever, zero is one try.
    /// Five minutes by default.
    pub fn lock_timeout(&self) -> Option<Duration> {
        self.lock_timeout
    }

    /// Returns `core.tmp-expiry-secs`: the age at which strays in `tmp/` are removed. A day by default.
    pub fn tmp_expiry(&self) -> Duration {
        self.tmp_expiry
    }

    /// Returns `core.auto-update-summary` (or its alias `core.commit-update-summary`).
    pub fn auto_update_summary(&self) -> bool {
        self.auto_update_summary
    }

    /// Returns `core.no-deltas-in-summary`.
    pub fn no_deltas_in_summary(&self) -> bool {
        self.no_deltas_in_summary
    }

    /// Returns `core.indexed-deltas`.
    pub fn indexed_deltas(&self) -> bool {
        self.indexed_deltas
    }

    /// Returns `core.sign-verify-deltas`: whether a delta that is applied from a file must be signed.
    pub fn sign_verify_deltas(&self) -> bool {
        self.sign_verify_deltas
    }

    /// Returns `core.tombstone-commits`.
    pub fn tombstone_commits(&self) -> bool {
        self.tombstone_commits
    }

    /// Returns `core.parent` as written; a relative path starts at the repository.
    pub fn parent(&self) -> Option<&PathBuf> {
        self.parent.as_ref()
    }

    /// Returns `core.disable-xattrs`: never read extended attributes.
    pub fn disable_xattrs(&self) -> bool {
        self.disable_xattrs
    }

    /// Returns `core.enable-uncompressed-cache`: whether checkouts in user mode from an archive repository may keep
    /// uncompressed copies in it.
    pub fn enable_uncompressed_cache(&self) -> bool {
        self.enable_uncompressed_cache
    }

    /// Returns `core.payload-link-threshold`: the size in bytes from which content is found by its payload. By default
    /// none ever is.
    pub fn payload_link_threshold(&self) -> u64 {
        self.payload_link_threshold
    }

    /// Returns `archive.zlib-level`, 1 to 9; 6 by default.
    pub fn zlib_level(&self) -> u32 {
        self.zlib_level
    }

    /// Returns `core.add-remotes-config-dir`: whether new remotes are configured beside the repository, where there is a
    /// place for that.
    pub fn adds_remotes_elsewhere(&self) -> Option<bool> {
        self.adds_remotes_elsewhere
    }

    /// Adds what is configured beside the repository.
    pub(crate) fn set_remote_files(&mut self, files: Option<RemoteFiles>) {
        self.remote_files = files;
    }

    /// Returns the remotes that are configured, in order.
    pub fn remotes(&self) -> Vec<RemoteName> {
        let mut remotes = Vec::new();
        for name in self.written_remotes() {
            // Some file may configure it again.
            if let Ok(name) = RemoteName::new(name)
                && !remotes.contains(&name)
            {
                remotes.push(name);
            }
        }
        remotes
    }

    /// Returns the names of remotes as written, in order, also those that nothing else takes.
    pub(crate) fn written_remotes(&self) -> impl Iterator<Item = &str> {
        let beside = self.remote_files.iter().flat_map(RemoteFiles::iter);
        std::iter::once(&self.file)
            .chain(beside)
            .flat_map(KeyFile::groups)
            .filter_map(|group| group.strip_prefix("remote \"")?.strip_suffix('"'))
            .filter(|name| !name.is_empty())
    }

    /// Returns the file that has a group, if any.
    pub(crate) fn file_of(&self, group: &str) -> Option<&KeyFile> {
        let beside = || Some(self.remote_files.as_ref()?.find(group)?.1);
        Some(&self.file)
            .filter(|file| file.has_group(group))
            .or_else(beside)
    }

    /// Returns one setting of a remote by the name of its group.
    pub(crate) fn group_option(&self, group: &str, key: &str) -> Result<Option<String>> {
        self.file_of(group).map_or(Ok(None), |file| {
            file.get(group, key).map_err(RepoError::format("config"))
        })
    }

    /// Returns one setting of a remote.
    ///
    /// # Errors
    /// [`RepoError::Format`] for an unknown escape.
    pub fn remote_option(&self, remote: &RemoteName, key: &str) -> Result<Option<String>> {
        self.group_option(&remote_group(remote), key)
    }

    /// Returns the collection of a remote.
    ///
    /// # Errors
    /// [`RepoError::Format`] for an identifier that breaks the grammar.
    pub fn remote_collection_id(&self, remote: &RemoteName) -> Result<Option<CollectionId>> {
        self.remote_option(remote, "collection-id")?
            .filter(|id| !id.is_empty())
            .map(|id| {
                let subject = || format!("collection-id of remote {remote} in config");
                CollectionId::new(&id).map_err(RepoError::format(subject()))
            })
            .transpose()
    }
}

/// Returns the group that configures a remote.
pub fn remote_group(remote: &RemoteName) -> String {
    format!("remote \"{remote}\"")
}

/// The group `[core]`.
struct Core<'a>(&'a KeyFile);

impl Core<'_> {
    fn text(&self, key: &str) -> Result<Option<String>> {
        self.0.get("core", key).map_err(RepoError::format("config"))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.optional_flag(key)?.unwrap_or(default))
    }

    fn optional_flag(&self, key: &str) -> Result<Option<bool>> {
        self.0.get_bool("core", key).map_err(RepoError::format("config"))
    }

    fn number(&self, key: &str, default: i64) -> Result<i64> {
        let value = self.0.get_int("core", key).map_err(RepoError::format("config"))?;
        Ok(value.unwrap_or(default))
    }

    fn seconds(&self, key: &str, default: i64) -> Result<Duration> {
        let number = self.number(key, default)?;
        match u64::try_from(number) {
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => refuse(key, &number.to_string(), "a negative number"),
        }
    }
}

fn refuse<T>(key: &str, value: &str, why: &str) -> Result<T> {
    Err(RepoError::invalid(
        format!("core.{key} in config"),
        format!("'{}': {why}", value.escape_debug()),
    ))
}

fn check_version(core: &Core<'_>) -> Result<()> {
    match core.text("repo_version")? {
        Some(version) if version.trim_ascii() == "1" => {}
        Some(version) => {
            return Err(RepoError::Unsupported {
                what: format!("repository version '{}'", version.escape_debug()),
            });
        }
        None => {
            return Err(RepoError::invalid("config", "core.repo_version is missing"));
        }
    }
    if core.flag("archive", false)? {
        let what = "core.archive=true, the archive mode before archive-z2".to_owned();
        return Err(RepoError::Unsupported { what });
    }
    Ok(())
}

/// The size wins over the percentage; both are checked.
fn payload_link_threshold(core: &Core<'_>) -> Result<u64> {
    let Some(text) = core.text("payload-link-threshold")? else {
        return Ok(u64::MAX);
    };
    let refused = |error| {
        let detail = format!("a number of bytes expected: {error}");
        RepoError::invalid("core.payload-link-threshold in config", detail)
    };
    text.trim()
        .parse()
        .map_err(|error: std::num::ParseIntError| refused(error))
}

fn min_free_space(core: &Core<'_>) -> Result<MinFreeSpace> {
    let percent = match core.text("min-free-space-percent")? {
        None => 3,
        Some(text) => match text.trim_ascii_end().parse() {
            Ok(percent @ 0..=99) if text.starts_with(|c: char| c.is_ascii_digit()) => percent,
            _ => return refuse("min-free-space-percent", &text, "a number from 0 to 99 expected"),
        },
    };
    match core.text("min-free-space-size")? {
        None => Ok(MinFreeSpace::Percent(percent)),
        Some(text) => match parse_size(&text) {
            Some(bytes) => Ok(MinFreeSpace::Bytes(bytes)),
            None => refuse(
                "min-free-space-size",
                &text,
                "a number with MB, GB or TB expected",
            ),
        },
    }
}

/// `^[0-9]+(M|G|T)B$`, powers of two.
fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let shift = match unit {
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// As libostree: zero is the default, more than 9 is 9.
fn zlib_level(file: &KeyFile) -> Result<u32> {
    let level = file
        .get_int("archive", "zlib-level")
        .map_err(RepoError::format("config"))?
        .unwrap_or(6);
    match u32::try_from(level) {
        Ok(0) => Ok(6),
        Ok(level) => Ok(level.min(9)),
        Err(_) => Err(RepoError::invalid(
            "archive.zlib-level in config",
            format!("'{level}': 1 to 9 expected"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lines: &str) -> Result<Config> {
        Config::parse(format!("[core]\nrepo_version=1\n{lines}\n").as_bytes())
    }

    #[test]
    fn missing_keys_have_the_defaults_of_libostree() {
        let config = config("").unwrap();
        assert_eq!(config.mode(), RepoMode::Bare);
        assert_eq!(config.collection_id(), None);
        assert_eq!(config.min_free_space(), MinFreeSpace::Percent(3));
        assert_eq!(config.lock_timeout(), Some(Duration::from_secs(300)));
        assert_eq!(config.tmp_expiry(), Duration::from_secs(86400));
        assert_eq!(config.zlib_level(), 6);
        assert!(config.fsync() && config.locking());
        assert!(!config.per_object_fsync() && !config.auto_update_summary() && !config.tombstone_commits());
        assert!(!config.disable_xattrs() && !config.indexed_deltas() && !config.no_deltas_in_summary());
        assert_eq!(config.parent(), None);
    }

    #[test]
    fn free_space_takes_a_size_before_a_percentage() {
        for (lines, expected) in [
            ("min-free-space-percent=0", MinFreeSpace::Percent(0)),
            ("min-free-space-percent=99", MinFreeSpace::Percent(99)),
            ("min-free-space-size=500MB", MinFreeSpace::Bytes(500 << 20)),
            ("min-free-space-size=2GB", MinFreeSpace::Bytes(2 << 30)),
            (
                "min-free-space-size=1TB\nmin-free-space-percent=5",
                MinFreeSpace::Bytes(1 << 40),
            ),
        ] {
            assert_eq!(config(lines).unwrap().min_free_space(), expected, "{lines}");
        }
    }

    #[test]
    fn aliases_and_special_numbers_are_understood() {
        assert!(
            config("commit-update-summary=true")
                .unwrap()
                .auto_update_summary()
        );
        let both = config("commit-update-summary=true\nauto-update-summary=false").unwrap();
        assert!(!both.auto_update_summary());
        assert_eq!(config("lock-timeout-secs=-1").unwrap().lock_timeout(), None);
        let once = config("lock-timeout-secs=0").unwrap();
        assert_eq!(once.lock_timeout(), Some(Duration::ZERO));
        assert_eq!(config("[archive]\nzlib-level=12").unwrap().zlib_level(), 9);
        assert_eq!(config("[archive]\nzlib-level=0").unwrap().zlib_level(), 6);
    }

    #[test]
    fn values_without_meaning_are_refused() {
        for bad in [
            "mode=fancy",
            "collection-id=nodots",
            "fsync=maybe",
            "min-free-space-percent=100",
            "min-free-space-percent=-1",
            "min-free-space-percent=+1",
            "min-free-space-percent=5%",
            "min-free-space-size=5",
            "min-free-space-size=MB",
            "min-free-space-size=5KB",
            "min-free-space-size=99999999999TB",
            "lock-timeout-secs=-2",
            "lock-timeout-secs=soon",
            "archive=true",
            "repo_version=2",
            "[archive]\nzlib-level=-1",
        ] {
            assert!(config(bad).is_err(), "{bad}");
        }
        assert!(Config::parse(b"[core]\nmode=bare\n").is_err());
        assert!(Config::parse(b"").is_err());
    }

    #[test]
    fn remotes_are_listed_with_their_collections() {
        let config =
            config("[remote \"up\"]\nurl=http://x\ncollection-id=org.example\n[remote \"-bad\"]").unwrap();
        let remotes = config.remotes();
        assert_eq!(remotes.len(), 1);
        let id = config.remote_collection_id(&remotes[0]).unwrap().unwrap();
        assert_eq!(id.as_str(), "org.example");
    }
}
