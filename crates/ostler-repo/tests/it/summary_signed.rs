//! Signed summaries: the pair fits, whoever writes it, and fits with what clients have of before.

use ostler_format::signatures::encode_base64;
use ostler_format::{Checksum, parse_detached, signatures};
use ostler_repo::sign::{Engine, Interruption, PublicKeys, Signer};
use ostler_repo::{Repo, SummaryOptions, commit_metadata, update_summary};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::path::Path;
use tempfile::TempDir;

/// A pair of keys of RFC 8032.
const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn base64(hex: &str) -> String {
    encode_base64(Checksum::from_hex(hex).expect("32 bytes").as_bytes())
}

fn ed25519() -> Signer {
    Signer::from_secret(Engine::Ed25519, &base64(SECRET)).expect("a key")
}

/// Checks bytes against the signatures of ed25519 in a file, as clients do.
fn fits(bytes: &[u8], file: &[u8]) -> bool {
    let mut keys = PublicKeys::new(Engine::Ed25519);
    keys.add(base64(PUBLIC)).expect("a key");
    let file = parse_detached(file).expect("signatures");
    let found = signatures(&file, Engine::Ed25519.key()).expect("a list");
    keys.check(bytes, &found).is_ok()
}

fn repository() -> (TempDir, Repo, StockRepo) {
    let dir = tempfile::tempdir().expect("a directory");
    let stock = StockRepo::init(&dir.path().join("repo"), "archive");
    stock.commit(
        "main",
        Tree::at(&dir.path().join("tree")).file("a", "a", 0o644).path(),
    );
    (dir, Repo::open(stock.path()).expect("a repository"), stock)
}

fn options(now: u64, signers: Vec<Signer>) -> SummaryOptions {
    SummaryOptions {
        now,
        signers,
        ..SummaryOptions::default()
    }
}

fn pair(repo: &Path) -> (Vec<u8>, Vec<u8>) {
    let read = |name| std::fs::read(repo.join(name)).expect("a summary");
    (read("summary"), read("summary.sig"))
}

#[test]
fn new_signatures_fit_the_summary_before_as_well() {
    let (_dir, repo, stock) = repository();
    let mut former: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for now in 1..=12 {
        update_summary(&repo, &options(now, vec![ed25519()])).unwrap();
        let (summary, signature) = pair(stock.path());
        assert!(fits(&summary, &signature));
        for (summary, _) in former.iter().rev().take(8) {
            assert!(fits(summary, &signature), "caches may hold it");
        }
        assert!(!fits(b"other", &signature));
        assert!(former.iter().all(|(_, old)| *old != signature));
        former.push((summary, signature));
    }
    stock.run(&["summary", "-v"]);
}

#[test]
fn without_a_signer_the_signature_goes_and_times_rise() {
    let (_dir, repo, stock) = repository();
    let time = |name: &str| {
        std::os::unix::fs::MetadataExt::mtime(&std::fs::metadata(stock.path().join(name)).expect("a file"))
    };
    update_summary(&repo, &options(1, vec![ed25519()])).unwrap();
    let mut before = (time("summary"), time("summary.sig"));
    for now in 2..5 {
        update_summary(&repo, &options(now, vec![ed25519()])).unwrap();
        let after = (time("summary"), time("summary.sig"));
        assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
        before = after;
    }
    update_summary(&repo, &options(5, Vec::new())).unwrap();
    assert!(!stock.path().join("summary.sig").exists());
    assert!(time("summary") > before.0);
}

#[test]
fn writers_at_once_leave_a_pair_that_fits() {
    let (_dir, _repo, stock) = repository();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = stock.path();
            scope.spawn(move || {
                let repo = Repo::open(path).expect("a repository");
                for round in 0..5 {
                    update_summary(&repo, &options(writer * 100 + round, vec![ed25519()])).unwrap();
                }
            });
        }
    });
    let (summary, signature) = pair(stock.path());
    assert!(fits(&summary, &signature));
}

#[test]
fn what_a_signer_refuses_changes_nothing() {
    let (_dir, repo, stock) = repository();
    update_summary(&repo, &options(1, vec![ed25519()])).unwrap();
    let before = pair(stock.path());
    let broken = Signer::External {
        engine: Engine::Ed25519,
        command: vec!["false".into()],
        interruption: Interruption::default(),
    };
    let error = update_summary(&repo, &options(2, vec![ed25519(), broken])).unwrap_err();
    assert!(error.to_string().contains("cannot sign"), "{error}");
    assert_eq!(pair(stock.path()), before);
}

#[test]
fn a_ref_that_moves_while_a_key_is_asked_for_is_in_the_summary_and_signed() {
    let (dir, repo, stock) = repository();
    let tree = Tree::at(&dir.path().join("second"));
    tree.file("b", "b", 0o644);
    // Commits the first time it is asked, as somebody else may while a person types a passphrase.
    let script = format!(
        "cat > {0}/asked.$(ls {0} | wc -l); [ -e {0}/moved ] || {{ touch {0}/moved; ostree --repo={1} commit -q -b main {2} >&2; }}; head -c 64 /dev/zero",
        dir.path().display(),
        stock.path().display(),
        tree.path().display(),
    );
    let asks = Signer::External {
        engine: Engine::Ed25519,
        command: ["sh", "-c", &script.replace(" -q ", " ")]
            .map(Into::into)
            .to_vec(),
        interruption: Interruption::default(),
    };
    update_summary(&repo, &options(1, vec![asks])).unwrap();
    let summary = std::fs::read(stock.path().join("summary")).unwrap();
    let asked: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("asked."))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert_eq!(asked.len(), 2, "signed again");
    assert!(asked.contains(&summary), "what is there is what was signed");
    let commit = stock.rev_parse("main");
    assert!(stock.run(&["summary", "-v"]).contains(&commit));
}

#[test]
fn metadata_commit_is_signed_by_the_same_keys() {
    let (_dir, _repo, stock) = repository();
    stock.run(&["config", "set", "core.collection-id", "org.example.Main"]);
    let repo = Repo::open(stock.path()).unwrap();
    let options = options(1, vec![ed25519()]);
    let commits = std::thread::scope(|scope| {
        let two = [(); 2].map(|()| scope.spawn(|| commit_metadata(&repo, &options, 7)));
        two.map(|thread| thread.join().unwrap().unwrap().expect("a collection"))
    });
    update_summary(&repo, &options).unwrap();
    let tip = stock.rev_parse("ostree-metadata");
    assert!(commits.iter().any(|commit| commit.to_string() == tip));
    for commit in commits.map(|commit| commit.to_string()) {
        let (prefix, rest) = commit.split_at(2);
        let path = |kind| stock.path().join(format!("objects/{prefix}/{rest}.{kind}"));
        let bytes = std::fs::read(path("commit")).unwrap();
        assert!(fits(&bytes, &std::fs::read(path("commitmeta")).unwrap()));
    }
}
