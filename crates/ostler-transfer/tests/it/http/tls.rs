//! TLS, proxies and passwords, against nginx.

use super::{fault, fetch, files, get, hasty, large};
use ostler_testkit::certificates::Certificates;
use ostler_testkit::nginx::Nginx;
use ostler_testkit::proxy::TestProxy;
use ostler_testkit::socks::SocksProxy;
use ostler_transfer::http::{Client, ClientOptions, Fault, Proxies, Tls};

fn with(tls: Tls) -> Client {
    Client::new(ClientOptions { tls, ..hasty() }).unwrap()
}

fn trusting(certificates: &Certificates) -> Tls {
    Tls {
        ca_path: Some(certificates.path("ca.pem")),
        ..Tls::default()
    }
}

#[test]
fn only_servers_that_the_authority_vouches_for_are_trusted() {
    let (files, certificates) = (files(), Certificates::make());
    let server = Nginx::serve_tls(files.path(), &certificates, "");
    let url = server.url();
    assert_eq!(
        fetch(&with(trusting(&certificates)), &url, "large").unwrap(),
        large()
    );
    let other = Certificates::make();
    for tls in [Tls::default(), trusting(&other)] {
        let found = fault(get(&with(tls), &url, "small").unwrap_err());
        assert!(matches!(found, Fault::Tls(_)), "{found:?}");
    }
    let permissive = Tls {
        permissive: true,
        ..Tls::default()
    };
    assert!(get(&with(permissive), &url, "small").is_ok());
    // The name in the certificate counts.
    let by_name = url.replace("127.0.0.1", "localhost");
    assert!(get(&with(trusting(&certificates)), &by_name, "small").is_ok());
}

#[test]
fn a_client_shows_its_certificate() {
    let (files, certificates) = (files(), Certificates::make());
    let verify = format!(
        "ssl_client_certificate {};\nssl_verify_client on;",
        certificates.path("ca.pem").display()
    );
    let server = Nginx::serve_tls(files.path(), &certificates, &verify);
    let without = get(&with(trusting(&certificates)), &server.url(), "small").unwrap_err();
    assert!(matches!(fault(without), Fault::Status(400)));
    let shown = Tls {
        client: Some((certificates.path("client.pem"), certificates.path("client.key"))),
        ..trusting(&certificates)
    };
    let got = get(&with(shown), &server.url(), "small").unwrap();
    assert_eq!(got.into_required().unwrap(), b"small\n");
    let wrong = Tls {
        client: Some((certificates.path("client.pem"), certificates.path("client.pem"))),
        ..trusting(&certificates)
    };
    let error = fault(get(&with(wrong), &server.url(), "small").unwrap_err());
    assert!(
        matches!(&error, Fault::Tls(text) if text.contains("client.pem")),
        "{error:?}"
    );
}

#[test]
fn http_2_is_spoken_unless_it_is_switched_off() {
    let (files, certificates) = (files(), Certificates::make());
    let server = Nginx::serve_tls(
        files.path(),
        &certificates,
        "add_header X-Protocol $server_protocol;\nif ($server_protocol = HTTP/1.1) { return 410; }",
    );
    for (http2, there) in [(true, true), (false, false)] {
        let options = ClientOptions {
            tls: trusting(&certificates),
            http2,
            ..hasty()
        };
        let got = get(&Client::new(options).unwrap(), &server.url(), "small").unwrap();
        assert_eq!(got.into_optional().is_some(), there, "http2={http2}");
    }
}

#[test]
fn a_password_in_the_url_is_sent() {
    let files = files();
    // The password is "pass", as `openssl passwd -apr1 -salt salt pass` writes it.
    let hashed = ostler_testkit::command::run(
        ostler_testkit::command::command("openssl").args(["passwd", "-apr1", "-salt", "salt", "pass"]),
    );
    super::write(files.path(), "htpasswd", format!("me:{hashed}"));
    let directives = format!(
        "auth_basic who;\nauth_basic_user_file {};",
        files.path().join("htpasswd").display()
    );
    let server = Nginx::serve_with(files.path(), &directives);
    let client = super::client();
    for (user, fits) in [
        ("", false),
        ("me:wrong@", false),
        ("me:pass@", true),
        ("me:p%61ss@", true),
    ] {
        let url = server.url().replace("http://", &format!("http://{user}"));
        match (get(&client, &url, "small"), fits) {
            (Ok(got), true) => assert_eq!(got.into_required().unwrap(), b"small\n"),
            (Err(error), false) => assert!(matches!(fault(error), Fault::Status(401))),
            (other, _) => panic!("{user}: {other:?}"),
        }
    }
}

#[test]
fn proxies_are_used_for_what_they_are_for() {
    let (files, certificates) = (files(), Certificates::make());
    let plain = Nginx::serve(files.path());
    let secure = Nginx::serve_tls(files.path(), &certificates, "");
    let proxy = TestProxy::start();
    let address = format!("http://me:pass@{}", proxy.address());
    let options = ClientOptions {
        tls: trusting(&certificates),
        proxy: Some(address.clone()),
        ..hasty()
    };
    let client = Client::new(options.clone()).unwrap();
    assert!(get(&client, &plain.url(), "small").is_ok());
    assert!(get(&client, &secure.url(), "small").is_ok());
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert!(
        heads[0].starts_with(&format!("get {}/small http/1.1", plain.url())),
        "{heads:?}"
    );
    assert!(
        heads[1].starts_with(&secure.url().replace("https://", "connect ")),
        "{heads:?}"
    );
    assert!(
        heads
            .iter()
            .all(|head| head.contains("proxy-authorization: basic bwu6cgfzcw==")),
        "{heads:?}"
    );

    // Those of the environment give way to the remote's, and spare some hosts.
    let environment = |except: Option<&str>| ClientOptions {
        proxy: None,
        proxies: Proxies {
            all: Some(address.clone()),
            except: except.map(str::to_owned),
            ..Proxies::default()
        },
        ..options.clone()
    };
    assert!(
        get(
            &Client::new(environment(Some("127.0.0.1,example.org"))).unwrap(),
            &plain.url(),
            "small"
        )
        .is_ok()
    );
    assert_eq!(proxy.heads().len(), 2);
    assert!(get(&Client::new(environment(None)).unwrap(), &plain.url(), "small").is_ok());
    assert_eq!(proxy.heads().len(), 3);
}

#[test]
fn proxies_that_speak_socks_get_names_or_addresses_as_their_url_says() {
    let (files, certificates) = (files(), Certificates::make());
    let plain = Nginx::serve(files.path());
    let secure = Nginx::serve_tls(files.path(), &certificates, "");
    let proxy = SocksProxy::start();
    for (scheme, user, hosts) in [
        ("socks5", "", ["127.0.0.1", "[::1]"]),
        ("socks5h", "", ["localhost"; 2]),
        ("socks5h", "me:pass@", ["localhost"; 2]),
    ] {
        let client = Client::new(ClientOptions {
            tls: trusting(&certificates),
            proxy: Some(format!("{scheme}://{user}{}", proxy.address())),
            ..hasty()
        })
        .unwrap();
        for server in [&plain, &secure] {
            let url = server.url().replace("127.0.0.1", "localhost");
            let port = url.rsplit(':').next().unwrap().to_owned();
            assert_eq!(fetch(&client, &url, "large").unwrap(), large(), "{scheme} {url}");
            let asked = proxy.asked().pop().unwrap();
            let expected = hosts.map(|host| format!("{user}{host}:{port}"));
            assert!(expected.contains(&asked), "{scheme} {url}: {asked}");
        }
    }
}
