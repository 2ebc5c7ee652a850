//! A stock client pulls through nginx what stock ostree committed.

use ostler_testkit::client::Client;
use ostler_testkit::listing::assert_same_files;
use ostler_testkit::nginx::Nginx;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::{oracle, tree};
use tempfile::TempDir;

#[test]
fn stock_client_pulls_every_kind_of_file() {
    let directory = TempDir::new().unwrap();
    let files = tree::assorted(&directory.path().join("tree"));
    let origin = StockRepo::init(&directory.path().join("repo"), "archive");
    let commit = origin.commit("os/test", files.path());
    let server = Nginx::serve(origin.path());

    let client = Client::of(&server.url());
    assert_eq!(client.pull("os/test"), commit);
    oracle::assert_sound(client.repo().path());
    oracle::assert_same_commit(origin.path(), client.repo().path(), &commit);

    let checkout = client.directory().join("checkout");
    client.repo().checkout(&commit, &checkout);
    assert_same_files(files.path(), &checkout);
}

#[test]
fn requests_are_recorded_in_order() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("file"), "text").unwrap();
    let server = Nginx::serve(directory.path());
    assert_eq!(server.get("/file"), (200, b"text".to_vec()));
    assert_eq!(server.get("/missing").0, 404);
    assert_eq!(server.requests(), ["200 GET /file", "404 GET /missing"]);
    server.forget_requests();
    assert_eq!(server.get("/file?again").0, 200);
    assert_eq!(server.requests(), ["200 GET /file?again"]);
}

#[test]
fn dropped_server_answers_no_more() {
    let directory = TempDir::new().unwrap();
    let server = Nginx::serve(directory.path());
    let address = server.url().replace("http://", "");
    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
}
