//! Faults that pass are overcome, and those that do not are told at once.

use super::{base, client, fault, fetch, files, get, hasty, large};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_transfer::http::{Base, Client, ClientOptions, Fault, Got};
use std::time::{Duration, Instant};

#[test]
fn a_cut_body_is_taken_up_where_it_was_cut() {
    let files = files();
    let server = FaultyServer::with(files.path(), |asked| match asked.before {
        0 => Reaction::CutAt(300_000),
        1 => Reaction::CutAt(400_000),
        _ => Reaction::Serve,
    });
    let client = client();
    assert_eq!(fetch(&client, &server.url(), "large").unwrap(), large());
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[1].header("range"), Some("bytes=300000-"));
    assert_eq!(asked[2].header("range"), Some("bytes=700000-"));
    assert!(asked[1].header("if-range").is_some());
    assert_eq!(client.received(), large().len() as u64, "nothing came twice");
}

#[test]
fn a_server_that_does_not_speak_of_ranges_is_asked_for_the_rest_all_the_same() {
    let files = files();
    let total = large().len();
    let answer = |more: &str| {
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nETag: \"one\"\r\n{more}Content-Length: {total}\r\n\r\n").into_bytes();
        answer.extend(&large()[..300_000]);
        answer
    };
    for (more, range) in [("", Some("bytes=300000-")), ("Accept-Ranges: none\r\n", None)] {
        let first = answer(more);
        let server = FaultyServer::with(files.path(), move |asked| match asked.before {
            0 => Reaction::Raw(first.clone()),
            _ => Reaction::Serve,
        });
        assert_eq!(fetch(&client(), &server.url(), "large").unwrap(), large());
        assert_eq!(server.asked()[1].header("range"), range);
    }
}

#[test]
fn a_file_that_changed_in_between_is_fetched_anew() {
    let files = files();
    let server = FaultyServer::with(files.path(), |asked| match asked.before {
        0 => Reaction::CutAt(400_000),
        _ => Reaction::Bytes(vec![7; 500_000]),
    });
    assert_eq!(
        fetch(&client(), &server.url(), "large").unwrap(),
        vec![7; 500_000]
    );
}

#[test]
fn a_rest_that_is_not_the_rest_is_not_taken() {
    let files = files();
    let total = large().len();
    let (last, rest) = (total - 1, total - 300_000);
    for (headers, bytes) in [
        // From elsewhere; not to the end; of a body whose size is another, or not known.
        (format!("Content-Range: bytes 299999-{last}/{total}"), rest + 1),
        (format!("Content-Range: bytes 300000-400000/{total}"), 100_001),
        (format!("Content-Range: bytes 300000-{last}/{}", total + 1), rest),
        (format!("Content-Range: bytes 300000-{last}/*"), rest),
        // More or fewer bytes than that range has.
        (format!("Content-Range: bytes 300000-{last}/{total}"), rest - 1),
        (format!("Content-Range: bytes 300000-{last}/{total}"), rest + 1),
        // Of another body, or in a code.
        (
            format!("ETag: \"other\"\r\nContent-Range: bytes 300000-{last}/{total}"),
            rest,
        ),
        (
            format!("Content-Encoding: gzip\r\nContent-Range: bytes 300000-{last}/{total}"),
            rest,
        ),
        ("Connection: close".to_owned(), rest),
    ] {
        for chunked in [false, true] {
            let told = headers.clone();
            let server = FaultyServer::with(files.path(), move |asked| match asked.before {
                0 => Reaction::CutAt(300_000),
                1 => Reaction::Raw(partial(&told, bytes, chunked)),
                _ => Reaction::Serve,
            });
            assert_eq!(
                fetch(&client(), &server.url(), "large").unwrap(),
                large(),
                "{headers}"
            );
            let asked = server.asked();
            assert_eq!(asked[1].header("range"), Some("bytes=300000-"));
            assert_eq!(
                (asked.len(), asked[2].header("range")),
                (3, None),
                "{headers} {chunked}"
            );
        }
    }
}

/// A part of so many bytes, none of which is what the file has.
fn partial(headers: &str, bytes: usize, chunked: bool) -> Vec<u8> {
    let body = vec![b'x'; bytes];
    let (length, before, after) = if chunked {
        let length = "Transfer-Encoding: chunked".to_owned();
        (length, format!("{bytes:x}\r\n"), "\r\n0\r\n\r\n")
    } else {
        (format!("Content-Length: {bytes}"), String::new(), "")
    };
    let head = format!("HTTP/1.1 206 Partial Content\r\n{headers}\r\n{length}\r\n\r\n{before}");
    [head.as_bytes(), &body, after.as_bytes()].concat()
}

