//! `static-delta` as a user calls it, and the deltas that a publish makes.

mod faults;
mod interop;

use crate::programs::{link, ostler};
use crate::publish_scene::{advance, make_source};
use crate::signatures::make_key;
use ostler_format::signatures::encode_base64;
use ostler_testkit::command::{attempt, command, fail, run};
use ostler_testkit::nginx::Nginx;
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Makes an archive repository `repo` with two versions of a tree on `main`.
fn two_versions(root: &Path) -> StockRepo {
    let stock = StockRepo::init(&root.join("repo"), "archive");
    stock.run(&["config", "set", "core.fsync", "false"]);
    let tree = Tree::at(&root.join("tree"));
    let program = Random::new(1).bytes(40_000);
    tree.file("usr/bin/program", &program, 0o755)
        .file("usr/share/text", Random::new(2).text(20_000), 0o644)
        .symlink("usr/bin/link", "program");
    stock.commit("main", tree.path());
    let mut changed = program;
    changed.splice(100..100, *b"put in");
    tree.file("usr/bin/program", &changed, 0o755)
        .file("etc/new", Random::new(3).text(5000), 0o644);
    stock.commit("main", tree.path());
    stock
}

/// What `show` prints but for the time of making and what differs with the form that files go in.
fn comparable(shown: &str) -> Vec<&str> {
    let varying = [
        "Timestamp",
        "PartMeta",
        "PartPayload",
        "Total Part Size",
        "Total Size",
    ];
    shown
        .lines()
        .filter(|line| !varying.iter().any(|start| line.starts_with(start)))
        .collect()
}

