//! Servers that mean harm cost a bounded time and a bounded memory.

use super::{base, client, fault, files, get, hasty};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_transfer::http::{Client, ClientOptions, Destination, Fault, Request};
use std::time::{Duration, Instant};

#[test]
fn a_body_without_end_is_refused_at_the_limit() {
    let files = files();
    let server = FaultyServer::with(files.path(), |_| Reaction::Endless);
    let client = client();
    let error = client
        .get(&base(&server.url()), "summary", 1 << 20, None)
        .unwrap_err();
    assert!(matches!(fault(error), Fault::TooLarge { limit: 1_048_576 }));
    assert_eq!(server.asked().len(), 1, "no retry");
    assert!(client.received() < 8 << 20);
    let mut request = super::request(1, &server.url(), "object");
    request.limit = Some(5 << 20);
    client.submit(request);
    let completion = client
        .completions()
        .recv_timeout(Duration::from_secs(60))
        .unwrap();
    assert!(matches!(
        completion.result.map_err(fault),
        Err(Fault::TooLarge { .. })
    ));
}

#[test]
fn a_size_that_is_announced_is_refused_before_anything_comes() {
    let files = files();
    let server = FaultyServer::with(files.path(), |_| {
        Reaction::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nx".to_vec())
    });
    let error = get(&client(), &server.url(), "summary").unwrap_err();
    assert!(matches!(fault(error), Fault::TooLarge { .. }));
}

#[test]
fn silence_and_drips_end_in_time() {
    let files = files();
    for reaction in [Reaction::Hang, Reaction::Slow(1, Duration::from_millis(50))] {
        let server = FaultyServer::with(files.path(), move |_| reaction.clone());
        let options = ClientOptions {
            retries: 0,
            ..hasty()
        };
        let start = Instant::now();
        let error = get(&Client::new(options).unwrap(), &server.url(), "large").unwrap_err();
        assert!(matches!(fault(error), Fault::TooSlow { .. }));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[test]
fn heads_without_end_are_refused() {
    let files = files();
    let mut raw = b"HTTP/1.1 200 OK\r\n".to_vec();
    for index in 0..20_000 {
        raw.extend(format!("X-{index}: {}\r\n", "y".repeat(100)).bytes());
    }
    let server = FaultyServer::with(files.path(), move |_| Reaction::Raw(raw.clone()));
    assert!(fault(get(&client(), &server.url(), "summary").unwrap_err()).is_passing());
}

#[test]
fn many_large_bodies_share_one_budget_of_memory() {
    let directory = tempfile::tempdir().unwrap();
    super::write(directory.path(), "tree", vec![3; 3 << 20]);
    let server = FaultyServer::serve(directory.path());
    let client = Client::new(ClientOptions {
        memory: 8 << 20,
        ..hasty()
    })
    .unwrap();
    for id in 0..40 {
        client.submit(Request {
            destination: Destination::Memory,
            ..super::request(id, &server.url(), "tree")
        });
    }
    // What nobody takes away stays within the budget, and what is taken away makes room for the rest.
    let mut kept = Vec::new();
    while let Ok(completion) = client.completions().recv_timeout(Duration::from_secs(2)) {
        kept.push(completion);
    }
    assert!((1..=4).contains(&kept.len()), "{}", kept.len());
    let first = kept.len();
    kept.clear();
    for _ in first..40 {
        let completion = client
            .completions()
            .recv_timeout(Duration::from_secs(30))
            .unwrap();
        assert_eq!(super::bytes(completion).unwrap().len(), 3 << 20);
    }
}
