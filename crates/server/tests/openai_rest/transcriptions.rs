use antiphon_server::settings::Settings;
use reqwest::Response;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::Server;
use crate::support::schema::assert_is;
use crate::{audio, error, events};

async fn post(server: &Server, form: Form) -> Response {
    let url = server.url("/v1/audio/transcriptions");
    reqwest::Client::new().post(url).multipart(form).send().await.expect("a reply")
}

/// Three seconds of audio, of which the middle one is silent.
fn speech() -> Part {
    let mut samples = audio::noise(48_000);
    samples[16_000..32_000].fill(0);
    Part::bytes(audio::wav(&samples, 16_000)).file_name("a.wav")
}

fn form(fields: &[(&'static str, &'static str)]) -> Form {
    let form = Form::new().text("model", "whisper-1");
    // The file comes last, because some clients send it so.
    fields.iter().fold(form, |form, (name, value)| form.text(*name, *value)).part("file", speech())
}

#[tokio::test]
async fn every_format_holds_the_text() {
    let server = Server::start(Settings::default());
    let reply: Value = post(&server, form(&[])).await.json().await.unwrap();
    assert_is("CreateTranscriptionResponseJson", &reply);
    assert_eq!(reply, json!({"text": "one word one word", "usage": {"type": "duration", "seconds": 3.0}}));

    for (format, media_type, expected) in [
        ("text", "text/plain; charset=utf-8", "one word one word\n"),
        (
            "srt",
            "application/x-subrip; charset=utf-8",
            "1\n00:00:00,000 --> 00:00:01,000\none word\n\n2\n00:00:02,000 --> 00:00:03,000\none word\n\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\none word\n\n00:00:02.000 --> 00:00:03.000\none word\n\n",
        ),
    ] {
        let response = post(&server, form(&[("response_format", format)])).await;
        assert_eq!(response.headers()["content-type"], media_type);
        assert_eq!(response.text().await.unwrap(), expected, "{format}");
    }
}

#[tokio::test]
async fn verbose_json_tells_the_times_of_segments_and_words() {
    let server = Server::start(Settings::default());
    let verbose = ("response_format", "verbose_json");
    let both = [verbose, ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")];
    let reply: Value = post(&server, form(&both)).await.json().await.unwrap();
    assert_is("CreateTranscriptionResponseVerboseJson", &reply);
    assert_eq!(reply["segments"][1]["start"], 2.0);
    assert_eq!(reply["words"][3], json!({"word": "word", "start": 2.0 + 3.0 / 7.0, "end": 3.0}));
    assert_eq!(reply["duration"], 3.0);

    let reply: Value = post(&server, form(&[verbose, ("language", "en")])).await.json().await.unwrap();
    assert_eq!((&reply["language"], reply.get("words")), (&json!("english"), None));
    let words = [verbose, ("timestamp_granularities[]", "word")];
    let reply: Value = post(&server, form(&words)).await.json().await.unwrap();
    assert_eq!(reply.get("segments"), None);
}

#[tokio::test]
async fn a_stream_grows_into_the_text() {
    let server = Server::start(Settings::default());
    let (events, _) = events(post(&server, form(&[("stream", "true")])).await).await;
    for event in &events {
        assert_is("CreateTranscriptionResponseStreamEvent", event);
    }
    let (done, deltas) = events.split_last().unwrap();
    assert!(deltas.len() > 1, "{events:?}");
    let text: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(done, &json!({"type": "transcript.text.done", "text": text}));
    assert_eq!(text, "one word one word");
}

#[tokio::test]
async fn silence_is_an_empty_text() {
    let server = Server::start(Settings::default());
    let silence = Part::bytes(audio::wav(&vec![0; 32_000], 16_000)).file_name("silence.wav");
    let reply: Value = post(&server, Form::new().part("file", silence)).await.json().await.unwrap();
    assert_eq!(reply["text"], "");
}

#[tokio::test]
async fn half_an_hour_is_transcribed() {
    let server = Server::start(Settings::default());
    let file = Part::bytes(audio::wav(&audio::noise(30 * 60 * 16_000), 16_000)).file_name("long.wav");
    let reply: Value = post(&server, Form::new().part("file", file)).await.json().await.unwrap();
    assert_eq!(reply["usage"]["seconds"], 1_800.0);
    assert_eq!(reply["text"].as_str().unwrap().split(' ').count(), 3_600);
}

#[tokio::test]
async fn real_recordings_are_read() {
    let server = Server::start(Settings::default());
    for path in antiphon_testkit::testdata_files("librispeech_other", "flac").into_iter().take(3) {
        let file = Part::bytes(std::fs::read(&path).unwrap()).file_name("a.flac");
        let reply: Value = post(&server, Form::new().part("file", file)).await.json().await.unwrap();
        assert!(reply["usage"]["seconds"].as_f64().is_some_and(|seconds| seconds > 1.0), "{path:?}: {reply}");
    }
}

#[tokio::test]
async fn every_kind_of_file_is_read_whole_and_cut_off_without_harm() {
    let server = Server::start(Settings::default());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../audio/tests/data");
    for name in ["aac.m4a", "mp3.mp3", "opus.ogg", "opus.webm", "vorbis.ogg"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let upload = |bytes: &[u8]| Form::new().part("file", Part::bytes(bytes.to_vec()).file_name(name));
        let reply: Value = post(&server, upload(&bytes)).await.json().await.unwrap();
        assert!(reply["usage"]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.3), "{name}: {reply}");
        for part in [1, 4, 7] {
            let response = post(&server, upload(&bytes[..bytes.len() * part / 8])).await;
            assert!([200, 400].contains(&response.status().as_u16()), "{part}/8 of {name}: {response:?}");
        }
    }
}