#[test]
fn what_is_printed_is_what_stock_prints() {
    let root = TempDir::new().unwrap();
    let stock = two_versions(root.path());
    let (from, to) = (stock.rev_parse("main^"), stock.rev_parse("main"));
    let name = format!("{from}-{to}");
    let ours = |arguments: &[&str]| {
        let mut command = command(link(root.path()));
        command.current_dir(root.path());
        command.args(["--repo=repo", "static-delta"]).args(arguments);
        command
    };
    assert_eq!(run(&mut ours(&["list"])), "(No static deltas)\n");
    assert_eq!(run(&mut ours(&["indexes"])), "(No static deltas indexes)\n");
    let generating = format!("Generating static delta:\n  From: {from}\n  To:   {to}\n");
    assert_eq!(run(&mut ours(&["generate", "main"])), generating);
    assert_eq!(
        run(&mut ours(&["generate", "-n", "main"])),
        format!("Delta {name} already exists.\n")
    );
    assert_eq!(
        run(&mut ours(&["generate", "-n", "--to=main", "extra"])),
        format!("Delta {name} already exists.\n")
    );
    assert_eq!(run(&mut ours(&["list"])), stock.run(&["static-delta", "list"]));
    let shown = run(&mut ours(&["show", &name]));
    assert_eq!(shown, stock.run(&["static-delta", "show", &name]));
    stock.run(&["static-delta", "generate", "main"]);
    assert_eq!(comparable(&shown), comparable(&run(&mut ours(&["show", &name]))));
    run(&mut ours(&["reindex"]));
    assert_eq!(run(&mut ours(&["indexes"])), format!("{to}\n"));
    assert_eq!(stock.run(&["config", "get", "core.indexed-deltas"]), "true\n");
    run(&mut ours(&["delete", &name]));
    assert_eq!(run(&mut ours(&["indexes"])), "(No static deltas indexes)\n");
    for arguments in [
        &["show", "GARBAGE"][..],
        &["delete", "GARBAGE"],
        &["delete", &to],
        &["generate"],
        &["generate", "--empty", "--from=main", "main"],
    ] {
        let told = |text: String| text.lines().last().map(str::to_owned);
        let mut stocks = vec!["static-delta"];
        stocks.extend(arguments);
        assert_eq!(
            told(fail(&mut ours(arguments))),
            told(stock.fail(&stocks)),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_signed_delta_is_checked_before_it_is_applied() {
    let root = TempDir::new().unwrap();
    let stock = two_versions(root.path());
    let (from, to) = (stock.rev_parse("main^"), stock.rev_parse("main"));
    let name = format!("{from}-{to}");
    // The seed and the public key of a test vector of RFC 8032.
    let secret = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    let public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let other = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
    let ours = |arguments: &[&str]| {
        let mut command = ostler(root.path());
        command.args(["--repo=repo", "static-delta"]).args(arguments);
        command
    };
    run(&mut ours(&[
        "generate",
        "--filename=plain.delta",
        "--inline",
        "main",
    ]));
    fs::write(root.path().join("secret"), secret).unwrap();
    run(&mut ours(&[
        "generate",
        "--filename=signed.delta",
        "--inline",
        "--keys-file=secret",
        "main",
    ]));
    for (file, key, verified) in [
        ("./signed.delta", public, true),
        ("./signed.delta", other, false),
        ("./plain.delta", public, false),
    ] {
        let done = attempt(&mut ours(&["verify", file, key]));
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.success(), verified, "{file} {key}");
        let verdict = if verified {
            "Verification OK\n"
        } else {
            "Verification fails\n"
        };
        assert_eq!(printed, verdict, "{file} {key}");
    }
    let client = StockRepo::init(&root.path().join("client"), "bare-user");
    client.run(&["pull-local", stock.path().to_str().unwrap(), &from]);
    let apply = |arguments: &[&str]| {
        let mut command = ostler(root.path());
        command
            .args(["--repo=client", "static-delta", "apply-offline"])
            .args(arguments);
        command
    };
    fail(&mut apply(&["signed.delta", other]));
    fail(&mut apply(&["plain.delta", public]));
    client.run(&["config", "set", "core.sign-verify-deltas", "true"]);
    let told = fail(&mut apply(&["signed.delta"]));
    assert!(
        told.contains("Key is mandatory to check delta signature"),
        "{told}"
    );
    assert!(
        !client.attempt(&["show", &to]).status.success(),
        "nothing was applied"
    );
    let mut damaged = fs::read(root.path().join("signed.delta")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(root.path().join("damaged.delta"), damaged).unwrap();
    fail(&mut apply(&["damaged.delta", public]));
    run(&mut apply(&["signed.delta", public]));
    client.run(&["refs", "--create=main", &to]);
    client.fsck();
    assert!(
        stock
            .run(&["static-delta", "list"])
            .contains("(No static deltas)"),
        "{name}"
    );
}

#[test]
fn a_command_signs_a_delta_whose_key_lives_elsewhere() {
    let root = TempDir::new().unwrap();
    two_versions(root.path());
    let ours = |arguments: &[&str]| {
        let mut command = ostler(root.path());
        command.args(["--repo=repo", "static-delta"]).args(arguments);
        command
    };
    let (secret, _) = make_key(root.path(), "key", &["ed25519"]);
    // openssl reads what it signs from a file that it can see the size of.
    let sign = format!(
        "--sign-command=ed25519=cat >bytes; openssl pkeyutl -sign -rawin -inkey {} -in bytes",
        secret.display()
    );
    run(&mut ours(&[
        "generate",
        "--inline",
        "--filename=signed.delta",
        &sign,
        "main",
    ]));
    let der = root.path().join("public.der");
    run(command("openssl")
        .args(["pkey", "-pubout", "-outform", "DER", "-in"])
        .arg(&secret)
        .arg("-out")
        .arg(&der));
    // The last 32 bytes of the 44 are the key.
    let public = encode_base64(&fs::read(der).unwrap()[12..]);
    let printed = run(&mut ours(&["verify", "./signed.delta", &public]));
    assert_eq!(printed, "Verification OK\n");

    let refused = attempt(&mut ours(&["generate", "--sign-command=gpg=true", "main"]));
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn deltas_that_are_asked_for_appear_with_the_publish() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    let publish = |options: &[&str]| {
        let mut command = ostler(root.path());
        command.args(["--repo=source", "publish", "target"]).args(options);
        run(&mut command)
    };
    publish(&[]);
    let reference = source.refs().first().unwrap().clone();
    let old = source.rev_parse(&reference);
    advance(&source, root.path());
    let new = source.rev_parse(&reference);
    let wanted = format!("--deltas={reference}:2");
    let planned = publish(&["--dry-run", &wanted, &format!("--empty-deltas={reference}")]);
    for name in [&format!("{old}-{new}"), &new] {
        assert!(
            planned.contains(&format!("  make static delta {name}\n")),
            "{planned}"
        );
    }
    assert_eq!(source.run(&["static-delta", "list"]), "(No static deltas)\n");
    publish(&["--summary=generate", &wanted]);
    let planned = publish(&["--dry-run", &wanted]);
    assert!(!planned.contains("make static delta"), "{planned}");
    let target = StockRepo::open(&root.path().join("target"));
    let listed = target.run(&["static-delta", "list"]);
    assert!(listed.contains(&format!("{old}-{new}")), "{listed}");
    assert!(target.run(&["static-delta", "indexes"]).contains(&new));
    let server = Nginx::serve(target.path());
    let client = StockRepo::init(&root.path().join("client"), "bare-user");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);
    client.run(&["pull", "origin", &format!("{reference}@{old}")]);
    server.forget_requests();
    client.run(&["pull", "--require-static-deltas", "origin", &reference]);
    assert_eq!(client.rev_parse(&format!("origin:{reference}")), new);
    client.fsck();
    let requests = server.requests();
    assert!(
        requests.iter().any(|line| line.contains("/superblock")),
        "{requests:?}"
    );

    // The policy of the target asks for them as well.
    fs::write(
        target.path().join("extensions/ostler/policy.toml"),
        "[[rule]]\nrefs = \"**\"\ndeltas = 1\ndeltas-from-nothing = true\n",
    )
    .unwrap();
    advance(&source, root.path());
    let newest = source.rev_parse(&reference);
    publish(&["--summary=generate"]);
    let listed = target.run(&["static-delta", "list"]);
    assert!(listed.contains(&format!("{new}-{newest}")), "{listed}");
    assert!(listed.lines().any(|line| line == newest), "{listed}");
}
