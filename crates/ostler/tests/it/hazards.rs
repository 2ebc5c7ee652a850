//! The list of hazards, compared with the tests: each number is there once, and each test that is named exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the cells of each row of the table.
fn rows(list: &str) -> Vec<Vec<String>> {
    let rows = list.lines().filter(|line| line.starts_with("| H"));
    rows.map(|line| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// Returns what stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Returns whether `crate::module::test` is a test.
fn exists(path: &str) -> bool {
    let parts: Vec<_> = path.split("::").collect();
    let [package, modules @ .., test] = parts.as_slice() else {
        return false;
    };
    let tests = workspace()
        .join("crates")
        .join(package.replace('_', "-"))
        .join("tests/it");
    let file = tests.join(modules.join("/"));
    let candidates = [file.with_extension("rs"), file.join("mod.rs")];
    let text = candidates.iter().find_map(|path| fs::read_to_string(path).ok());
    let lines: Vec<_> = text
        .as_deref()
        .unwrap_or_default()
        .lines()
        .map(str::trim)
        .collect();
    let is_named = |line: &str| line.starts_with(&format!("fn {test}("));
    let Some(at) = lines.iter().position(|line| is_named(line)) else {
        return false;
    };
    let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    attributes.into_iter().any(|line| *line == "#[test]")
}

#[test]
fn every_hazard_has_a_number_of_its_own_and_tests_that_exist() {
    let list = fs::read_to_string(workspace().join("docs/hazards.md")).unwrap();
    let rows = rows(&list);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row.len(), 5, "{row:?}");
        assert_eq!(row[0], format!("H{}", index + 1));
        let tests = quoted(&row[4]);
        assert!(!tests.is_empty(), "{} is guarded by nothing", row[0]);
        for test in tests {
            assert!(exists(test), "{}: there is no test {test}", row[0]);
        }
    }
    assert!(rows.len() >= 40, "numbers stay");
    assert!(!exists("ostler::hazards::no_such_test"));
}

#[test]
fn the_simulation_and_every_rule_that_it_sees_broken_are_in_the_list() {
    let list = fs::read_to_string(workspace().join("docs/hazards.md")).unwrap();
    let named: BTreeSet<_> = quoted(&list).into_iter().collect();
    let broken = workspace().join("crates/ostler-transfer/tests/it/simulation/broken.rs");
    let text = fs::read_to_string(broken).unwrap();
    let tests = text.split("#[test]\nfn ").skip(1);
    for test in tests.filter_map(|rest| rest.split('(').next()) {
        let path = format!("ostler_transfer::simulation::broken::{test}");
        assert!(named.contains(path.as_str()), "{path} guards no hazard");
    }
}
