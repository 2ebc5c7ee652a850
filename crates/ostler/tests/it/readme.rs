//! What the README says is true: its examples work, in the order in which they stand there, its table names
//! every command, and its links lead somewhere.

use ostler_testkit::command::{PATH, command, run};
use ostler_testkit::nginx::Nginx;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Where the repository of the examples is served.
const PUBLISHED_AT: &str = "http://repo.example.com/";

/// The root of the sources.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// Returns the blocks that are marked for running: "sh run".
fn examples(text: &str) -> Vec<String> {
    text.split("\n```sh run\n")
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn examples_work_one_after_the_other() {
    let directory = TempDir::new().unwrap();
    let server = Nginx::serve(&directory.path().join("public"));
    let program = Path::new(env!("CARGO_BIN_EXE_ostler"));
    let path = format!("{}:{PATH}", program.parent().unwrap().display());

    let examples = examples(&readme());
    assert!(examples.len() >= 4, "{} examples found", examples.len());
    for example in examples {
        let example = example.replace(PUBLISHED_AT, &server.url());
        run(command("bash")
            .args(["-euo", "pipefail", "-c", &example])
            .env("PATH", &path)
            .current_dir(directory.path()));
    }
}

#[test]
fn table_names_every_command() {
    let listed: BTreeSet<String> = readme()
        .lines()
        .skip_while(|line| *line != "## Commands")
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect();
    let help = run(command(env!("CARGO_BIN_EXE_ostler")).arg("--help"));
    let commands: BTreeSet<String> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect();
    assert_eq!(listed, commands);
}

#[test]
fn links_lead_to_files() {
    let readme = readme();
    let links: Vec<&str> = readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.starts_with("http"))
        .collect();
    assert!(links.len() >= 5, "{links:?}");
    for link in links {
        assert!(root().join(link).is_file(), "{link}");
    }
}
