//! What the dashboards and rules of `deploy/` ask for is there to be asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Place, SIMULATED};

/// Where `scripts/check-deploy.sh` is, if promtool is installed or was fetched by it; missing in CI is an error.
fn check() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fetched = root.join("tests/clients/promtool/usr/bin/promtool").is_file();
    let there = fetched || Command::new("promtool").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "no promtool: scripts/check-deploy.sh fetches it");
    if !there {
        println!("skipped: no promtool: scripts/check-deploy.sh fetches it");
    }
    there.then(|| root.join("scripts/check-deploy.sh"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_exports_what_rules_and_dashboards_ask_for() {
    let Some(script) = check() else { return };
    let place = Place::with_caches("");
    // Only an engine elsewhere has a limit; it is never asked, as the first one answers.
    let elsewhere = r#"{ engine = "openai", base_url = "http://127.0.0.1:9/v1", model = "none" }"#;
    let engines = format!("[llm]\nengines = [\"sim\", {elsewhere}]\n");
    place.write("antiphon.toml", &SIMULATED.replace("[llm]\nengine = \"sim\"\n", &engines));
    let server = place.serve().await;
    server.typed_call(&["one"], None).await;
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.expect("answers");
    let scrape = place.write("scrape.txt", &metrics.text().await.expect("text"));
    let output = tokio::process::Command::new(script).arg(scrape).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    server.stop().await;
}
