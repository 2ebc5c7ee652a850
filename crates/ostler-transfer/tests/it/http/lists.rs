//! Remotes whose place a list says: mirror lists and metalinks.

use super::{client, hasty, write};
use ostler_format::RemoteName;
use ostler_repo::Repo;
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::stock::StockRepo;
use ostler_transfer::TransferError;
use ostler_transfer::http::{Client, ClientOptions, Remote, RemoteOverrides, RemoteSettings, Tls};
use std::path::Path;

fn settings(directory: &Path, options: &[&str]) -> Result<RemoteSettings, TransferError> {
    let repo = StockRepo::init(&directory.join("client"), "archive");
    let mut arguments = vec!["remote", "add", "--no-gpg-verify"];
    arguments.extend(options);
    repo.run(&arguments);
    let opened = Repo::open(repo.path()).unwrap();
    RemoteSettings::of(&opened, &RemoteName::new("origin").unwrap())
}

fn resolve(settings: &RemoteSettings) -> Result<Remote, TransferError> {
    Remote::resolve(settings, &RemoteOverrides::default(), &client())
}

#[test]
fn what_stock_writes_of_a_remote_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let read = settings(
        directory.path(),
        &[
            "--contenturl=http://content/r",
            "--collection-id=org.example.C",
            "--set=proxy=http://proxy:1",
            "--set=http2=false",
            "--set=tls-permissive=true",
            "--set=tls-ca-path=/ca.pem",
            "--set=tls-client-cert-path=/c.pem",
            "--set=tls-client-key-path=/k.pem",
            "--set=unconfigured-state=pay first",
            "origin",
            "http://host/r",
            "os/stable",
            "os/next",
        ],
    )
    .unwrap();
    assert_eq!(read.branches, ["os/stable", "os/next"]);
    assert!(
        read.require_configured()
            .unwrap_err()
            .to_string()
            .contains("pay first")
    );
    let mut options = ClientOptions::default();
    read.configure(&mut options);
    assert!(!options.http2);
    assert_eq!(options.proxy.as_deref(), Some("http://proxy:1"));
    let expected = Tls {
        permissive: true,
        ca_path: Some("/ca.pem".into()),
        client: Some(("/c.pem".into(), "/k.pem".into())),
    };
    assert_eq!(options.tls, expected);
    let remote = resolve(&read).unwrap();
    assert_eq!(remote.url.to_string(), "http://host/r");
    assert_eq!(remote.content.to_string(), "http://content/r");
    assert_eq!(remote.collection.unwrap().as_str(), "org.example.C");
    let other = RemoteOverrides {
        url: Some("https://other/".to_owned()),
    };
    let remote = Remote::resolve(&read, &other, &client()).unwrap();
    assert_eq!(remote.url.to_string(), "https://other/");
    assert_eq!(remote.content.to_string(), "https://other/");
}

#[test]
fn remotes_that_cannot_be_are_refused_as_stock_refuses_them() {
    let directory = tempfile::tempdir().unwrap();
    let half = settings(
        directory.path(),
        &["--set=tls-client-cert-path=/c.pem", "origin", "ftp://host/r"],
    );
    assert!(half.unwrap_err().to_string().contains("must specify both"));
    let unknown = RemoteSettings::of_url("ftp://host/r");
    let error = resolve(&unknown).unwrap_err();
    assert_eq!(error.to_string(), "Invalid URI scheme in ftp://host/r");
    let repo = Repo::open(&directory.path().join("client")).unwrap();
    let error = RemoteSettings::of(&repo, &RemoteName::new("nope").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "Remote \"nope\" not found");
}

#[test]
fn the_first_mirror_that_is_there_is_used_and_the_others_stand_in() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a/config", "[core]\n");
    write(directory.path(), "b/config", "[core]\n");
    write(directory.path(), "b/object", "x");
    let server = FaultyServer::serve(directory.path());
    let url = server.url();
    write(
        directory.path(),
        "list",
        format!("\n# about\n\n{url}/none\nnonsense\n{url}/a\n{url}/b\n"),
    );
    let read = RemoteSettings::of_url(&format!("mirrorlist={url}/list"));
    let remote = resolve(&read).unwrap();
    assert_eq!(remote.url.to_string(), format!("{url}/a"));
    assert_eq!(server.paths(), ["/list", "/none/config", "/a/config"]);
    let got = client().get(&remote.content, "object", 10, None).unwrap();
    assert_eq!(got.into_required().unwrap(), b"x");

    write(directory.path(), "list", format!("{url}/none\n"));
    let error = resolve(&read).unwrap_err();
    let told = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        told,
        format!("No valid mirrors were found in mirrorlist '{url}/list'")
    );
}

