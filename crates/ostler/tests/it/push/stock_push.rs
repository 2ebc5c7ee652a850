//! The commands of the package ostree-push: ours beside stock's on the same input, and either at the far end of the other.

use crate::programs::{OSTLER, ostler};
use crate::publish_scene::{State, make_source};
use ostler_testkit::command::{attempt, command, describe, fail, run};
use ostler_testkit::gpg::GpgHome;
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::sshd::Sshd;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const STOCK_RECEIVE: &str = "/usr/bin/ostree-receive";
const STOCK_PUSH: &str = "/usr/bin/ostree-push";

/// A source with a summary, and two repositories: one that stock receives into, and one that we do.
struct Scene {
    directory: TempDir,
    source: StockRepo,
    stock: StockRepo,
    ours: StockRepo,
}

impl Scene {
    fn new(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = make_source(path);
        source.run(&["summary", "-u"]);
        fs::create_dir(path.join("root")).unwrap();
        let target = |name: &str| {
            let place = path.join("root").join(name);
            let mut init = command("ostree");
            init.arg(format!("--repo={}", place.display()));
            run(init.args(["init", "--mode=archive"]).args(options));
            StockRepo::open(&place)
        };
        let (stock, ours) = (target("stock"), target("ours"));
        Self {
            directory,
            source,
            stock,
            ours,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns a link of that name to our binary.
    fn link(&self, name: &str) -> PathBuf {
        let link = self.path().join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(OSTLER, &link).unwrap();
        }
        link
    }

    /// Changes both refs of the source, at a later time.
    fn advance(&self) {
        let tree = Tree::at(&self.path().join("tree"));
        tree.file("first", "other\n", 0o644);
        for name in ["os/a", "os/b"] {
            self.source
                .commit_with(name, tree.path(), &["--timestamp=@2000000000"]);
        }
        self.source.run(&["summary", "-u"]);
    }

    fn configure(&self, text: &str) {
        fs::write(self.path().join("receive.conf"), text).unwrap();
    }

    fn receive(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut receive = command(program.as_ref());
        receive
            .current_dir(self.path())
            .env("OSTREE_RECEIVE_CONF", "receive.conf")
            .args(arguments);
        receive
    }

    /// Lets stock and us receive with the same arguments, `REPO` and `URL` among them; returns how each ended.
    #[track_caller]
    fn both(&self, arguments: &[&str]) -> (Output, Output) {
        let url = format!("file://{}", self.source.path().display());
        let one = |program: PathBuf, repo: &StockRepo| {
            let words = arguments.iter().map(|word| match *word {
                "REPO" => repo.path().to_str().unwrap(),
                "URL" => url.as_str(),
                word => word,
            });
            attempt(&mut self.receive(program, &words.collect::<Vec<_>>()))
        };
        (
            one(PathBuf::from(STOCK_RECEIVE), &self.stock),
            one(self.link("ostree-receive"), &self.ours),
        )
    }

    /// Lets both receive, which must succeed, log the same and leave the same refs. Returns the log.
    #[track_caller]
    fn both_received(&self, arguments: &[&str]) -> String {
        let (stock, ours) = self.both(arguments);
        let log = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let lines = text
                .lines()
                .filter(|line| !line.contains("Updating repo metadata"));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert!(stock.status.success(), "{}", log(&stock));
        assert!(ours.status.success(), "{}", log(&ours));
        assert_eq!(log(&ours), log(&stock));
        let mut refs = [self.stock.path(), self.ours.path()].map(|path| State::of(path).refs);
        for refs in &mut refs {
            refs.remove("ostree-metadata");
        }
        assert_eq!(refs[1], refs[0]);
        assert_sound(self.ours.path());
        log(&ours)
    }
}

#[test]
fn what_we_receive_has_the_ids_that_it_has_where_stock_receives_it() {
    for options in [&[][..], &["--collection-id=org.example.Os"]] {
        let scene = Scene::new(options);
        scene.configure("");
        let tree = scene.path().join("tree");
        let metadata = ["version=1", "x.b=2", "x.a=3", "ostree.collection-binding=other"];
        let metadata = metadata.map(|pair| format!("--add-metadata-string={pair}"));
        let metadata: Vec<_> = metadata.iter().map(String::as_str).collect();
        scene.source.commit_with("os/c", &tree, &metadata);
        scene.source.run(&["summary", "-u"]);
        scene.both_received(&["REPO", "URL"]);
        assert_eq!(
            scene.source.refs(),
            scene
                .ours
                .refs()
                .into_iter()
                .filter(|name| name != "ostree-metadata")
                .collect::<Vec<_>>()
        );
        scene.advance();
        scene.both_received(&["REPO", "URL", "os/a", "os/b"]);
        let state = State::of(scene.ours.path());
        assert_eq!(state.summary, state.refs, "{options:?}");
        let log = scene.ours.run(&["log", "os/a"]);
        assert_eq!(log.matches("\ncommit ").count(), 1, "{log}");
        let metadata = scene.ours.refs().contains(&"ostree-metadata".to_owned());
        assert_eq!(metadata, !options.is_empty());
    }
}

#[test]
fn what_is_not_newer_or_has_the_same_tree_stays_unless_it_is_forced() {
    let scene = Scene::new(&[]);
    scene.configure("");
    let tree = scene.path().join("tree");
    // It does not stay as it is where it arrives.
    scene.source.commit_with("os/c", &tree, &["--bind-ref=other"]);
    scene.source.run(&["summary", "-u"]);
    scene.both_received(&["REPO", "URL"]);
    let before = State::of(scene.ours.path());
    let log = scene.both_received(&["REPO", "URL"]);
    assert!(log.contains("is not newer than current rev"), "{log}");
    assert!(log.contains("root equals"), "{log}");
    assert!(
        log.ends_with("INFO:otpush.receive:No refs need updating"),
        "{log}"
    );
    assert!(State::of(scene.ours.path()) == before);
    assert_eq!(
        scene.both_received(&["-q", "-n", "REPO", "URL"]).lines().count(),
        2
    );
    scene.both_received(&["--force", "REPO", "URL", "os/a"]);
    let after = State::of(scene.ours.path());
    assert_ne!(after.refs["os/a"], before.refs["os/a"]);
    assert_eq!(after.refs["os/b"], before.refs["os/b"]);
    scene.advance();
    scene.both_received(&["--dry-run", "REPO", "URL"]);
    assert!(State::of(scene.ours.path()) == after);
    assert_eq!(strays(scene.ours.path()), Vec::<String>::new());
}

#[test]
fn refs_that_are_made_where_they_are_do_not_come() {
    let scene = Scene::new(&[]);
    scene.configure("update: no\n");
    for name in ["appstream/x86_64", "appstream2/x86_64", "ostree-metadata"] {
        scene.source.run(&["refs", &format!("--create={name}"), "os/a"]);
    }
    scene.source.run(&["summary", "-u"]);
    scene.both_received(&["REPO", "URL"]);
    assert_eq!(scene.ours.refs(), ["os/a", "os/b"]);
    assert!(!scene.ours.path().join("summary").exists());
    let log = scene.both_received(&["REPO", "URL", "ostree-metadata"]);
    assert!(log.ends_with("No refs need updating"), "{log}");
}

#[test]
fn what_cannot_be_received_ends_as_in_stock_and_changes_nothing() {
    let scene = Scene::new(&[]);
    let root = format!("root: {}/root\n", scene.path().display());
    for (settings, arguments, status, told) in [
        (
            "",
            &["REPO", "URL", "none"][..],
            1,
            "Could not find ref none in summary file",
        ),
        ("", &["REPO", "file:///nowhere"], 1, ""),
        ("", &["REPO"], 2, "URL"),
        ("", &["--what", "REPO", "URL"], 2, "REPO"),
        (&root, &["../source", "URL"], 1, "repo ../source not found"),
        (&root, &["nowhere", "URL"], 1, ""),
        ("gpg_verify: yes\n", &["REPO", "URL"], 1, "no signatures found"),
        (
            "gpg_verify: 'yes'\n",
            &["REPO", "URL"],
            1,
            "gpg_verify must be an instance of <class 'bool'>",
        ),
        ("- a\n", &["REPO", "URL"], 1, "not a YAML mapping"),
        (
            "gpg_verify: yes\ngpg_trustedkeys: /nowhere\n",
            &["REPO", "URL"],
            1,
            "gpg_trustedkeys keyring \"/nowhere\" does not exist",
        ),
        (
            "sign_keyfiles: [/nowhere]\n",
            &["REPO", "URL"],
            1,
            "sign_keyfiles keyfile \"/nowhere\" does not exist",
        ),
    ] {
        scene.configure(settings);
        let (stock, ours) = scene.both(arguments);
        for (who, output) in [("stock", stock), ("ours", ours)] {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(status),
                "{who} {arguments:?}: {errors}"
            );
            let told = if who == "ours" && told.contains("is not") {
                "not a YAML mapping"
            } else {
                told
            };
            // Stock may be built without any engine that signs with files of keys.
            let is_told = errors.contains(told) || (who == "stock" && settings.contains("sign_keyfiles"));
            assert!(is_told, "{who} {arguments:?}: {errors}");
        }
        assert_eq!(scene.ours.refs(), Vec::<String>::new(), "{arguments:?}");
        assert_eq!(strays(scene.ours.path()), Vec::<String>::new());
    }
}

