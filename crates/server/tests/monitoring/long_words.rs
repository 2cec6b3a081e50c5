//! Words that never end, as models and clients send them: what is made of them stays bounded.

use serde_json::json;

use crate::model::{Behaviour, Model, with_models};
use crate::program::{Place, Program};
use crate::voice::{Voice, with_voice};

/// Most bytes of a text without a space that are spoken in one go.
const LONGEST_CLAUSE: usize = 880;
/// How often a text is asked for.
const TRIES: usize = 10;
/// By how much the server may grow above what it holds when it is idle, in KiB, with two model threads that speak.
const MORE_KIB: u64 = 600_000_000 / 1_024;

/// Asks for a text to be said, and waits until the audio begins. Nobody waits in silence for such a request, so on a busy machine the
/// voice may be too slow for it (504); then it is asked again.
async fn begin(server: &Program, text: &str, speed: f64) -> reqwest::Response {
    let body = json!({ "model": "x", "input": text, "speed": speed, "response_format": "pcm" });
    for _ in 0..TRIES {
        let post = reqwest::Client::new().post(format!("{}/v1/audio/speech", server.url)).json(&body);
        let answer = post.header("cache-control", "no-cache").send().await.expect("answers");
        if answer.status() != 504 {
            assert_eq!(answer.status(), 200, "{text}");
            return answer;
        }
    }
    panic!("the voice is never in time for {text}");
}

/// Says a text to its end, and returns how many bytes of audio there are.
async fn say(server: &Program, text: &str) -> usize {
    begin(server, text, 1.0).await.bytes().await.expect("to its end").len()
}

/// The most memory that the server has ever held, in KiB.
fn peak(server: &Program) -> u64 {
    let pid = server.child.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_voice_takes_bounded_memory_for_long_words() {
    let place = Place::new("[advanced]\nmodel_threads = 2\n");
    place.replace(
        "[tts]\nengine = \"sim\"\nfirst_audio_ms = 30\naudio_ms = 1000\n",
        "[tts]\nengine = \"piper\"\n",
    );
    place.link_models();
    let server = place.serve().await;
    let idle = peak(&server);
    let ordinary = "wonderful ".repeat(22);
    let pronounced = [220, 500, 1_000, 2_000].map(|letters| "ab".repeat(letters / 2));
    let spelled = ["W".repeat(220), "WX".repeat(120), "w".repeat(300)];
    let slow = (ordinary.clone(), 0.25);
    let usual = [ordinary].into_iter().chain(pronounced).chain(spelled).map(|text| (text, 1.0));
    for (text, speed) in usual.chain([slow]) {
        // The first clause, of up to 240 letters, shows it. The rest would only take time, and is given up with the answer. Two at once
        // keep both model threads busy.
        drop(tokio::join!(begin(&server, &text, speed), begin(&server, &text, speed)));
        assert_bounded(&server, idle, &text);
    }
    assert!(say(&server, "Hello again.").await > 0, "the next request is served");
    server.stop().await;
}

/// The server has not taken much more memory than when it was idle, now that it has said this.
fn assert_bounded(server: &Program, idle: u64, text: &str) {
    let more = peak(server).saturating_sub(idle);
    println!(
        "{} bytes: {} MB more than {} MB",
        text.len(),
        more * 1_024 / 1_000_000,
        idle * 1_024 / 1_000_000
    );
    assert!(more < MORE_KIB, "{text} took {more} KiB more");
}

fn endless(_: &str, _: &str) -> String {
    "ab".repeat(1_500)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_a_model_does_not_end_is_spoken_in_parts() {
    let (_, url) = Model::start(Behaviour::Answers(endless)).await;
    let (voice, voice_url) = Voice::start().await;
    let server = with_voice(with_models(Place::new(""), &[&url]), &voice_url).serve().await;
    server.typed_call(&["Say it."], None).await;
    say(&server, &endless("", "")).await;
    let texts = voice.texts();
    assert!(texts.iter().all(|text| text.len() <= LONGEST_CLAUSE), "{texts:?}");
    assert_eq!(texts.concat(), endless("", "").repeat(2), "all of it, in the call and over REST");
    server.typed_call(&["Say it again."], None).await;
    server.stop().await;
}
