//! Two small repositories, a publish between them, and what must be true of both whatever happens to it.
//!
//! The state of the target is read from its files and compared with what an uninterrupted publish makes; which
//! objects a commit needs is stock ostree's word. So a check costs no more than reading some twenty files, and every
//! point of a fault matrix is checked in full.

use crate::programs::ostler;
use ostler_format::Summary;
use ostler_testkit::command::run;
use ostler_testkit::oracle::{objects_of, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Refs and the commits that they name.
pub(crate) type Refs = BTreeMap<String, String>;

/// What readers of a repository find.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) refs: Refs,
    /// The refs that the summary lists.
    pub(crate) summary: Refs,
    /// Every file below `objects/`, by its path there.
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
}

impl State {
    /// Reads a repository; where there is none (yet), nothing.
    #[track_caller]
    pub(crate) fn of(repo: &Path) -> Self {
        let refs = files_below(&repo.join("refs/heads"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a ref").trim_end().to_owned();
        let summary = fs::read(repo.join("summary")).map_or_else(
            |_| BTreeMap::new(),
            |bytes| {
                let summary = Summary::parse(&bytes).expect("a whole summary");
                let listed = summary.all_refs().expect("valid names");
                listed
                    .into_iter()
                    .map(|(name, commit)| (name.to_string(), commit.to_string()))
                    .collect()
            },
        );
        Self {
            refs: refs
                .into_iter()
                .map(|(name, bytes)| (name, text(bytes)))
                .collect(),
            summary,
            objects: files_below(&repo.join("objects")),
        }
    }
}

/// A source, perhaps a target that was published to before, and what publishing once more makes of it.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    root: PathBuf,
    options: Vec<&'static str>,
    /// The objects of every commit, by stock's word, as paths below `objects/`.
    needs: BTreeMap<String, BTreeSet<String>>,
    /// The target before, and after an uninterrupted run.
    pub(crate) before: State,
    pub(crate) after: State,
    source: State,
}

impl Scene {
    /// A source with two refs and no target, in a directory that is there.
    pub(crate) fn first(root: &Path, options: &[&'static str]) -> Self {
        make_source(root);
        Self::of(root, options)
    }

    /// A source with a target that was published to, after which two refs moved, one was deleted and the detached
    /// metadata of a commit that stays was changed.
    pub(crate) fn second(root: &Path, options: &[&'static str]) -> Self {
        let source = make_source(root);
        source.run(&["refs", "--create=os/gone", "os/a"]);
        note(&source, "os/a", "first");
        publish_in(root, "before", &["--copy"]);
        advance(&source, root);
        source.run(&["refs", "--delete", "os/gone"]);
        note(&source, "os/a^", "second");
        let options = [&["--delete-refs"], options].concat();
        Self::of(root, &options)
    }

    fn of(root: &Path, options: &[&'static str]) -> Self {
        let mut scene = Self {
            root: root.to_owned(),
            options: options.to_vec(),
            needs: BTreeMap::new(),
            before: State::default(),
            after: State::default(),
            source: State::default(),
        };
        scene.before = State::of(&scene.pristine());
        scene.source = State::of(&scene.source());
        scene.reset();
        let _printed = run(&mut scene.publish());
        scene.after = State::of(&scene.target());
        let commits = scene.before.refs.values().chain(scene.after.refs.values());
        for commit in commits {
            let needed = objects_of(&scene.target(), commit);
            scene.needs.insert(commit.clone(), needed);
        }
        assert_ne!(scene.before, scene.after, "there is something to publish");
        scene.assert_converged("uninterrupted");
        scene
    }

    /// Returns the same scene in a copy of its directory.
    pub(crate) fn copied_to(&self, root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.path().join("source")
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.path().join("target")
    }

    fn pristine(&self) -> PathBuf {
        self.path().join("before")
    }

    /// Returns the publish, with one thread: faults are counted for each thread by itself.
    pub(crate) fn publish(&self) -> Command {
        let mut command = ostler(self.path());
        command.args(["--repo=source", "publish", "target", "--jobs=1"]);
        command.args(&self.options);
        command
    }

    /// Puts the target back to what it was before.
    pub(crate) fn reset(&self) {
        remove(&self.target());
        if self.pristine().exists() {
            copy_tree(&self.pristine(), &self.target());
        }
    }

    /// Asserts what holds at every instant: whatever a ref or the summary of the target names is there, byte for
    /// byte, and the source is what it was.
    #[track_caller]
    pub(crate) fn assert_sound(&self, context: &str) -> State {
        let state = State::of(&self.target());
        for (name, commit) in state.refs.iter().chain(&state.summary) {
            let needed = self.needs.get(commit);
            let needed = needed.unwrap_or_else(|| panic!("{context}: '{name}' names unknown {commit}"));
            for path in needed {
                assert_eq!(
                    state.objects.get(path),
                    self.after.objects.get(path),
                    "{context}: '{name}' needs {path}"
                );
            }
        }
        assert_eq!(
            State::of(&self.source()),
            self.source,
            "{context}: the source changed"
        );
        state
    }

    /// Asserts that the refs are all old or all new, after the next command if a flip was cut short. The command is
    /// one that only reads.
    #[track_caller]
    pub(crate) fn assert_all_or_nothing(&self, context: &str) {
        if self.target().join("extensions/ostler/flip/intent").exists() {
            let _printed = run(ostler(self.path()).args(["--repo=target", "refs"]));
            let refs = self.assert_sound(context).refs;
            assert_eq!(refs, self.after.refs, "{context}: a flip that began is completed");
        }
        let refs = State::of(&self.target()).refs;
        assert!(
            refs == self.before.refs || refs == self.after.refs,
            "{context}: some refs are old and some new: {refs:?}"
        );
    }

    /// Asserts that both repositories are as an uninterrupted run leaves them, and that no stray file is left.
    #[track_caller]
    pub(crate) fn assert_converged(&self, context: &str) {
        let state = self.assert_sound(context);
        assert_eq!(state, self.after, "{context}");
        for repo in [self.source(), self.target()] {
            assert_eq!(
                strays(&repo),
                Vec::<String>::new(),
                "{context}: strays in {}",
                repo.display()
            );
        }
    }

    /// Publishes again, and asserts that this completes what was cut short.
    #[track_caller]
    pub(crate) fn assert_next_publish_converges(&self, context: &str) {
        let mut publish = self.publish();
        let output = publish.output().expect("our binary");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{context}: the next publish failed: {errors}"
        );
        self.assert_converged(context);
    }
}

/// Makes `source`, an archive repository with refs `os/a` and `os/b`, and the tree `tree` that it was made from.
pub(crate) fn make_source(directory: &Path) -> StockRepo {
    let source = StockRepo::init(&directory.join("source"), "archive");
    let tree = Tree::at(&directory.join("tree"));
    tree.file("first", "one\n", 0o644)
        .file("sub/second", "two\n", 0o755);
    source.commit("os/a", tree.path());
    tree.symlink("link", "first");
    source.commit("os/b", tree.path());
    source
}

/// Commits a change to both refs.
pub(crate) fn advance(source: &StockRepo, directory: &Path) {
    let tree = Tree::at(&directory.join("tree"));
    tree.file("first", "other\n", 0o644);
    source.commit("os/b", tree.path());
    tree.remove("link");
    source.commit("os/a", tree.path());
}

/// Gives a commit detached metadata in place of what it has.
fn note(source: &StockRepo, revision: &str, text: &str) {
    let mut dict = ostler_format::gvariant::VarDict::new();
    dict.insert("note", ostler_format::gvariant::Value::Str(text.to_owned()));
    let commit = source.rev_parse(revision);
    let (first, rest) = commit.split_at(2);
    let path = source.path().join(format!("objects/{first}/{rest}.commitmeta"));
    fs::write(path, dict.to_bytes()).expect("our own repository");
}

fn publish_in(directory: &Path, target: &str, options: &[&str]) {
    let publish = ["--repo=source", "publish", target, "--jobs=1"];
    let _printed = run(ostler(directory).args(publish).args(options));
}

/// Gives the source a summary, and a signature over it that only has to look like one.
pub(crate) fn sign(source: &StockRepo, text: &str) {
    source.run(&["summary", "-u"]);
    fs::write(source.path().join("summary.sig"), text).unwrap();
}

/// Returns the bytes of all files below a directory, by their paths there; nothing where it is not.
pub(crate) fn files_below(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![String::new()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(root.join(&directory)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.expect("a directory just opened");
            let name = entry.file_name().into_string().expect("a plain name");
            let path = if directory.is_empty() {
                name
            } else {
                format!("{directory}/{name}")
            };
            if entry.file_type().expect("an entry just seen").is_dir() {
                pending.push(path);
            } else {
                let bytes = fs::read(root.join(&path)).expect("a file just seen");
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// Copies a directory, files by their bytes and names only.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a directory just opened");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("an entry just seen").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file just seen");
        }
    }
}

fn remove(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
        _ => {}
    }
}
