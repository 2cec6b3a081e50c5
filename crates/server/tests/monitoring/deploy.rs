//! The dashboards and alert rules in `deploy/` refer only to metrics that the server exports.

use std::path::PathBuf;
use std::process::Command;

use crate::program::{Place, SIMULATED};

/// The path of `scripts/check-deploy.sh`. It would download promtool, which a test must not, so promtool must be
/// there already.
fn check() -> PathBuf {
    let root = antiphon_testkit::repository();
    let fetched = root.join("tests/clients/promtool/usr/bin/promtool").is_file();
    let there = fetched || Command::new("promtool").arg("--version").output().is_ok();
    assert!(there, "no promtool: scripts/check-deploy.sh fetches it");
    root.join("scripts/check-deploy.sh")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_exports_what_rules_and_dashboards_ask_for() {
    let script = check();
    let place = Place::with_caches("");
    // Only a remote engine has these limits. It is never asked, because the first engine answers.
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