#[test]
fn hook_runs_in_place_of_the_summary_and_knows_what_came() {
    let scene = Scene::new(&[]);
    let hook = scene.path().join("hook");
    fs::write(
        &hook,
        "#!/bin/sh\nbasename \"$OSTREE_RECEIVE_REPO\" >\"$1\"\necho \"$OSTREE_RECEIVE_REFS\" >>\"$1\"\n",
    )
    .unwrap();
    scene.configure(&format!("update_hook: sh {} 'told it'\n", hook.display()));
    scene.both_received(&["REPO", "URL"]);
    let told = fs::read_to_string(scene.path().join("told it")).unwrap();
    assert_eq!(told, "ours\nos/a os/b\n");
    assert!(!scene.ours.path().join("summary").exists());
    scene.configure("update_hook: 'false'\n");
    let (stock, ours) = scene.both(&["--force", "REPO", "URL"]);
    assert_eq!((stock.status.code(), ours.status.code()), (Some(1), Some(1)));
    assert_eq!(
        State::of(scene.ours.path()).refs,
        State::of(scene.stock.path()).refs
    );
}

#[test]
fn what_is_made_is_signed_and_what_comes_must_be_where_that_is_asked_for() {
    let scene = Scene::new(&[]);
    let home = GpgHome::new();
    let key = home.make_key("release@example.org", "never");
    let keys = scene.path().join("keys.gpg");
    home.export(&keys, &[], &[]);
    let homedir = home.path().to_str().unwrap();
    scene.configure(&format!("gpg_sign: ['{key}']\ngpg_homedir: {homedir}\n"));
    scene.both_received(&["REPO", "URL"]);
    let client = StockRepo::init(&scene.path().join("client"), "archive");
    let import = format!("--gpg-import={}", keys.display());
    let url = format!("file://{}", scene.ours.path().display());
    client.run(&[
        "remote",
        "add",
        &import,
        "--set=gpg-verify-summary=true",
        "origin",
        &url,
    ]);
    client.run(&["pull", "origin", "os/a", "os/b"]);
    scene.configure(&format!(
        "gpg_verify: yes\ngpg_trustedkeys: {}\nupdate: no\n",
        keys.display()
    ));
    scene.advance();
    let before = State::of(scene.ours.path());
    let (stock, ours) = scene.both(&["REPO", "URL"]);
    assert_eq!((stock.status.code(), ours.status.code()), (Some(1), Some(1)));
    assert!(State::of(scene.ours.path()) == before);
    for name in ["os/a", "os/b"] {
        scene
            .source
            .run(&["gpg-sign", "--gpg-homedir", homedir, name, &key]);
    }
    scene.both_received(&["REPO", "URL"]);
    assert_ne!(State::of(scene.ours.path()).refs, before.refs);
}

