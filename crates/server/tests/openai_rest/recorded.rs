//! What programs send that people run beside a server, at their defaults, as their own HTTP clients sent it to a socket.
//!
//! Recorded in November 2026 from Home Assistant 2026.11.0, 2026.2.3 and 2024.3.3, Open WebUI 0.12.4 and SillyTavern 1.19.0 (both with
//! their pages in a browser), AnythingLLM 1.16.0 (its server without a database), and `@librechat/agents` 3.9.2, LibreChat's library for
//! its requests of language models. LibreChat's speech and transcription are its calls restated, because its server is on no
//! registry. Identifiers are replaced, and of the 36 tools that Open WebUI describes with each request the six stayed that differ in form.

use std::convert::Infallible;

use antiphon_server::settings::Settings;
use futures_util::stream;
use reqwest::Body;
use serde_json::Value;

use crate::audio;
use crate::support::Server;

/// A program, a path and a body, separated by tabs, on each line.
const BODIES: &str = include_str!("recorded.tsv");
/// A program, and its form before and after the audio, with the boundary `b`. Lines end with CR and LF on the wire.
const FORMS: [(&str, &str, &str); 4] = [
    (
        "AnythingLLM",
        "--b\nContent-Disposition: form-data; name=\"model\"\n\nwhisper-1\n--b\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"audio.wav\"\nContent-Type: application/octet-stream\n\n",
        END,
    ),
    (
        "Home Assistant",
        "--b\nContent-Disposition: form-data; name=\"model\"\n\ngpt-4o-mini-transcribe\n--b\n\
         Content-Disposition: form-data; name=\"language\"\n\nen\n--b\n\
         Content-Disposition: form-data; name=\"prompt\"\n\n\
         The following conversation is a smart home user talking to Home Assistant.\n--b\n\
         Content-Disposition: form-data; name=\"response_format\"\n\njson\n--b\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\nContent-Type: audio/x-wav\n\n",
        END,
    ),
    (
        "LibreChat",
        "--b\nContent-Disposition: form-data; name=\"file\"; filename=\"audio.webm\"\nContent-Type: video/webm\n\n",
        "\n--b\nContent-Disposition: form-data; name=\"model\"\n\nwhisper-1\n--b\n\
         Content-Disposition: form-data; name=\"language\"\n\nen\n--b--\n",
    ),
    // The model is empty unless somebody names one.
    (
        "Open WebUI",
        "--b\nContent-Type: text/plain; charset=utf-8\nContent-Disposition: form-data; name=\"model\"\n\n\n--b\n\
         Content-Type: application/octet-stream\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"b69409d1-67ce-4a6c-8243-62f2cfa60a5f.webm\"\n\n",
        END,
    ),
];
/// The end of a form whose last part is the audio.
const END: &str = "\n--b--\n";

#[tokio::test]
async fn requests_of_programs_are_answered() {
    let server = Server::start(Settings::default());
    let mut programs = Vec::new();
    for line in BODIES.lines() {
        let [program, path, body] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {line}")
        };
        let parsed: Value = serde_json::from_str(body).expect("JSON");
        let request =
            reqwest::Client::new().post(server.url(path)).header("content-type", "application/json");
        let answer = request.body(body.to_owned()).send().await.expect("a reply");
        let (status, media_type) = (answer.status(), answer.headers()["content-type"].clone());
        let text = answer.bytes().await.expect("a body");
        assert_eq!(status, 200, "{program}: {}", String::from_utf8_lossy(&text));
        let expected = match path {
            "/v1/audio/speech" => "audio/mpeg",
            _ if parsed["stream"] == true => "text/event-stream",
            _ => "application/json",
        };
        assert_eq!(media_type, expected, "{program}");
        programs.push(program);
    }
    programs.dedup();
    assert_eq!(programs, ["AnythingLLM", "Home Assistant", "LibreChat", "Open WebUI", "SillyTavern"]);
}

#[tokio::test]
async fn recordings_of_programs_are_transcribed() {
    let server = Server::start(Settings::default());
    let lines = |text: &str| text.replace('\n', "\r\n").into_bytes();
    for (program, before, after) in FORMS {
        let form = [lines(before), audio::wav(&audio::noise(32_000), 16_000), lines(after)].concat();
        // In chunks, without its length, as Open WebUI and LibreChat send it.
        let chunks: Vec<_> = form.chunks(8_192).map(|chunk| Ok::<_, Infallible>(chunk.to_vec())).collect();
        let request = reqwest::Client::new().post(server.url("/v1/audio/transcriptions"));
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        let answer = request.body(Body::wrap_stream(stream::iter(chunks))).send().await.expect("a reply");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert_eq!(status, 200, "{program}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert!(answer["text"].as_str().is_some_and(|text| text.contains("word")), "{program}: {text}");
    }
}
