//! The summary and its signatures: kept as stock keeps them, and fetched again when they do not fit.

use super::{base, client, write};
use ostler_format::Summary;
use ostler_format::gvariant::{Value, VarDict};
use ostler_repo::Repo;
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::stock::StockRepo;
use ostler_transfer::TransferError;
use ostler_transfer::http::{Remote, SummaryCache, SummaryOptions, SummaryPair, fetch_summary};
use std::cell::Cell;
use std::path::Path;

/// Returns a summary that differs from others by a text.
fn summary(text: &str) -> Vec<u8> {
    let mut metadata = VarDict::new();
    metadata.insert("text", Value::Str(text.to_owned()));
    Summary::new(Vec::new(), metadata).unwrap().to_bytes()
}

/// Returns its signature: these repeat what they sign.
fn signature(text: &str) -> Vec<u8> {
    [b"signed ", &summary(text)[..]].concat()
}

fn fits(summary: &[u8], signatures: Option<&[u8]>) -> Result<(), TransferError> {
    if signatures.is_some_and(|signatures| signatures == [b"signed ", summary].concat()) {
        return Ok(());
    }
    Err(TransferError::Remote("BAD signature".to_owned()))
}

fn remote(server: &FaultyServer) -> Remote {
    Remote {
        name: None,
        url: base(&server.url()),
        content: base(&server.url()),
        collection: None,
        branches: Vec::new(),
        summary: None,
    }
}

fn fetch(
    server: &FaultyServer,
    cache: Option<&SummaryCache>,
    pauses: &Cell<u32>,
) -> Result<SummaryPair, TransferError> {
    let options = SummaryOptions {
        cache,
        check: &fits,
        tries: 3,
        pause: &|number| pauses.set(pauses.get() + number),
    };
    fetch_summary(&client(), &remote(server), &options)
}

fn publish(directory: &Path, text: &str) {
    write(directory, "summary", summary(text));
    write(directory, "summary.sig", signature(text));
}

fn cache(directory: &Path) -> (Repo, SummaryCache) {
    let repo = Repo::open(StockRepo::init(&directory.join("client"), "archive").path()).unwrap();
    let cache = SummaryCache::of(&repo, "origin", None).unwrap().unwrap();
    (repo, cache)
}

#[test]
fn an_unchanged_pair_costs_one_request() {
    let directory = tempfile::tempdir().unwrap();
    publish(directory.path(), "one");
    let server = FaultyServer::serve(directory.path());
    let (_repo, cache) = cache(directory.path());
    let pauses = Cell::new(0);
    let first = fetch(&server, Some(&cache), &pauses).unwrap();
    assert_eq!(server.paths(), ["/summary.sig", "/summary"]);
    assert!(
        directory
            .path()
            .join("client/tmp/cache/summaries/origin.sig")
            .is_file()
    );
    server.forget();
    assert_eq!(fetch(&server, Some(&cache), &pauses).unwrap(), first);
    assert_eq!(server.paths(), ["/summary.sig"]);
    server.forget();
    publish(directory.path(), "two");
    let second = fetch(&server, Some(&cache), &pauses).unwrap();
    assert_eq!(second.summary.as_deref(), Some(&summary("two")[..]));
    assert_eq!(server.paths(), ["/summary.sig", "/summary"]);
    server.forget();
    assert_eq!(fetch(&server, Some(&cache), &pauses).unwrap(), second);
    assert_eq!(server.paths(), ["/summary.sig"]);
    assert_eq!(pauses.get(), 0);
}

#[test]
fn a_pair_that_is_mixed_for_a_moment_is_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    publish(directory.path(), "new");
    let server = FaultyServer::with(directory.path(), |asked| {
        match (asked.path.as_str(), asked.before) {
            ("/summary.sig", 0) => Reaction::Bytes(signature("old")),
            ("/summary", 1) => Reaction::Bytes(summary("old")),
            _ => Reaction::Serve,
        }
    });
    let pauses = Cell::new(0);
    let pair = fetch(&server, None, &pauses).unwrap();
    assert_eq!(pair.summary.as_deref(), Some(&summary("new")[..]));
    assert_eq!(pauses.get(), 1 + 2, "two more tries");
    let fresh = server.asked();
    assert!(
        fresh
            .iter()
            .skip(2)
            .all(|asked| asked.header("cache-control") == Some("no-cache"))
    );
    assert_eq!(fresh.len(), 6);
}

#[test]
fn a_server_that_takes_a_changed_summary_for_unchanged_is_asked_without_condition() {
    let directory = tempfile::tempdir().unwrap();
    publish(directory.path(), "one");
    let server = FaultyServer::serve(directory.path());
    let (_repo, cache) = cache(directory.path());
    let pauses = Cell::new(0);
    fetch(&server, Some(&cache), &pauses).unwrap();
    publish(directory.path(), "two");
    // As when two summaries have the same second.
    server.set_rule(
        |asked| match (asked.path.as_str(), asked.header("if-none-match")) {
            ("/summary", Some(_)) => Reaction::Raw(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()),
            _ => Reaction::Serve,
        },
    );
    let pair = fetch(&server, Some(&cache), &pauses).unwrap();
    assert_eq!(pair.summary.as_deref(), Some(&summary("two")[..]));
}

