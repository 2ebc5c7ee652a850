//! Many requests at once.

use super::{base, bytes, hasty, request};
use ostler_testkit::certificates::Certificates;
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::nginx::Nginx;
use ostler_transfer::http::{Client, ClientOptions, Tls};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

const FILES: u64 = 3000;

fn many() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for index in 0..FILES {
        std::fs::write(directory.path().join(index.to_string()), format!("file {index}")).unwrap();
    }
    directory
}

fn fetch_all(client: &Client, url: &str) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in 0..FILES {
                client.submit(request(id, url, &id.to_string()));
            }
        });
        let mut seen = BTreeSet::new();
        for _ in 0..FILES {
            let completion = client
                .completions()
                .recv_timeout(Duration::from_secs(60))
                .unwrap();
            let id = completion.id;
            assert_eq!(bytes(completion).unwrap(), format!("file {id}").into_bytes());
            assert!(seen.insert(id));
        }
    });
}

fn trusting(certificates: &Certificates) -> ClientOptions {
    ClientOptions {
        tls: Tls {
            ca_path: Some(certificates.path("ca.pem")),
            ..Tls::default()
        },
        max_queued: 100,
        ..hasty()
    }
}

#[test]
fn connections_are_kept_over_http_1() {
    let files = many();
    let server = Nginx::serve_with(files.path(), "keepalive_requests 100000;");
    let client = Client::new(ClientOptions {
        max_queued: 100,
        ..hasty()
    })
    .unwrap();
    fetch_all(&client, &server.url());
    let tcp = connections(&server.url());
    assert!(tcp <= 48, "{tcp} connections");
}

/// How many connections of this machine lead, or led lately, to the port of a server.
fn connections(url: &str) -> usize {
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let table = std::fs::read_to_string(Path::new("/proc/net/tcp")).unwrap();
    let end = format!(":{port:04X}");
    table
        .lines()
        .filter(|line| {
            line.split_whitespace()
                .nth(2)
                .is_some_and(|remote| remote.ends_with(&end))
        })
        .count()
}

#[test]
fn http_2_goes_on_where_the_server_ends_a_connection_after_so_many_requests() {
    let (files, certificates) = (many(), Certificates::make());
    // Three connections' worth.
    let server = Nginx::serve_tls(files.path(), &certificates, "keepalive_requests 1000;");
    fetch_all(&Client::new(trusting(&certificates)).unwrap(), &server.url());
    let answers = server.requests();
    assert!(
        answers.iter().filter(|line| line.starts_with("200 ")).count() >= usize::try_from(FILES).unwrap()
    );
}

#[test]
fn an_answer_that_is_late_does_not_keep_back_the_others() {
    let files = many();
    let server = FaultyServer::with(files.path(), |asked| match asked.path.as_str() {
        "/0" => Reaction::Slow(1, Duration::from_millis(300)),
        _ => Reaction::Serve,
    });
    let client = Client::new(hasty()).unwrap();
    let start = Instant::now();
    for id in 0..50 {
        client.submit(request(id, &server.url(), &id.to_string()));
    }
    for _ in 0..49 {
        let completion = client
            .completions()
            .recv_timeout(Duration::from_secs(30))
            .unwrap();
        assert_ne!(completion.id, 0);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(
        client
            .completions()
            .recv_timeout(Duration::from_secs(30))
            .unwrap()
            .id,
        0
    );
}

#[test]
fn more_requests_than_may_wait_are_given_back() {
    let files = many();
    let server = FaultyServer::with(files.path(), |_| Reaction::Hang);
    let client = Client::new(ClientOptions {
        max_queued: 4,
        max_in_flight: Some(2),
        ..hasty()
    })
    .unwrap();
    let mut taken = 0;
    let start = Instant::now();
    // Two under way and four that wait; how soon the first two start is up to the thread.
    while start.elapsed() < Duration::from_secs(1) {
        match client.try_submit(request(9, &server.url(), "0")) {
            Ok(()) => taken += 1,
            Err(request) => assert_eq!(request.id, 9),
        }
    }
    assert_eq!(taken, 6);
    // Dropping the client ends what is under way.
    drop(client);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(base(&server.url()).to_string(), format!("{}/", server.url()));
}