/// A server with a key that may do all, and one that may receive into what lies below a root.
fn serve(scene: &Scene) -> Sshd {
    let path = scene.path().display();
    scene.configure(&format!("root: {path}/root\n"));
    let forced = format!(
        "restrict,port-forwarding,command=\"OSTREE_RECEIVE_CONF={path}/receive.conf {OSTLER} receive-shell --as=ci \
         --config={path}/receive.toml --ostree-receive\""
    );
    let rules = format!(
        "root = \"{path}/root\"\n[[allow]]\nwho = \"ci\"\nrefs = \"**\"\nmay = [\"create\", \"fast-forward\"]\n"
    );
    fs::write(scene.path().join("receive.toml"), rules).unwrap();
    Sshd::start_with(&[("all", ""), ("ci", &forced)])
}

/// Returns the options of ssh for a server and a key.
fn options(sshd: &Sshd, key: &str) -> Vec<String> {
    let mut options = vec![
        "-p".to_owned(),
        sshd.port().to_string(),
        "-i".to_owned(),
        sshd.key(key).display().to_string(),
    ];
    for option in sshd.options() {
        options.extend(["-o".to_owned(), option]);
    }
    options
}

/// Lets stock push with a key; returns whether that succeeded, and all that was printed. What stock leaves running, as it does now and then
/// with its ssh, goes.
fn stock_push(scene: &Scene, sshd: &Sshd, key: &str, arguments: &[&str]) -> (bool, String) {
    let printed = scene.path().join("printed");
    let file = fs::File::create(&printed).unwrap();
    let mut push = command(STOCK_PUSH);
    push.current_dir(scene.path())
        .args(options(sshd, key))
        .arg("--repo=source")
        .args(arguments)
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .process_group(0);
    let mut child = push.spawn().unwrap();
    let status = child.wait().unwrap();
    let mut kill = command("sh");
    kill.args(["-c", &format!("kill -- -{}", child.id())]);
    let _none_left = attempt(&mut kill);
    (status.success(), fs::read_to_string(printed).unwrap())
}

