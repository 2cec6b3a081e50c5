//! Runs the program as a separate process.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Longest wait for the program. Loading models on a busy machine takes some seconds.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Simulated engines with fixed latencies, so that no model is needed.
pub(crate) const SIMULATED: &str = r#"
[server]
listen = "127.0.0.1:0"
[vad]
engine = "energy"
[turn]
engine = "silence"
silence_ms = 300
[stt]
engine = "sim"
delay_ms = 50
[llm]
engine = "sim"
first_token_ms = 50
token_ms = 2
tokens = 20
[tts]
engine = "sim"
first_audio_ms = 30
audio_ms = 1000
[embed]
engine = "sim"
"#;

/// Caches are off, because tests ask the same question repeatedly and expect it to reach the engines.
const NO_CACHE: &str = "[cache]\nenabled = false\n";

/// A folder with the configuration and the data of a server.
pub(crate) struct Place {
    folder: TempDir,
    data_dir: PathBuf,
}

impl Place {
    /// The simulated engines, with `more` configuration.
    pub(crate) fn new(more: &str) -> Self {
        Self::with_caches(&format!("{NO_CACHE}{more}"))
    }

    /// The same, with the caches at their defaults unless `more` configures them.
    pub(crate) fn with_caches(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self { data_dir: folder.path().to_owned(), folder };
        place.write("antiphon.toml", &format!("{SIMULATED}{more}"));
        place
    }

    /// The same, with the data elsewhere below its folder.
    pub(crate) fn with_data_dir(self, name: &str) -> Self {
        Self { data_dir: self.path(name), ..self }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Replaces a part of the configuration.
    pub(crate) fn replace(&self, part: &str, by: &str) {
        let config = std::fs::read_to_string(self.path("antiphon.toml")).expect("there");
        assert!(config.contains(part), "{config}");
        self.write("antiphon.toml", &config.replace(part, by));
    }

    /// Gives the server the models of this machine.
    pub(crate) fn link_models(&self) {
        std::os::unix::fs::symlink(antiphon_testkit::models(), self.path("models")).expect("linked");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Prepares to run the program in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("ANTIPHON_SERVER__DATA_DIR", &self.data_dir)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the program, and returns its exit code and its output.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = tokio::time::timeout(PATIENCE * 2, self.command(arguments).output()).await;
        let output = output.expect("it ends in time").expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Starts the server, and waits until it listens.
    pub(crate) async fn serve(&self) -> Program {
        // An error means that another provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let log = std::fs::File::create(self.path("log")).expect("a log");
        let mut child =
            self.command(&["serve"]).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut printed = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = tokio::time::timeout(PATIENCE, printed.next_line()).await.expect("it listens in time");
        let line = line.expect("text").unwrap_or_else(|| panic!("{}", self.log()));
        let url = line.strip_prefix("Antiphon listens on ").expect("its address").to_owned();
        Program { child, url, _printed: printed }
    }

    /// What the server has written to its log so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A server that runs as a program of its own.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) url: String,
    _printed: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.expect("it answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.expect("text")).expect("JSON")
    }

    /// A call in which the person types each text and hears the answer to its end.
    pub(crate) async fn typed_call(&self, texts: &[&str], traceparent: Option<&str>) {
        let url = format!("{}/talk/ws", self.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("an address");
        if let Some(traceparent) = traceparent {
            request.headers_mut().insert("traceparent", traceparent.parse().expect("a header"));
        }
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("connects");
        for text in texts {
            let typed = json!({ "type": "text", "text": text });
            socket.send(Message::text(typed.to_string())).await.expect("sent");
            let answered = async {
                while let Some(message) = socket.next().await {
                    let message = message.expect("a message");
                    if message.to_text().is_ok_and(|text| text.contains("\"reply_done\"")) {
                        return;
                    }
                }
                panic!("the server hung up");
            };
            tokio::time::timeout(PATIENCE, answered).await.expect("an answer in time");
        }
        socket.close(None).await.expect("closed");
    }

    /// Stops the server as an operator would.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().expect("it runs").to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
        assert!(killed.success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.expect("it ends in time").expect("it ended").success());
    }
}
