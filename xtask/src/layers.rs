//! Checks that the crates keep to their layers: which of our crates each may use, and that the lower ones
//! stay free of network and async crates. The compiler holds the arrows; this holds what may hang on them.

use crate::step;
use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// Each crate with those of ours that it may use, directly or not.
const ARROWS: &[(&str, &[&str])] = &[
    ("ostler-format", &[]),
    ("ostler-repo", &["ostler-format"]),
    ("ostler-transfer", &["ostler-format", "ostler-repo"]),
    (
        "ostler-serve",
        &["ostler-format", "ostler-repo", "ostler-transfer"],
    ),
];

/// Crates that speak to a network or bring an async runtime: not in the lower layers. (ring does neither: it signs.)
const NETWORK_OR_ASYNC: &[&str] = &[
    "async-io",
    "async-std",
    "async-trait",
    "axum",
    "curl",
    "futures",
    "futures-core",
    "futures-util",
    "h2",
    "http",
    "hyper",
    "hyper-util",
    "mio",
    "native-tls",
    "openssl",
    "quinn",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tower",
    "tungstenite",
    "ureq",
];

/// Crates that do I/O of any kind: not below `ostler-format`. (libc is: it names the features of processors.)
const IO: &[&str] = &["memmap2", "nix", "rustix", "signal-hook", "tempfile", "walkdir"];

/// Prints each crate that was found to keep to its layer.
///
/// # Errors
/// With the crate and the dependency that it must not have.
pub(crate) fn check() -> Result<()> {
    step::announce("layers");
    for (package, may_use) in ARROWS {
        let found = dependencies(package)?;
        let mut forbidden: BTreeSet<&str> = BTreeSet::new();
        if matches!(*package, "ostler-format" | "ostler-repo") {
            forbidden.extend(NETWORK_OR_ASYNC);
        }
        if *package == "ostler-format" {
            forbidden.extend(IO);
        }
        for dependency in &found {
            let ours = dependency.starts_with("ostler") && !may_use.contains(&dependency.as_str());
            if ours || forbidden.contains(dependency.as_str()) {
                bail!("{package} must not depend on {dependency}");
            }
        }
        println!("{package}: {} dependencies, none out of its layer", found.len());
    }
    Ok(())
}

/// Returns the names of all crates that end up in `package`.
fn dependencies(package: &str) -> Result<BTreeSet<String>> {
    let tree = step::output_of(step::cargo().args([
        "tree",
        "--locked",
        "--package",
        package,
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--all-features",
        "--target",
        "all",
    ]))?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect())
}
