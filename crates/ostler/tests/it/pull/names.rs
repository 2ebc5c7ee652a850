//! Names of hosts: from `/etc/hosts`, and from the servers that `/etc/resolv.conf` names. Each command has its own of both.

use super::scene::Scene;
use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, describe};
use ostler_testkit::name_server::NameServer;
use std::fs;
use std::process::Output;

/// Pulls from the served repository by the name of a host, where `/etc` has these files.
fn pull(scene: &Scene, host: &str, hosts: &str, servers: &str) -> (Output, String) {
    fs::write(scene.path("hosts"), hosts).unwrap();
    fs::write(scene.path("resolv.conf"), servers).unwrap();
    let client = scene.client("client", "archive");
    let url = scene.nginx.url().replace("127.0.0.1", host);
    client.run(&["config", "set", "remote \"origin\".url", &url]);
    // The name server of the machine may be a link to a file that is not there.
    let script = format!(
        "mount --bind hosts /etc/hosts && mount --bind resolv.conf \"$(readlink -f /etc/resolv.conf)\" && \
         exec {OSTLER} --repo=client pull --network-retries=0 origin app"
    );
    let mut unshared = command("unshare");
    unshared.args(["--mount", "sh", "-ec", &script]);
    let output = attempt(unshared.current_dir(scene.directory.path()));
    let described = describe(&unshared, &output);
    fs::remove_dir_all(client.path()).unwrap();
    (output, described)
}

#[test]
fn hosts_are_found_by_their_names() {
    let scene = Scene::new();
    let server = NameServer::start("repo.example.test");
    let servers = format!("nameserver {}\n", server.address());

    let hosts = "127.0.0.1 here.example.test other\n";
    let (output, described) = pull(&scene, "here.example.test", hosts, &servers);
    assert!(output.status.success(), "{described}");
    assert_eq!(server.asked(), Vec::<String>::new());

    let (output, described) = pull(&scene, "repo.example.test", "", &servers);
    assert!(output.status.success(), "{described}");
    assert!(server.asked().contains(&"repo.example.test".to_owned()));
}

#[test]
fn a_name_that_nobody_knows_is_told() {
    let scene = Scene::new();
    let server = NameServer::start("repo.example.test");
    let servers = format!("nameserver {}\n", server.address());
    let (output, described) = pull(&scene, "nowhere.example.test", "", &servers);
    assert_eq!(output.status.code(), Some(1), "{described}");
    assert!(described.contains("nowhere.example.test"), "{described}");
}