#[tokio::test]
async fn a_header_that_promises_gigabytes_is_not_believed() {
    let server = Server::start(Settings::default());
    let right = audio::wav(&audio::noise(32_000), 16_000);
    let transcribe = async |file: Vec<u8>| -> Value {
        let form = Form::new().part("file", Part::bytes(file).file_name("a.wav"));
        post(&server, form).await.json().await.unwrap()
    };
    let expected = transcribe(right.clone()).await;
    assert_eq!(expected["usage"]["seconds"], 2.0, "{expected}");
    // What programs leave there that write into a pipe and learn the lengths too late.
    for (file_length, data_length) in [
        (u32::MAX, u32::MAX - 36),
        (u32::MAX, u32::MAX),
        (u32::MAX, 0),
        (0x7FFF_FFFF, 0x7FFF_FFFF),
        (0, 64_000),
        (0, 0),
    ] {
        let mut file = right.clone();
        file[4..8].copy_from_slice(&u32::to_le_bytes(file_length));
        file[40..44].copy_from_slice(&u32::to_le_bytes(data_length));
        assert_eq!(transcribe(file).await, expected, "claims {file_length}, its data {data_length}");
    }
}

#[tokio::test]
async fn what_is_no_audio_is_refused() {
    let server = Server::start(Settings::default());
    let whole = audio::wav(&audio::noise(16_000), 16_000);
    for (bytes, what) in [
        (Vec::new(), "empty"),
        (b"this is a letter, not a recording".repeat(100), "text"),
        (whole[..20].to_vec(), "cut within the header"),
        (audio::wav(&[], 16_000), "no samples"),
        (vec![0xff; 100_000], "ones"),
    ] {
        let file = Part::bytes(bytes).file_name("a.wav");
        let (status, message) = error(post(&server, Form::new().part("file", file)).await).await;
        assert_eq!(status, 400, "{what}: {message}");
    }
}

#[tokio::test]
async fn forms_that_make_no_sense_are_refused() {
    let server = Server::start(Settings::default());
    for (fields, says) in [
        (&[("response_format", "diarized_json")][..], "diarized_json"),
        (&[("language", "Klingon")], "ISO 639-1"),
        (&[("timestamp_granularities[]", "letter")], "letter"),
        (&[("stream", "perhaps")], "true or false"),
        (&[("stream", "true"), ("response_format", "srt")], "stream"),
    ] {
        let (status, message) = error(post(&server, form(fields)).await).await;
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(says), "{message}");
    }
    let (status, message) = error(post(&server, Form::new().text("model", "m")).await).await;
    assert_eq!(status, 400);
    assert!(message.contains("file"), "{message}");
    let twice = Form::new().part("file", speech()).part("file", speech());
    assert_eq!(error(post(&server, twice).await).await.0, 400);

    let json = reqwest::Client::new().post(server.url("/v1/audio/transcriptions")).json(&json!({})).send();
    let (status, message) = error(json.await.unwrap()).await;
    assert!(status == 400 || status == 415, "{status}");
    assert!(message.contains("multipart/form-data"), "{message}");
}

#[tokio::test]
async fn translation_says_what_to_do_instead() {
    let server = Server::start(Settings::default());
    let url = server.url("/v1/audio/translations");
    let response = reqwest::Client::new().post(url).multipart(form(&[])).send().await.unwrap();
    let (status, message) = error(response).await;
    assert_eq!(status, 400);
    assert!(message.contains("/v1/audio/transcriptions"), "{message}");
}

#[tokio::test]
async fn hours_of_silence_are_refused_before_they_are_transcribed() {
    let server = Server::start(Settings::default());
    let silence = audio::wav(&vec![0; 2 * 3_600 * 1_000 + 60_000], 1_000);
    let form = Form::new().part("file", Part::bytes(silence).file_name("a.wav"));
    let post = reqwest::Client::new().post(server.url("/v1/audio/transcriptions")).multipart(form);
    let (status, message) = error(post.send().await.expect("an answer")).await;
    assert_eq!(status, 400, "{message}");
    assert!(message.contains("longer than 2 hours"), "{message}");
}
