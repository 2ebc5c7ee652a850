//! What is said to servers beside the question: who asks, cookies, headers.

use super::{get, hasty};
use ostler_testkit::faulty_server::FaultyServer;
use ostler_transfer::http::{Client, ClientOptions, Cookie, CookieJar};

#[test]
fn headers_and_cookies_are_sent_where_they_belong() {
    let files = super::files();
    super::write(files.path(), "repo/small", "x");
    let server = FaultyServer::serve(files.path());
    let jar = [
        Cookie::new("127.0.0.1", "/", "a", "1", 0),
        Cookie::new("127.0.0.1", "/repo", "b", "2", 2000),
        Cookie::new("127.0.0.1", "/rep", "c", "3", 0),
        Cookie::new("127.0.0.1", "/", "old", "4", 999),
        Cookie::new("example.org", "/", "other", "5", 0),
    ];
    let text: String = jar.iter().map(|cookie| cookie.to_line() + "\n").collect();
    let options = ClientOptions {
        user_agent: "tester/1 more".to_owned(),
        headers: vec![
            ("X-One".to_owned(), "1".to_owned()),
            ("X-One".to_owned(), "2".to_owned()),
        ],
        cookies: CookieJar::parse(&text),
        now: 1000,
        ..hasty()
    };
    get(
        &Client::new(options).unwrap(),
        &format!("{}/repo", server.url()),
        "small",
    )
    .unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.header("cookie"), Some("b=2; a=1"));
    assert_eq!(asked.header("user-agent"), Some("tester/1 more"));
    assert_eq!(
        asked.headers.iter().filter(|(name, _)| name == "x-one").count(),
        2
    );
    assert_eq!(asked.header("accept"), Some("*/*"));
    assert_eq!(asked.header("accept-encoding"), None, "objects come as they are");
}

#[test]
fn headers_that_are_none_are_refused() {
    for (name, value) in [("a b", "c"), ("a", "b\r\nX-Other: c"), ("", "x")] {
        let options = ClientOptions {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..hasty()
        };
        assert!(Client::new(options).is_err(), "{name}");
    }
}
