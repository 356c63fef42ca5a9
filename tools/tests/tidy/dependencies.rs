//! Who may depend on whom: the table of ARCHITECTURE.md, read from `cargo metadata`.

use std::process::Command;

use serde_json::Value;

use super::{assert_none, root};

/// Normal dependencies inside the workspace; a crate that may use all is not listed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("flumen-protocol", &["flumen-protocol-derive"]),
    ("flumen-protocol-derive", &[]),
    ("flumen-planted", &[]),
    ("flumen-storage", &["flumen-planted", "flumen-protocol"]),
    ("flumen-client", &["flumen-protocol"]),
    ("flumen-producer", &["flumen-client", "flumen-protocol"]),
    ("flumen-consumer", &["flumen-client", "flumen-protocol"]),
    ("flumen-broker", &["flumen-planted", "flumen-protocol", "flumen-storage", "flumen-client"]),
    // Stands in for somebody else's crate, so it knows none of ours.
    ("base2histogram", &[]),
];

/// Crates that may use every other.
const FREE: &[&str] = &["flumen-tools", "flumen-benches", "flumen-sim", "flumen-differential"];

/// Other people's crates that are kept out of a crate of ours, and why.
const BANNED: &[(&str, &[&str], &str)] = &[
    ("flumen-protocol", &["tokio", "openraft", "axum"], "the protocol does no I/O"),
    ("flumen-storage", &["tokio", "openraft", "axum"], "storage is synchronous"),
    ("flumen-client", &["openraft", "axum", "flumen-storage"], "services link it"),
    ("flumen-producer", &["openraft", "axum"], "services link it"),
    ("flumen-consumer", &["openraft", "axum"], "services link it"),
];

#[test]
fn crates_depend_as_the_table_says() {
    let mut offences = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let normal = normal_dependencies(&package);
        let own = normal.iter().filter(|dependency| dependency.starts_with("flumen-"));
        match ALLOWED.iter().find(|(row, _)| *row == name) {
            Some((_, allowed)) => {
                for dependency in own.filter(|dependency| !allowed.contains(&dependency.as_str())) {
                    offences.push(format!("{name} depends on {dependency}"));
                }
            }
            None if FREE.contains(&name) => {}
            None => offences.push(format!("{name} is not in the table")),
        }
        for (_, banned, why) in BANNED.iter().filter(|(row, ..)| *row == name) {
            for dependency in normal.iter().filter(|found| banned.contains(&found.as_str())) {
                offences.push(format!("{name} depends on {dependency}: {why}"));
            }
        }
    }
    assert_none("dependencies that the table does not allow", &offences);
}

#[test]
fn crates_take_lints_and_versions_from_the_workspace() {
    let mut offences = Vec::new();
    for package in packages() {
        let manifest = std::path::PathBuf::from(package["manifest_path"].as_str().unwrap());
        let name = manifest.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&manifest).unwrap();
        if !text.contains("[lints]\nworkspace = true") {
            offences.push(format!("{name}: no `[lints] workspace = true`"));
        }
        let mut in_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !line.contains("workspace = true") {
                offences.push(format!("{name}: `{line}` does not come from the workspace"));
            }
        }
    }
    assert_none("manifests", &offences);
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn normal_dependencies(package: &Value) -> Vec<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}