#[test]
fn stock_pushes_to_us_through_a_restricted_key() {
    let scene = Scene::new(&[]);
    let sshd = serve(&scene);
    let push = |arguments: &[&str]| {
        let (succeeded, printed) = stock_push(&scene, &sshd, "ci", arguments);
        assert!(succeeded, "{arguments:?}: {printed}");
    };
    push(&["127.0.0.1:ours"]);
    assert_eq!(scene.ours.refs(), ["os/a", "os/b"]);
    assert_sound(scene.ours.path());
    scene.advance();
    push(&["-n", "127.0.0.1:ours", "os/a"]);
    let before = State::of(scene.ours.path());
    push(&["127.0.0.1:ours", "os/a"]);
    let after = State::of(scene.ours.path());
    assert_ne!(after.refs["os/a"], before.refs["os/a"]);
    assert_eq!(after.refs["os/b"], before.refs["os/b"]);
    assert_eq!(after.summary, after.refs);
    assert_sound(scene.ours.path());
    assert_eq!(strays(scene.ours.path()), Vec::<String>::new());
    // Beyond the root there is nothing.
    let (succeeded, printed) = stock_push(&scene, &sshd, "ci", &["127.0.0.1:../source"]);
    assert!(
        !succeeded && printed.contains("repo ../source not found"),
        "{printed}"
    );
}

#[test]
fn key_of_a_restricted_shell_runs_receivers_and_nothing_else() {
    let scene = Scene::new(&[]);
    let sshd = serve(&scene);
    let ssh = |command_line: &[&str]| {
        let mut ssh = command("ssh");
        ssh.args(options(&sshd, "ci")).arg("127.0.0.1").args(command_line);
        fail(&mut ssh)
    };
    for (asked, told) in [
        (&["id"][..], "Executing id not allowed"),
        (&["ostree-receive;id"], "Executing ostree-receive;id not allowed"),
        (
            &["ostler", "receive", "--as=admin"],
            "is not for whoever pushes to say",
        ),
        (&["ostler", "refs"], "Executing ostler refs not allowed"),
        (&[], "there is no interactive login here"),
    ] {
        let errors = ssh(asked);
        assert!(errors.contains(told), "{asked:?}: {errors}");
    }
    let mut push = ostler(scene.path());
    push.args(["--repo=source", "push", "127.0.0.1:ours"])
        .args(options(&sshd, "ci"));
    run(&mut push);
    assert_eq!(scene.ours.rev_parse("os/a"), scene.source.rev_parse("os/a"));
    let history = run(ostler(scene.path()).arg("history").arg(scene.ours.path()));
    assert!(history.contains("ci (from 127.0.0.1)"), "{history}");
}

