use std::time::Duration;

use antiphon_audio::decode_file;
use antiphon_server::settings::Settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::Server;
use crate::support::schema::assert_is;
use crate::{error, events};

/// A text with as many letters as `LETTERS` says. The test's voice speaks each in 50 ms.
const TEXT: &str = "Twelve letters. More eight.";
const LETTERS: usize = 22;
/// How a frame of MPEG-2 Audio Layer III begins.
const MP3: [u8; 2] = [0xFF, 0xF3];

async fn post(server: &Server, body: Value) -> Response {
    reqwest::Client::new().post(server.url("/v1/audio/speech")).json(&body).send().await.expect("a reply")
}

fn say(input: &str, extra: &Value) -> Value {
    let mut body = json!({"model": "tts-1", "voice": "alloy", "input": input});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn mp3_is_the_default_and_plays_at_the_engines_rate() {
    let server = Server::start(Settings::default());
    let response = post(&server, say(TEXT, &json!({}))).await;
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    let file = response.bytes().await.unwrap();
    assert_eq!(file[..2], MP3);
    let named = post(&server, say(TEXT, &json!({"response_format": "mp3"}))).await.bytes().await.unwrap();
    assert_eq!(named, file);
    let heard = decode_file(&file, Duration::from_mins(1)).unwrap();
    assert_eq!(heard.rate.hz(), 22_050);
    // Frames are whole, and the filters of both sides are late by most of one.
    let more = heard.samples.len() - LETTERS * 1_102;
    assert!(more < 2 * 576, "{more} samples too many");
}

#[tokio::test]
async fn wav_plays_at_the_engines_rate() {
    let server = Server::start(Settings::default());
    let response = post(&server, say(TEXT, &json!({"response_format": "wav"}))).await;
    assert_eq!(response.headers()["content-type"], "audio/wav");
    let file = response.bytes().await.unwrap();
    assert_eq!((&file[..4], &file[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    assert_eq!(u32::from_le_bytes(file[24..28].try_into().unwrap()), 22_050);
    assert_eq!(file.len(), 44 + LETTERS * 1_102 * 2);
}

#[tokio::test]
async fn pcm_has_24000_samples_a_second() {
    let server = Server::start(Settings::default());
    let response = post(&server, say(TEXT, &json!({"response_format": "pcm"}))).await;
    assert_eq!(response.headers()["content-type"], "audio/pcm");
    let samples = response.bytes().await.unwrap().len() / 2;
    let expected = LETTERS * 1_102 * 24_000 / 22_050;
    assert!(samples.abs_diff(expected) <= 240, "{samples}, not {expected}");
}

#[tokio::test]
async fn compressed_formats_begin_as_they_should() {
    let server = Server::start(Settings::default());
    for (format, media_type, magic) in [
        ("mp3", "audio/mpeg", &MP3[..]),
        ("opus", "audio/ogg; codecs=opus", &b"OggS"[..]),
        ("flac", "audio/flac", &b"fLaC"[..]),
    ] {
        let response = post(&server, say(TEXT, &json!({"response_format": format}))).await;
        assert_eq!(response.headers()["content-type"], media_type);
        let file = response.bytes().await.unwrap();
        assert!(file.starts_with(magic), "{format} begins with {:x?}", &file[..4]);
        assert!(file.len() < LETTERS * 1_102 * 2, "{format} takes {} bytes", file.len());
        let heard = decode_file(&file, Duration::from_mins(1)).unwrap().duration().as_secs_f64();
        let spoken = LETTERS as f64 * 1_102.0 / 22_050.0;
        assert!((spoken - 0.001..spoken + 0.05).contains(&heard), "{format} lasts {heard} s, not {spoken}");
    }
}

#[tokio::test]
async fn every_format_begins_while_the_voice_still_speaks() {
    let server = Server::start(Settings::default());
    for format in ["mp3", "opus", "flac", "wav", "pcm"] {
        for stream_format in ["audio", "sse"] {
            let options = json!({"response_format": format, "stream_format": stream_format});
            let mut bytes = post(&server, say("endless", &options)).await.bytes_stream();
            let mut heard = 0;
            while heard < 4_000 {
                heard += bytes.next().await.expect("more of it").expect("bytes").len();
            }
        }
    }
}

#[tokio::test]
async fn events_hold_the_same_bytes() {
    let server = Server::start(Settings::default());
    for format in ["mp3", "pcm"] {
        let plain =
            post(&server, say(TEXT, &json!({"response_format": format}))).await.bytes().await.unwrap();
        let options = json!({"response_format": format, "stream_format": "sse"});
        let (events, _) = events(post(&server, say(TEXT, &options)).await).await;
        for event in &events {
            assert_is("CreateSpeechResponseStreamEvent", event);
        }
        let (done, deltas) = events.split_last().unwrap();
        assert_eq!(done["type"], "speech.audio.done");
        let decode = |event: &Value| BASE64.decode(event["audio"].as_str().unwrap()).unwrap();
        let bytes: Vec<u8> = deltas.iter().flat_map(decode).collect();
        assert_eq!(bytes, plain, "{format}");
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_refused() {
    let server = Server::start(Settings::default());
    for (body, status, says) in [
        (say("#", &json!({})), 400, "nothing that can be spoken"),
        (say("fail", &json!({})), 503, "lunch"),
        (say("x", &json!({"response_format": "aac"})), 400, "mp3, opus, flac, wav, pcm"),
        (json!({"model": "m"}), 400, "input"),
    ] {
        let (got, message) = error(post(&server, body).await).await;
        assert_eq!(got, status, "{message}");
        assert!(message.contains(says), "{message}");
    }
}
