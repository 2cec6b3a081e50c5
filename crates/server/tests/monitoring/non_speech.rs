//! Sounds in which nobody speaks have no words, and quiet speech and speech between silences keep theirs. With the real detector and
//! the real recogniser, over REST and in Realtime turns whose bounds the client sets.

use std::time::Duration;

use antiphon_audio::{FileFormat, decode_file, encode_file};
use antiphon_core::{AudioChunk, SampleRate};
use antiphon_testkit::{testdata, testdata_files};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::noises::{self, RATE};
use crate::program::{Place, Program};
use crate::realtime_call::RealtimeCall;

/// The engines of speech as they are without a configuration.
const REAL: [(&str, &str); 2] = [
    ("[vad]\nengine = \"energy\"\n", "[vad]\nengine = \"silero\"\n"),
    ("[stt]\nengine = \"sim\"\ndelay_ms = 50\n", "[stt]\nengine = \"moonshine\"\n"),
];

/// A server with these engines, and the folder that it needs as long as it runs.
async fn server() -> (Place, Program) {
    let place = Place::new("");
    for (simulated, real) in REAL {
        place.replace(simulated, real);
    }
    place.link_models();
    let server = place.serve().await;
    (place, server)
}

/// The words that the server hears in a file.
async fn heard(server: &Program, file: Vec<u8>) -> String {
    let form = Form::new().part("file", Part::bytes(file).file_name("sound"));
    let post = reqwest::Client::new().post(format!("{}/v1/audio/transcriptions", server.url));
    let answer = post.multipart(form.text("model", "x")).send().await.expect("answers");
    let answer: Value = answer.json().await.expect("JSON");
    answer["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn pcm(sound: &[f32]) -> Vec<i16> {
    sound.iter().map(|sample| (sample * 32_767.0) as i16).collect()
}

fn wav(rate: SampleRate, samples: Vec<i16>) -> Vec<u8> {
    encode_file(FileFormat::Wav, &AudioChunk::new(rate, samples)).expect("written")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_speaks_there_are_no_words() {
    let (_place, server) = server().await;
    let mut seconds = 0;
    let mut words = Vec::new();
    for (name, sound) in noises::all() {
        seconds += sound.len() / RATE;
        words.push((name, heard(&server, wav(SampleRate::HZ_16000, pcm(&sound))).await));
    }
    assert!(seconds >= 1_800, "half an hour: {seconds} s");
    let recorded = testdata_files("noise", "wav").into_iter().chain(testdata_files("cases", "flac"));
    for file in recorded {
        let name = file.display().to_string();
        words.push((name, heard(&server, std::fs::read(file).expect("readable")).await));
    }
    words.retain(|(_, words)| !words.is_empty());
    assert_eq!(words, [], "words out of nothing");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_without_speech_that_the_client_ends_has_no_words() {
    let (_place, server) = server().await;
    let mut call = RealtimeCall::begin(&server).await;
    let format = json!({ "type": "audio/pcm", "rate": 24_000 });
    let input = json!({ "format": format, "turn_detection": null, "transcription": { "model": "x" } });
    let session = json!({ "type": "realtime", "audio": { "input": input } });
    call.send(json!({ "type": "session.update", "session": session })).await;
    call.until("session.updated").await;
    for (_, sound) in
        noises::all().into_iter().filter(|(name, _)| name == "digital silence" || name == "keypad")
    {
        let bytes: Vec<u8> =
            pcm(&sound[..20 * RATE]).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for piece in bytes.chunks(48_000) {
            let append =
                json!({ "type": "input_audio_buffer.append", "audio": BASE64_STANDARD.encode(piece) });
            call.send(append).await;
        }
        call.send(json!({ "type": "input_audio_buffer.commit" })).await;
        let said = call.until("conversation.item.input_audio_transcription.completed").await;
        assert_eq!(said["transcript"], "", "{said}");
    }
    server.stop().await;
}

/// Which share of the expected words are among those that were heard.
fn share(heard: &str, expected: &str) -> f32 {
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace()
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
            .collect()
    };
    let (mut heard, expected) = (words(heard), words(expected));
    let found = expected.iter().filter(|word| {
        let at = heard.iter().position(|other| other == *word);
        at.map(|at| heard.swap_remove(at)).is_some()
    });
    found.count() as f32 / expected.len() as f32
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_speech_and_speech_between_silences_keep_their_words() {
    let (_place, server) = server().await;
    let list = std::fs::read_to_string(testdata("read_speech").join("transcripts.tsv")).expect("readable");
    let mut clips = 0;
    for line in list.lines() {
        let Some((name, text)) = line.split_once('\t') else { continue };
        let text = text.rsplit('\t').next().unwrap_or(text);
        let file = std::fs::read(testdata("read_speech").join(name)).expect("readable");
        let AudioChunk { samples: clip, rate } = decode_file(&file, Duration::from_mins(5)).expect("speech");
        let plain = share(&heard(&server, wav(rate, clip.to_vec())).await, text);
        let quiet = clip.iter().map(|sample| (f32::from(*sample) * 0.031_6) as i16).collect();
        let quiet = share(&heard(&server, wav(rate, quiet)).await, text);
        let silence = vec![0; 15 * rate.hz() as usize];
        let between = share(&heard(&server, wav(rate, [&silence[..], &clip, &silence].concat())).await, text);
        println!("{name}: {plain} of the words, 30 dB quieter {quiet}, between silences {between}");
        assert!(
            plain > 0.8 && between >= plain - 0.1 && quiet >= plain - 0.2,
            "{name}: {plain} {quiet} {between}"
        );
        clips += 1;
    }
    assert!(clips >= 3, "{clips} clips");
    server.stop().await;
}
