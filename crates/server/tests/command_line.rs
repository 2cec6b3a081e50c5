//! The program as users call it: its output, and its errors when something is missing or broken.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says so in print"
)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

fn antiphon(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    // The configurations of the user and of the current folder must not influence the test.
    command.args(arguments).current_dir(std::env::temp_dir()).env("XDG_CONFIG_HOME", "/nonexistent");
    // Each test sets the models' folder itself.
    command.env_remove("ANTIPHON_MODELS");
    command
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs a command that must fail with exit code `code`, and returns its error message.
fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("it runs");
    let (printed, error) = said(&output);
    assert_eq!(output.status.code(), Some(code), "{printed}{error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

#[test]
fn wrong_usage_is_exit_code_two_and_a_failure_one() {
    fails(&mut antiphon(&["sing"]), 2);
    fails(&mut antiphon(&["talk", "--in"]), 2);
    let error = fails(&mut antiphon(&["--config", "no/such.toml", "config", "check"]), 1);
    assert!(error.contains("no/such.toml"), "{error}");
    let error = fails(antiphon(&["config", "check"]).env("ANTIPHON_TURN__SILENCE", "1"), 1);
    assert!(error.contains("silence_ms"), "{error}");
}

#[test]
fn what_is_no_configuration_file_is_refused_with_what_to_do() {
    use std::os::unix::ffi::OsStringExt;

    let error = fails(&mut antiphon(&["config", "check", "--config", "/tmp"]), 1);
    assert!(error.contains("cannot read /tmp: it is a folder; name the file in it"), "{error}");
    let error = refused(b"[agent]\ngreeting = \"caf\xE9\"");
    assert!(error.contains("antiphon.toml:2: this line is no valid UTF-8"), "{error}");
    let error = fails(antiphon(&["config", "check"]).env("ANTIPHON_AGENT__GRETING", "Hi"), 1);
    assert!(
        error.contains("ANTIPHON_AGENT__GRETING: unknown key `greting` in [agent]; did you mean `greeting`?"),
        "{error}"
    );
    let bytes = std::ffi::OsString::from_vec(vec![0xFF]);
    let error = fails(antiphon(&["config", "check"]).env("ANTIPHON_AGENT__GREETING", &bytes), 1);
    assert!(error.contains("ANTIPHON_AGENT__GREETING: the value is no valid UTF-8"), "{error}");
    let output = antiphon(&["config", "check"]).env("OTHER", &bytes).output().expect("it runs");
    assert!(output.status.success(), "what belongs to others is none of its business: {}", said(&output).1);
}

/// The error of `config check` for a file with this text.
fn refused(text: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("antiphon.toml");
    std::fs::write(&file, text).expect("written");
    fails(antiphon(&["config", "check", "--config"]).arg(&file), 1)
}

#[test]
fn the_check_refuses_what_the_server_would_refuse() {
    for (text, says) in [
        ("[telemetry]\nlog = \"info,antiphon=loud\"", "[telemetry] log = \"info,antiphon=loud\": "),
        (
            "[telemetry]\nlog = \"verbose\"",
            "[telemetry] log = \"verbose\": that is no level; give one of off, error",
        ),
        (
            "[server]\ntls = { cert = \"/no/cert.pem\", key = \"/no/key.pem\" }",
            "[server.tls] cert: /no/cert.pem cannot be",
        ),
        ("[server]\ntls = { cert = \"/etc/hostname\", key = \"/etc/hostname\" }", "[server.tls] "),
        ("[kb]\nfiles = [\"/no/faq.md\"]", "[kb] files: cannot read /no/faq.md"),
        ("[llm]\nengine = \"openai\"", "[llm] engine = \"openai\" needs a model"),
        ("[llm]\nengine = \"opnai\"", "did you mean \"openai\"?"),
        (
            "[llm]\nbase_url = \"localhost:8000\"\nmodel = \"m\"",
            "[llm] base_url = \"localhost:8000\" must be an address",
        ),
        ("[cache]\nredis_url = \"redis://\"", "[cache] redis_url = (a secret) must be redis://"),
        ("[stt]\nengine = \"deepgram\"", "[stt] engine = \"deepgram\" needs a key"),
        ("[agent]\ntools = [\"thyme\"]", "[agent] tools: there is no tool 'thyme'; there is time"),
        ("[llm.llama]\ncontext = 1", "[llm.llama] context = 1 must be between 512 and"),
    ] {
        let error = refused(text.as_bytes());
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn every_model_is_listed_for_machines() {
    let output = antiphon(&["models", "list", "--json"]).output().expect("it runs");
    let (printed, error) = said(&output);
    assert!(output.status.success(), "{error}");
    let models: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for id in ["silero-vad", "kokoro-82m", "wake-words", "whisper-base"] {
        assert!(models.iter().any(|model| model["id"] == id && model["size"].as_u64() > Some(1_000)), "{id}");
    }
    let error = fails(&mut antiphon(&["models", "pull", "no-such-model"]), 1);
    assert!(error.contains("silero-vad"), "{error}");
}

#[test]
fn missing_models_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path");
    for command in [&["say", "hello"][..], &["chat", "hello"], &["serve", "--listen", "127.0.0.1:0"]] {
        let error = fails(antiphon(command).args(["--data-dir", data]), 1);
        assert!(error.contains("models pull"), "{command:?}: {error}");
    }
    let output = antiphon(&["doctor", "--json", "--data-dir", data]).output().expect("it runs");
    let (printed, _) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let checks: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let models = checks.iter().find(|check| check["check"] == "models").expect("a check of the models");
    assert_eq!(models["verdict"], "failed");
    assert!(models["found"].as_str().is_some_and(|found| found.contains("models pull")), "{models}");
}

#[test]
fn a_corrupt_model_is_named() {
    let models = antiphon_testkit::models();
    let folder = tempfile::tempdir().expect("a folder");
    for broken in [
        "silero-vad/silero_vad.onnx",
        "moonshine-tiny-en/decoder_model_merged.ort",
        "moonshine-tiny-en/tokenizer.bin",
        "piper-en_US-joe-medium/en_US-joe-medium.onnx.json",
        "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf",
    ] {
        let data = folder.path().join(broken.replace('/', "_"));
        link(&models, &data.join("models"), broken);
        let error = fails(antiphon(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data), 1);
        let name = Path::new(broken).file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(error.contains(name), "{broken}: {error}");
    }
}

/// A copy of a folder of models that consists of links, in which one file is damaged.
fn link(from: &Path, to: &Path, broken: &str) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            let inside = broken.strip_prefix(&format!("{}/", name.to_string_lossy())).unwrap_or_default();
            link(&path, &to.join(&name), inside);
        } else if name.to_str() == Some(broken) {
            std::fs::write(to.join(&name), b"this is no model").expect("written");
        } else {
            std::os::unix::fs::symlink(&path, to.join(&name)).expect("linked");
        }
    }
}