#[test]
fn login_shell_runs_receivers_and_nothing_else() {
    let scene = Scene::new(&[]);
    scene.configure("");
    let shell = scene.link("ostree-receive-shell");
    let line = format!(
        "ostree-receive 'root/ours' file://{}/source os/a",
        scene.path().display()
    );
    run(&mut scene.receive(&shell, &["-c", &line]));
    assert_eq!(scene.ours.refs(), ["os/a"]);
    for (arguments, told) in [
        (&[][..], "Cannot run interactively"),
        (&["-l"], "Must be run with no arguments or with -c cmd"),
        (&["-c", "id"], "Executing id not allowed"),
        (
            &["-c", "ostler receive --as=x"],
            "is not for whoever pushes to say",
        ),
    ] {
        let mut ours = scene.receive(&shell, arguments);
        let output = attempt(&mut ours);
        assert_eq!(output.status.code(), Some(1), "{}", describe(&ours, &output));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(told), "{errors}");
        let stock = attempt(&mut scene.receive("/usr/bin/ostree-receive-shell", arguments));
        assert_eq!(stock.status.code(), Some(1));
    }
    let mut login = scene.receive(&shell, &[]);
    login.arg0("-ostree-receive-shell");
    assert!(fail(&mut login).contains("Cannot run interactively"));
}

#[test]
fn receivers_at_the_same_time_lose_nothing() {
    let scene = Scene::new(&[]);
    scene.configure("");
    let tree = Tree::at(&scene.path().join("tree"));
    let names: Vec<_> = (0..6).map(|number| format!("os/ref{number}")).collect();
    for name in &names {
        tree.file("own", format!("{name}\n"), 0o644);
        scene.source.commit(name, tree.path());
    }
    scene.source.run(&["summary", "-u"]);
    let url = format!("file://{}", scene.source.path().display());
    let program = scene.link("ostree-receive");
    let receives: Vec<_> = names
        .iter()
        .map(|name| {
            let mut receive = scene.receive(&program, &["root/ours", &url, name]);
            receive.stderr(std::process::Stdio::piped());
            receive.spawn().unwrap()
        })
        .collect();
    for receive in receives {
        let output = receive.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(scene.ours.refs(), names);
    let state = State::of(scene.ours.path());
    assert_eq!(state.summary, state.refs);
    assert_sound(scene.ours.path());
}

#[test]
fn we_push_to_stock_and_to_us_and_both_make_the_same_of_it() {
    let scene = Scene::new(&[]);
    let sshd = serve(&scene);
    let program = scene.link("ostree-push");
    let push = |key: &str, arguments: &[&str]| {
        let mut push = command(&program);
        push.current_dir(scene.path()).args(options(&sshd, key));
        push.arg("--repo=source").args(arguments);
        push
    };
    let at_stock = format!("127.0.0.1:{}", scene.stock.path().display());
    let at_stock = at_stock.as_str();
    for arguments in [&["os/a"][..], &[], &["-n"], &["os/b"]] {
        if arguments == ["-n"] {
            scene.advance();
        }
        run(push("all", &[at_stock]).args(arguments));
        run(push("ci", &["127.0.0.1:ours"]).args(arguments));
        let refs = [&scene.stock, &scene.ours].map(|repo| State::of(repo.path()).refs);
        assert_eq!(refs[0], refs[1], "{arguments:?}");
        let count = if arguments == ["os/a"] { 1 } else { 2 };
        assert_eq!(refs[0].len(), count);
    }
    assert_eq!(scene.ours.run(&["log", "os/b"]).matches("commit ").count(), 2);
    scene.stock.fsck();
    assert_sound(scene.ours.path());
    // What nobody asks for does not change: the source has the summary that it had.
    let told = fail(&mut push("all", &["127.0.0.1:nowhere", "os/none", "os/a"]));
    assert!(told.contains("Refs os/none not found in "), "{told}");
    let told = fail(&mut push("all", &["127.0.0.1:/nowhere/$(touch x)"]));
    assert!(told.contains("/nowhere/$(touch x)"), "{told}");
    let mut bare = push("all", &["directory"]);
    assert_eq!(attempt(&mut bare).status.code(), Some(2));
}

#[test]
fn push_leaves_the_source_and_no_process_behind() {
    let scene = Scene::new(&[]);
    let sshd = serve(&scene);
    fs::remove_file(scene.source.path().join("summary")).unwrap();
    let before = State::of(scene.source.path());
    let mut push = command(scene.link("ostree-push"));
    push.current_dir(scene.path()).args(options(&sshd, "ci"));
    push.args(["--repo=source", "127.0.0.1:ours"]).process_group(0);
    let mut child = push.spawn().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(State::of(scene.source.path()) == before);
    assert_eq!(scene.ours.refs(), ["os/a", "os/b"]);
    let mut left = command("sh");
    left.args(["-c", &format!("kill -0 -- -{}", child.id())]);
    fail(&mut left);
}