#[test]
fn a_server_without_ranges_is_asked_for_all_of_it_again() {
    let files = files();
    let path = files.path().to_owned();
    let first = std::sync::Once::new();
    let nothing = FaultyServer::with(&path, move |_| {
        let mut reaction = Reaction::Bare;
        first.call_once(|| {
            let mut raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec();
            raw.extend([1; 500]);
            reaction = Reaction::Raw(raw);
        });
        reaction
    });
    assert_eq!(fetch(&client(), &nothing.url(), "large").unwrap(), large());
    assert!(
        nothing
            .asked()
            .iter()
            .all(|asked| asked.header("range").is_none())
    );
}

#[test]
fn passing_faults_are_tried_again_as_often_as_is_allowed() {
    let files = files();
    for reaction in [
        Reaction::status(500),
        Reaction::status(502),
        Reaction::status(503),
        Reaction::status(408),
        Reaction::status(429),
        Reaction::Close,
        Reaction::CutAt(0),
        Reaction::WrongLength(3),
        Reaction::Raw(b"what is this\r\n\r\n".to_vec()),
    ] {
        let told = reaction.clone();
        let server = FaultyServer::with(files.path(), move |asked| match asked.number {
            0..5 => told.clone(),
            _ => Reaction::Serve,
        });
        let got = get(&client(), &server.url(), "small").unwrap();
        assert_eq!(got.into_required().unwrap(), b"small\n", "{reaction:?}");
        // What cannot be taken up where it ended is asked for twice.
        let most = if matches!(reaction, Reaction::WrongLength(_)) {
            11
        } else {
            6
        };
        assert!((6..=most).contains(&server.asked().len()), "{reaction:?}");

        let told = reaction.clone();
        server.set_rule(move |_asked| told.clone());
        server.forget();
        let error = get(&client(), &server.url(), "small").unwrap_err();
        assert!(fault(error).is_passing(), "{reaction:?}");
        assert_eq!(server.asked().len(), most, "{reaction:?}");
    }
}