#[test]
fn a_metalink_leads_to_the_copy_that_has_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "good/summary", "a summary");
    write(directory.path(), "bad/summary", "b summary");
    write(directory.path(), "good/object", "x");
    let server = FaultyServer::with(directory.path(), |asked| match asked.path.as_str() {
        "/endless/summary" => Reaction::Endless,
        _ => Reaction::Serve,
    });
    let url = server.url();
    let link = |targets: &[&str]| {
        let urls: Vec<String> = targets
            .iter()
            .map(|name| format!("<url protocol=\"http\">{url}/{name}/summary</url>"))
            .collect();
        let urls = urls.concat();
        // The digest of "a summary".
        let hash = ostler_format::Checksum::of(b"a summary");
        write(
            directory.path(),
            "metalink.xml",
            format!(
                "<metalink><files><file name=\"summary\"><size>9</size><verification><hash type=\"sha256\">{hash}</hash>\
                 </verification><resources>{urls}</resources></file></files></metalink>"
            ),
        );
        resolve(&RemoteSettings {
            metalink: Some(format!("{url}/metalink.xml")),
            ..RemoteSettings::default()
        })
    };
    let remote = link(&["none", "endless", "bad", "good"]).unwrap();
    assert_eq!(remote.summary.as_deref(), Some(&b"a summary"[..]));
    assert_eq!(remote.url.to_string(), format!("{url}/good"));
    let error = link(&["bad", "none"]).unwrap_err();
    let told = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        told.starts_with("Exhausted 2 metalink targets, last error: While fetching "),
        "{told}"
    );
    assert!(told.ends_with("Server returned HTTP 404"), "{told}");
}

#[test]
fn mirrors_are_asked_once_and_few_stand_in() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..20 {
        write(directory.path(), &format!("m{number}/config"), "[core]\n");
    }
    let server = FaultyServer::with(directory.path(), |asked| match asked.path.as_str() {
        "/down/config" => Reaction::status(503),
        _ if asked.path.ends_with("/object") => Reaction::status(404),
        _ => Reaction::Serve,
    });
    let url = server.url();
    let mirrors: Vec<String> = (0..20).map(|number| format!("{url}/m{number}\n")).collect();
    let mirrors = mirrors.concat();
    write(directory.path(), "list", format!("{url}/down\n{mirrors}"));
    let remote = resolve(&RemoteSettings::of_url(&format!("mirrorlist={url}/list"))).unwrap();
    assert_eq!(server.paths(), ["/list", "/down/config", "/m0/config"]);
    server.forget();
    client().get(&remote.url, "object", 10, None).unwrap();
    assert_eq!(server.asked().len(), 9, "the first and eight others");

    // Where there is no other, one that is down for a moment is waited for.
    write(directory.path(), "list", format!("{url}/m0\n"));
    server.set_rule(|asked| match (asked.path.as_str(), asked.before) {
        ("/m0/config", 0..3) => Reaction::status(503),
        _ => Reaction::Serve,
    });
    server.forget();
    resolve(&RemoteSettings::of_url(&format!("mirrorlist={url}/list"))).unwrap();
}

#[test]
fn secrets_for_the_remote_do_not_go_to_mirrors_on_other_servers() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "repo/config", "[core]\n");
    write(directory.path(), "repo/summary", "a summary");
    let (listing, mirror) = (
        FaultyServer::serve(directory.path()),
        FaultyServer::serve(directory.path()),
    );
    let lists = |at: &FaultyServer| {
        let url = at.url();
        let hash = ostler_format::Checksum::of(b"a summary");
        write(directory.path(), "list", format!("{url}/repo\n"));
        write(
            directory.path(),
            "metalink.xml",
            format!(
                "<metalink><files><file name=\"summary\"><size>9</size><verification><hash type=\"sha256\">{hash}</hash>\
                 </verification><resources><url protocol=\"http\">{url}/repo/summary</url></resources></file></files></metalink>"
            ),
        );
    };
    let url = listing.url();
    let remotes = [
        RemoteSettings::of_url(&format!("mirrorlist={url}/list")),
        RemoteSettings {
            metalink: Some(format!("{url}/metalink.xml")),
            ..RemoteSettings::default()
        },
    ];
    let options = ClientOptions {
        headers: vec![("X-Token".to_owned(), "secret".to_owned())],
        ..hasty()
    };
    let client = Client::new(options).unwrap();
    for (at, own) in [(&mirror, false), (&listing, true)] {
        lists(at);
        for settings in &remotes {
            at.forget();
            let remote = Remote::resolve(settings, &RemoteOverrides::default(), &client).unwrap();
            client.get(&remote.url, "config", 100, None).unwrap();
            let asked = at.asked();
            assert!(!asked.is_empty());
            for asked in asked {
                assert_eq!(asked.header("x-token").is_some(), own, "{settings:?} {asked:?}");
            }
        }
    }
    assert!(
        listing
            .asked()
            .iter()
            .all(|asked| asked.header("x-token") == Some("secret"))
    );
}
