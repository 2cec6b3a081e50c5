//! Runs OpenAI's own client libraries against the server, with engines that fail on demand.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says so in print"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use antiphon_desk::Keys;
use antiphon_server::settings::{Settings, Tls};
use antiphon_testkit::{client, models, repository, testdata};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use support::Server;
use support::tools::until;

/// Longest time for one script. Scripts take two seconds; starting the interpreter for the first time on a busy
/// machine takes several more.
const LIMIT: Duration = Duration::from_mins(2);
const KEY: &str = "sk-clients";
const LONG_ANSWER: &str = "It is a long story, and it begins in a small town by the sea. There was a lighthouse, \
    and in the lighthouse lived an old man with his dog. Every evening the two of them went down to the water, \
    and every evening they counted the ships that came home.";

/// Runs a script against a server that is started for it.
async fn run(interpreter: &Path, script: &str, tls: Option<Tls>) {
    let server = Server::start(Settings { keys: Keys::new([KEY]), tls, ..Settings::default() });
    let script = Command::new(interpreter)
        .arg(client(script))
        .env("ANTIPHON_URL", server.url(""))
        .env("ANTIPHON_KEY", KEY)
        .env("ANTIPHON_ENGINES", "test")
        .env("NODE_EXTRA_CA_CERTS", certificates().join("localhost.crt"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(LIMIT, script).await.expect("the script ends in time").expect("it runs");
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{printed}");
    assert!(output.status.success(), "{printed}\n{errors}");
    until("every call is over", || server.app.desk.calls.active() == 0).await;
    server.stop().await;
}

async fn run_python(script: &str) {
    run(&client(".venv/bin/python"), script, None).await;
}

/// Runs a script with the packages of its own folder.
async fn run_python_in(folder: &str) {
    run(&client(&format!("{folder}/.venv/bin/python")), &format!("{folder}/check.py"), None).await;
}

async fn run_node(package: &str, script: &str, tls: Option<Tls>) {
    run(&node(package), script, tls).await;
}

/// The Node interpreter for a script that uses `package`: the system's, or that of `scripts/setup-test.sh` where the
/// system's is too old.
fn node(package: &str) -> PathBuf {
    // If the package is missing, this reports it more clearly than the script would.
    client(&format!("node_modules/{package}"));
    let own = repository().join("tests/clients/node/node_modules/node/bin/node");
    if own.exists() { own } else { PathBuf::from("node") }
}

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support")
}

#[tokio::test(flavor = "multi_thread")]
async fn frameworks_of_agents_are_served_at_their_defaults() {
    run_python_in("frameworks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_agents_are_served_at_their_defaults() {
    run_python_in("voice_agents").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn home_assistant_hears_and_speaks_through_wyoming_openai() {
    run_python_in("wyoming").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_description_allows_or_forbids_is_answered_as_it_says() {
    run_python_in("schemathesis").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdk_is_served_at_its_defaults() {
    run_node("@ai-sdk/openai", "ai_sdk/check.mjs", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_library_is_served() {
    run_python("openai_rest/check.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_library_is_served() {
    run_node("openai", "openai_rest/check.mjs", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_library_converses() {
    run_python("realtime/check.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_library_converses() {
    let tls = Tls { cert: certificates().join("localhost.crt"), key: certificates().join("localhost.key") };
    run_node("openai", "realtime/check.mjs", Some(tls)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_sdk_converses() {
    run_node("@openai/agents-realtime", "realtime/agents.mjs", None).await;
}

/// Speech recognition and speech synthesis are real. Only the answers are fixed, and long enough to be interrupted.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_converses_on_the_talk_page() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(models().parent().expect("a data directory"))
        .env("ANTIPHON_LLM__ENGINE", "sim")
        .env("ANTIPHON_LLM__TEXT", LONG_ANSWER)
        .env("ANTIPHON_LLM__TOKENS", "80")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut printed = BufReader::new(server.stdout.take().expect("its output")).lines();
    let line = tokio::time::timeout(LIMIT, printed.next_line()).await.expect("it listens in time");
    let line = line.expect("text").expect("a line");
    let url = line.strip_prefix("Antiphon listens on ").expect("its address");
    let script = Command::new(node("playwright-core"))
        .arg(client("talk_page/check.mjs"))
        .env("ANTIPHON_URL", url)
        .env("ANTIPHON_SPEECH", testdata("read_speech/spk1_snt1.wav"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(LIMIT, script).await.expect("the script ends in time").expect("it runs");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}\n{errors}");
}

/// The page is tested first with made-up figures for each of its states, then with those of a real server.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_the_dashboard() {
    let server = Server::start(Settings::default());
    for url in [None, Some(server.url(""))] {
        let mut script = Command::new(node("playwright-core"));
        script.arg(client("dashboard/check.mjs")).env_remove("ANTIPHON_URL");
        if let Some(url) = url {
            script.env("ANTIPHON_URL", url);
        }
        let output =
            tokio::time::timeout(LIMIT, script.stdin(Stdio::null()).kill_on_drop(true).output()).await;
        let output = output.expect("the script ends in time").expect("it runs");
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{said}");
        assert!(output.status.success(), "{said}\n{errors}");
    }
    server.stop().await;
}