#[test]
fn final_faults_are_told_at_once() {
    let files = files();
    for status in [400, 401, 405, 451] {
        let server = FaultyServer::with(files.path(), move |_| Reaction::status(status));
        let error = get(&client(), &server.url(), "small").unwrap_err();
        assert!(matches!(fault(error), Fault::Status(found) if found == status));
        assert_eq!(server.asked().len(), 1);
    }
    for status in [403, 404, 410] {
        let server = FaultyServer::with(files.path(), move |_| Reaction::status(status));
        match get(&client(), &server.url(), "small").unwrap() {
            Got::NotFound(missing) => {
                assert_eq!(missing.status, status);
                assert_eq!(missing.url, format!("{}/small", server.url()));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_server_says_how_long_to_wait() {
    let files = files();
    let server = FaultyServer::with(files.path(), |asked| match asked.number {
        0 => Reaction::Status(429, vec![("Retry-After".to_owned(), "1".to_owned())]),
        _ => Reaction::Serve,
    });
    let start = Instant::now();
    get(&client(), &server.url(), "small").unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_mirror_that_lacks_a_file_or_is_down_is_passed_over() {
    let (empty, files) = (tempfile::tempdir().unwrap(), files());
    let lacking = FaultyServer::serve(empty.path());
    let broken = FaultyServer::with(files.path(), |_| Reaction::status(503));
    let cutting = FaultyServer::with(files.path(), |_| Reaction::CutAt(100_000));
    let whole = FaultyServer::serve(files.path());
    let mirrors = [&lacking, &broken, &cutting, &whole].map(|server| base(&server.url()));
    let all = Base::of_mirrors(mirrors).unwrap();
    let client = client();
    let got = client.get(&all, "large", 8 << 20, None).unwrap();
    assert_eq!(got.into_required().unwrap(), large());
    assert_eq!(cutting.asked().len(), 1, "the next mirror comes before a retry");
    let missing = client.get(&all, "nowhere", 100, None);
    assert!(matches!(missing, Ok(Got::NotFound(_))), "{missing:?}");
}

#[test]
fn a_mirror_that_may_lag_does_not_decide_that_a_file_is_missing() {
    let (empty, files) = (tempfile::tempdir().unwrap(), files());
    let busy = FaultyServer::with(files.path(), |_| Reaction::status(503));
    let lagging = FaultyServer::serve(empty.path());
    let mirrors =
        |servers: [&FaultyServer; 2]| Base::of_mirrors(servers.map(|server| base(&server.url()))).unwrap();
    let client = client();

    let error = client
        .get(&mirrors([&busy, &lagging]), "small", 100, None)
        .unwrap_err();
    assert!(error.to_string().contains(&busy.url()), "{error}");
    assert!(matches!(fault(error), Fault::Status(503)));
    let missing = client.get(&mirrors([&lagging, &busy]), "small", 100, None);
    assert!(matches!(missing, Ok(Got::NotFound(_))), "{missing:?}");

    busy.set_rule(|asked| match asked.before {
        0 => Reaction::status(503),
        _ => Reaction::Serve,
    });
    busy.forget();
    let got = client
        .get(&mirrors([&busy, &lagging]), "small", 100, None)
        .unwrap();
    assert_eq!(got.into_required().unwrap(), b"small\n");
}

#[test]
fn a_second_try_goes_past_caches() {
    let files = files();
    let server = FaultyServer::serve(files.path());
    let client = client();
    client.get_fresh(&base(&server.url()), "small", 100).unwrap();
    let mut request = super::request(1, &server.url(), "small");
    request.fresh = true;
    client.submit(request);
    client.completions().recv().unwrap();
    for asked in server.asked() {
        assert_eq!(asked.header("cache-control"), Some("no-cache"));
    }
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let files = files();
    let server = FaultyServer::serve(files.path());
    let client = client();
    let Got::Body { validator, .. } = get(&client, &server.url(), "small").unwrap() else {
        panic!("no body");
    };
    let again = |validator| client.get(&base(&server.url()), "small", 100, Some(validator));
    assert!(matches!(again(&validator).unwrap(), Got::NotModified));
    let mut dated = validator.clone();
    dated.etag = None;
    assert!(matches!(again(&dated).unwrap(), Got::NotModified));
    std::fs::write(files.path().join("small"), "other").unwrap();
    assert_eq!(again(&validator).unwrap().into_required().unwrap(), b"other");
}

#[test]
fn redirects_are_followed_and_secrets_stay_behind() {
    let files = files();
    let there = FaultyServer::serve(files.path());
    let to = format!("{}/small", there.url());
    let here = FaultyServer::with(files.path(), move |asked| match asked.path.as_str() {
        "/a/small" => Reaction::redirect("../b/small"),
        _ => Reaction::redirect(&to),
    });
    let options = ClientOptions {
        headers: vec![("X-Token".to_owned(), "secret".to_owned())],
        ..hasty()
    };
    let url = here.url().replace("http://", "http://me:pass@") + "/a";
    let got = get(&Client::new(options).unwrap(), &url, "small").unwrap();
    assert_eq!(got.into_required().unwrap(), b"small\n");
    for asked in here.asked() {
        assert_eq!(asked.header("authorization"), Some("Basic bWU6cGFzcw=="));
        assert_eq!(asked.header("x-token"), Some("secret"));
    }
    for asked in there.asked() {
        assert_eq!(
            (asked.header("authorization"), asked.header("x-token")),
            (None, None)
        );
    }
    assert_eq!((here.asked().len(), there.asked().len()), (2, 1));
}

#[test]
fn redirects_that_lead_nowhere_end() {
    let files = files();
    for (to, told) in [
        ("/round", "more than 10 redirects"),
        ("file:///etc/passwd", "another scheme"),
        ("http://[", "what is no URL"),
    ] {
        let server = FaultyServer::with(files.path(), move |_| Reaction::redirect(to));
        let error = fault(get(&client(), &server.url(), "small").unwrap_err());
        assert!(
            matches!(&error, Fault::Redirect(text) if text.contains(told)),
            "{error:?}"
        );
        assert!(server.asked().len() <= 11);
    }
}

#[test]
fn nobody_there_is_a_passing_fault_and_names_the_place() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let error = get(
        &client(),
        &format!("http://me:secret@127.0.0.1:{port}/repo"),
        "summary",
    )
    .unwrap_err();
    let text = error.to_string();
    let text = format!("{text}: {:?}", fault(error));
    assert!(
        text.starts_with(&format!("While fetching http://127.0.0.1:{port}/repo/summary: ")),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn local_repositories_are_read_and_not_left() {
    let directory = tempfile::tempdir().unwrap();
    super::write(directory.path(), "repo/refs/heads/app", "x");
    super::write(directory.path(), "repo/large", large());
    super::write(directory.path(), "secret", "s");
    let repo = directory.path().join("repo");
    std::os::unix::fs::symlink("app", repo.join("refs/heads/alias")).unwrap();
    std::os::unix::fs::symlink("../secret", repo.join("leak")).unwrap();
    let url = format!("file://{}", repo.display());
    let client = client();
    assert_eq!(
        get(&client, &url, "refs/heads/alias")
            .unwrap()
            .into_required()
            .unwrap(),
        b"x"
    );
    assert_eq!(fetch(&client, &url, "large").unwrap(), large());
    assert!(matches!(
        get(&client, &url, "refs/heads/none"),
        Ok(Got::NotFound(_))
    ));
    assert!(get(&client, &url, "leak").is_err());
    assert!(get(&client, &url, "../secret").is_err());
    assert!(matches!(
        client.get(&base(&url), "large", 1000, None).map_err(fault),
        Err(Fault::TooLarge { limit: 1000 })
    ));
}
