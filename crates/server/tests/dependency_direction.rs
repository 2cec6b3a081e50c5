//! Which crate may import which: see docs/ARCHITECTURE.md.

use std::process::Command;

use serde_json::Value;

/// What each crate may import of the others.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("macros", &[]),
    ("audio", &["core"]),
    ("providers", &["core"]),
    ("flow", &["core"]),
    ("memory", &["core"]),
    ("telemetry", &["core", "macros"]),
    ("lab", &["core", "audio"]),
    ("agent", &["core", "audio"]),
    ("stack", &["core", "audio", "providers", "flow", "memory", "agent"]),
    ("server", &["core", "audio", "flow", "telemetry", "agent", "lab", "stack"]),
];

#[test]
fn crates_import_only_what_they_may() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut checked = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name").strip_prefix("antiphon-").expect("ours");
        let (_, allowed) = ALLOWED.iter().find(|(known, _)| *known == name).expect("a known crate");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            // Tests and benchmarks may use what they like.
            if dependency["kind"] == "dev" {
                continue;
            }
            if let Some(imported) = dependency["name"].as_str().and_then(|n| n.strip_prefix("antiphon-")) {
                assert!(allowed.contains(&imported), "{name} imports {imported}");
            }
        }
        checked += 1;
    }
    assert_eq!(checked, ALLOWED.len());
}
