//! Checks which crate imports which: see docs/ARCHITECTURE.md.

use std::process::Command;

use serde_json::Value;

/// The crates that each crate may import. Some of them do not exist yet. `testkit` may be imported by tests only.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("audio", &["core"]),
    ("providers", &["core"]),
    ("flow", &["core"]),
    ("cache", &["core", "flow"]),
    ("store", &["core"]),
    ("memory", &["core", "store"]),
    ("telemetry", &["core"]),
    ("lab", &["core", "audio", "telemetry"]),
    ("agent", &["core", "audio"]),
    ("stack", &["core", "audio", "providers", "flow", "cache", "memory", "agent"]),
    ("desk", &["core", "agent", "store", "telemetry"]),
    ("transports", &["core", "audio", "agent", "desk", "telemetry"]),
    (
        "server",
        &[
            "core",
            "audio",
            "providers",
            "flow",
            "cache",
            "store",
            "memory",
            "telemetry",
            "lab",
            "agent",
            "stack",
            "desk",
            "transports",
        ],
    ),
    ("testkit", &["core", "audio"]),
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
        let (_, allowed) = ALLOWED.iter().find(|(known, _)| *known == name).unwrap_or_else(|| {
            panic!("{name} is new: say here and in docs/ARCHITECTURE.md what it may import");
        });
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            // Tests and benchmarks may import any crate.
            if dependency["kind"] == "dev" {
                continue;
            }
            if let Some(imported) = dependency["name"].as_str().and_then(|n| n.strip_prefix("antiphon-")) {
                assert!(allowed.contains(&imported), "{name} imports {imported}");
            }
        }
        checked += 1;
    }
    assert!(checked >= 10, "only {checked} crates were found");
}