#[test]
fn keys_are_explained_and_old_names_tell_the_new_one() {
    let run = |command: &mut Command| {
        let output = command.output().expect("it runs");
        let (printed, error) = said(&output);
        assert!(output.status.success(), "{printed}{error}");
        (printed, error)
    };
    let (text, _) = run(&mut antiphon(&["config", "keys", "tts.elevenlabs.stability"]));
    assert!(
        text.contains("between 0 and 1") && text.contains("ANTIPHON_TTS__ELEVENLABS__STABILITY"),
        "{text}"
    );
    let (lines, _) = run(&mut antiphon(&["config", "keys", "--json"]));
    let keys: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(keys.iter().any(|key| key["path"] == "llm.sim.tokens" && key["default"] == 20));
    let error = fails(&mut antiphon(&["config", "keys", "nothing"]), 1);
    assert!(error.contains("config keys"), "{error}");
    let (_, error) = run(antiphon(&["config", "check"]).env("ANTIPHON_POOL__THREADS", "1"));
    assert_eq!(error, "antiphon: ANTIPHON_POOL__THREADS is now ANTIPHON_ADVANCED__MODEL_THREADS\n");
    let (shown, _) = run(antiphon(&["config", "show"]).env("ANTIPHON_LLM__TOKENS", "7"));
    let line = shown.lines().find(|line| line.starts_with("tokens = 7"));
    assert!(line.is_some_and(|line| line.ends_with("# ANTIPHON_LLM__TOKENS")), "{shown}");
    assert!(shown.contains("[server.limits]\n"), "{shown}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = antiphon(&["completions", shell]).output().expect("it runs");
        assert!(output.status.success() && said(&output).0.contains("antiphon"), "{shell}");
    }
}

/// Recordings take the place of the sound programs: one is what the person says, the other receives what the
/// loudspeaker plays.
#[test]
fn a_conversation_at_the_microphone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let second = |level: i16| (0..16_000).map(move |n| if n / 40 % 2 == 0 { level } else { -level });
    let speech: Vec<i16> = second(0).chain(second(4_000)).chain(second(4_000).take(3_000)).collect();
    let bytes: Vec<u8> = speech.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(folder.path().join("speech"), bytes).expect("written");
    for (program, does) in [
        ("pactl", "exit 1"),
        (
            "arecord",
            "[ \"$1\" = --version ] && exit 0; cat speech; dd if=/dev/zero bs=32000 count=5 status=none; exec sleep 3",
        ),
        ("aplay", "exec cat >> played"),
    ] {
        let path = folder.path().join(program);
        std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let talk = |arguments: &[&str]| {
        let output = antiphon(&["talk"])
            .args(arguments)
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("ANTIPHON_VAD__ENGINE", "energy")
            .env("ANTIPHON_TURN__ENGINE", "silence")
            .envs(["STT", "LLM", "TTS", "EMBED"].map(|stage| (format!("ANTIPHON_{stage}__ENGINE"), "fake")))
            .output()
            .expect("it runs");
        let (printed, error) = said(&output);
        assert!(output.status.success(), "{printed}{error}");
        printed
    };
    assert_eq!(talk(&[]), "you: one word\nagent: one word\n");
    let played = std::fs::metadata(folder.path().join("played")).expect("something was played").len();
    assert!(played > 10_000, "{played} bytes");
    let turn: serde_json::Value = serde_json::from_str(talk(&["--json"]).trim()).expect("one line");
    assert_eq!(turn["reply"], "one word");
    assert!(turn["latency_ms"]["total"].as_f64().is_some_and(|total| total > 0.0), "{turn}");
}
