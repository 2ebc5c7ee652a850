//! Asking the owner's programs about a push, and telling them of it.
//!
//! `pre-receive` and `update` run when all that was pushed is in quarantine, nothing is locked, and no ref has moved. What they are
//! told is what happens or nothing does: each ref moves from the value that they were told, or the push is refused. `post-receive` runs
//! when the refs have moved, and changes nothing about that. Beside what they are given they see no variable of ours.

use super::ReceiveOptions;
use super::child::{Call, Fault};
use super::rules::HookProgram;
use crate::error::{Refusal, Result, TransferError};
use ostler_format::wire::Update;
use ostler_format::{Checksum, RefName};
use ostler_repo::{Repo, RepoError};
use std::ffi::OsString;
use std::fs::{canonicalize, metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// What stands for no commit.
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where hooks look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What hooks are asked about.
pub(super) struct Matter<'a> {
    options: &'a ReceiveOptions<'a>,
    repository: PathBuf,
    updates: Vec<&'a Update>,
    tell: &'a dyn Fn(&str),
}

/// How a hook thinks of it.
enum Answer {
    Yes,
    /// With how it ended, and what it said last.
    No(String),
}

/// Checks that the hooks can be run, before anything is sent.
pub(super) fn check(options: &ReceiveOptions<'_>) -> Result<()> {
    match problems(options.rules).into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(TransferError::Denied(format!(
            "nothing can be pushed here: {problem}"
        ))),
    }
}

/// Returns what is wrong with the hooks.
pub(super) fn problems(rules: &super::ReceiveRules) -> Vec<String> {
    let problem = |(name, program): (&str, &HookProgram)| {
        let path = program.path.display();
        match metadata(&program.path) {
            Err(error) => Some(format!("the {name} hook {path}: {error}")),
            Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
                Some(format!("the {name} hook {path} is no program"))
            }
            Ok(_) => None,
        }
    };
    rules.hooks().all().filter_map(problem).collect()
}

impl<'a> Matter<'a> {
    pub(super) fn new(
        options: &'a ReceiveOptions<'a>,
        repo: &Repo,
        updates: &'a [Update],
        tell: &'a dyn Fn(&str),
    ) -> Result<Self> {
        Ok(Self {
            options,
            repository: absolute(repo)?,
            updates: updates.iter().filter(|update| update.old != update.new).collect(),
            tell,
        })
    }

    /// Lets `pre-receive` judge the push, and `update` each ref.
    pub(super) fn judge(&self, quarantine: &Repo) -> Result<()> {
        let hooks = self.options.rules.hooks();
        if self.updates.is_empty() || (hooks.pre_receive.is_none() && hooks.update.is_none()) {
            return Ok(());
        }
        let place = ("OSTLER_QUARANTINE", absolute(quarantine)?.into_os_string());
        let mut refusals = Vec::new();
        if let Some(program) = &hooks.pre_receive {
            let answer = self.ask(("pre-receive", program), &[], self.lines(), Some(place.clone()))?;
            if let Answer::No(why) = answer {
                let refused = self.updates.iter().map(|update| refusal(&update.name, &why));
                return Err(TransferError::Refused(refused.collect()));
            }
        }
        if let Some(program) = &hooks.update {
            for update in &self.updates {
                let [old, new] = [update.old, update.new].map(written);
                let arguments = [update.name.as_str(), &old, &new];
                let answer = self.ask(("update", program), &arguments, Vec::new(), Some(place.clone()))?;
                if let Answer::No(why) = answer {
                    refusals.push(refusal(&update.name, &why));
                }
            }
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(TransferError::Refused(refusals))
        }
    }

    /// Tells `post-receive` of refs that have moved. What it does not do is told, and nothing else.
    pub(super) fn report(&self, generation: u64) {
        let Some(program) = &self.options.rules.hooks().post_receive else {
            return;
        };
        let number = ("OSTLER_GENERATION", OsString::from(generation.to_string()));
        match self.ask(("post-receive", program), &[], self.lines(), Some(number)) {
            Ok(Answer::Yes) => {}
            Ok(Answer::No(why)) => (self.tell)(&format!("the refs have moved; {why}")),
            Err(error) => (self.tell)(&format!("the refs have moved; {error}")),
        }
    }

    fn ask(
        &self,
        (name, program): (&'static str, &HookProgram),
        arguments: &[&str],
        input: Vec<u8>,
        more: Option<(&'static str, OsString)>,
    ) -> Result<Answer> {
        let mut environment = self.environment(name);
        environment.extend(more);
        let limit = self.options.rules.hooks().limit;
        let call = Call {
            program,
            arguments,
            environment: &environment,
            directory: &self.repository,
            input,
            limit,
            interrupted: self.options.interrupted,
        };
        let mut last = String::new();
        let ended = call.run(&mut |line| {
            (self.tell)(line);
            if !line.trim().is_empty() {
                line.trim().clone_into(&mut last);
            }
        });
        let failed = |how: String| {
            let path = program.path.display();
            TransferError::Denied(format!("the {name} hook {path} {how}"))
        };
        match ended {
            Ok(status) if status.success() => Ok(Answer::Yes),
            Ok(status) if last.is_empty() => Ok(Answer::No(format!("the {name} hook ended with {status}"))),
            Ok(status) => Ok(Answer::No(format!("the {name} hook ended with {status}: {last}"))),
            Err(Fault::System(error)) => Err(failed(format!("cannot be run: {error}"))),
            Err(Fault::TooLong) => Err(failed(format!("took more than {} s", limit.as_secs()))),
            Err(Fault::Interrupted) => Err(TransferError::Interrupted),
        }
    }

    fn environment(&self, name: &'static str) -> Vec<(&'static str, OsString)> {
        let around = self.options.around;
        let names: Vec<_> = self.updates.iter().map(|update| update.name.as_str()).collect();
        let mut environment: Vec<(&'static str, OsString)> = vec![
            ("PATH", PATH.into()),
            ("LC_ALL", "C.UTF-8".into()),
            ("OSTREE_RECEIVE_REPO", self.repository.clone().into()),
            ("OSTREE_RECEIVE_REFS", names.join(" ").into()),
            ("OSTLER_HOOK", name.into()),
            ("OSTLER_PUSHER", self.options.pusher.into()),
            ("OSTLER_REMOTE", around.address.clone().unwrap_or_default().into()),
        ];
        environment.extend(around.home.clone().map(|home| ("HOME", home.into())));
        environment
    }

    /// Returns a line for each ref: `OLD NEW REF`.
    fn lines(&self) -> Vec<u8> {
        let line = |update: &&Update| {
            let [old, new] = [update.old, update.new].map(written);
            format!("{old} {new} {}\n", update.name)
        };
        self.updates.iter().map(line).collect::<String>().into_bytes()
    }
}

fn refusal(name: &RefName, why: &str) -> Refusal {
    Refusal {
        reference: name.to_string(),
        reason: format!("may not move: {why}"),
        yields_to_force: false,
    }
}

fn written(commit: Option<Checksum>) -> String {
    commit.map_or_else(|| NONE.to_owned(), |commit| commit.to_string())
}

fn absolute(repo: &Repo) -> Result<PathBuf> {
    Ok(canonicalize(repo.path()).map_err(RepoError::io("look at", repo.path()))?)
}