#[test]
fn a_pair_that_never_fits_ends_with_its_digests() {
    let directory = tempfile::tempdir().unwrap();
    publish(directory.path(), "new");
    write(directory.path(), "summary.sig", signature("old"));
    let server = FaultyServer::serve(directory.path());
    let (_repo, cache) = cache(directory.path());
    let error = fetch(&server, Some(&cache), &Cell::new(0)).unwrap_err();
    let text = error.to_string();
    for bytes in [summary("new"), signature("old")] {
        assert!(
            text.contains(&ostler_format::Checksum::of(&bytes).to_string()),
            "{text}"
        );
    }
    assert!(text.contains("3 times"), "{text}");
    assert_eq!(server.asked().len(), 6);
    assert!(
        !directory
            .path()
            .join("client/tmp/cache/summaries/origin")
            .exists(),
        "nothing is kept"
    );
}

#[test]
fn what_is_not_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let server = FaultyServer::serve(directory.path());
    let pair = fetch(&server, None, &Cell::new(0)).unwrap();
    assert_eq!(pair, SummaryPair::default());
    write(directory.path(), "summary", "unsigned");
    server.forget();
    let error = fetch(&server, None, &Cell::new(0)).unwrap_err();
    assert_eq!(error.to_string(), "BAD signature");
    assert_eq!(server.asked().len(), 2, "there is nothing to wait for");
}

#[test]
fn stock_goes_on_with_what_we_keep_and_we_with_what_stock_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let served = StockRepo::init(&directory.path().join("served"), "archive");
    let tree = directory.path().join("tree");
    write(&tree, "file", "x");
    served.commit("app", &tree);
    served.run(&["summary", "-u"]);
    // Not asked for, but there: so it is kept.
    write(served.path(), "summary.sig", {
        let dict = VarDict::new();
        dict.to_bytes()
    });
    let server = FaultyServer::serve(served.path());
    let (repo, cache) = cache(directory.path());
    let stock = StockRepo::open(repo.path());
    stock.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);
    let take = || {
        let options = SummaryOptions {
            cache: Some(&cache),
            check: &|_, _| Ok(()),
            tries: 3,
            pause: &|_| (),
        };
        fetch_summary(&client(), &remote(&server), &options).unwrap()
    };
    let ours = take();
    assert!(ours.summary.is_some());
    server.forget();
    stock.run(&["remote", "refs", "origin"]);
    assert_eq!(server.paths(), ["/summary.sig"], "304: stock uses what we kept");
    for name in ["origin", "origin.sig"] {
        std::fs::remove_file(repo.path().join("tmp/cache/summaries").join(name)).unwrap();
    }
    stock.run(&["remote", "refs", "origin"]);
    server.forget();
    assert_eq!(take(), ours);
    assert_eq!(server.paths(), ["/summary.sig"], "304: we use what stock kept");
}

#[test]
fn what_is_no_summary_is_not_kept_though_nobody_asks_for_signatures() {
    let directory = tempfile::tempdir().unwrap();
    publish(directory.path(), "one");
    let server = FaultyServer::with(directory.path(), |asked| match asked.path.as_str() {
        "/summary" => Reaction::Bytes(b"<html>please log in</html>".to_vec()),
        _ => Reaction::Serve,
    });
    let (_repo, cache) = cache(directory.path());
    let take = || {
        let options = SummaryOptions {
            cache: Some(&cache),
            check: &|_, _| Ok(()),
            tries: 2,
            pause: &|_| (),
        };
        fetch_summary(&client(), &remote(&server), &options)
    };
    assert!(matches!(take(), Err(TransferError::SummaryPair { .. })));
    server.set_rule(|_| Reaction::Serve);
    assert_eq!(take().unwrap().summary.as_deref(), Some(&summary("one")[..]));
    // Nor is what another tool has kept of that kind taken for good.
    write(directory.path(), "client/tmp/cache/summaries/origin", "<html>");
    assert_eq!(take().unwrap().summary.as_deref(), Some(&summary("one")[..]));
}

#[test]
fn a_kept_pair_that_does_not_fit_is_replaced_or_told_where_tests_ask_for_that() {
    let directory = tempfile::tempdir().unwrap();
    publish(directory.path(), "one");
    let server = FaultyServer::serve(directory.path());
    let (repo, cache) = cache(directory.path());
    let pauses = Cell::new(0);
    fetch(&server, Some(&cache), &pauses).unwrap();
    let kept = repo.path().join("tmp/cache/summaries/origin");
    std::fs::write(&kept, summary("other")).unwrap();

    let strict = cache.clone().failing_when_bad(true);
    let error = fetch(&server, Some(&strict), &pauses).unwrap_err();

    assert!(
        error.to_string().contains("OSTREE_REPO_TEST_ERROR_INVALID_CACHE"),
        "{error}"
    );
    assert_eq!(std::fs::read(&kept).unwrap(), summary("other"));
    let pair = fetch(&server, Some(&cache), &pauses).unwrap();
    assert_eq!(pair.summary.as_deref(), Some(&summary("one")[..]));
    assert_eq!(std::fs::read(&kept).unwrap(), summary("one"));
    // What does not fit at the server is no matter of what was kept.
    publish(directory.path(), "two");
    write(directory.path(), "summary", summary("three"));
    let error = fetch(&server, Some(&strict), &pauses).unwrap_err();
    assert!(error.to_string().contains("3 times"), "{error}");
}
