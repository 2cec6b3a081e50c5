use std::time::Duration;

use antiphon_core::{ErrorKind, RateLimit, Requester, lock};
use proptest::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::remote::listening::script::{audio, noise, transcribe};
use crate::remote::testing::latest;

/// One request: its text without the samples, and the number of samples.
struct Asked {
    text: String,
    samples: usize,
}

async fn asked(tcp: &mut TcpStream) -> Option<Asked> {
    let (mut request, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("said").parse().expect("a number");
            if request.len() >= head.len() + 4 + length {
                break;
            }
        }
        match tcp.read(&mut buffer).await {
            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
    let data = request.windows(4).position(|w| w == b"RIFF")? + 36;
    let bytes = u32::from_le_bytes(request[data + 4..data + 8].try_into().expect("four bytes")) as usize;
    let text = [&request[..data], &request[data + 8 + bytes..]].concat();
    Some(Asked { text: String::from_utf8_lossy(&text).into_owned(), samples: bytes / 2 })
}

fn ok(body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Starts a server; returns its URL and its log of requests.
async fn serve(
    answer: impl Fn(usize) -> String + Send + Sync + 'static,
) -> (String, mpsc::UnboundedReceiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            if let Some(asked) = asked(&mut tcp).await {
                let _ = tcp.write_all(answer(asked.samples).as_bytes()).await;
                let _ = tcp.shutdown().await;
                let _ = tell.send(asked);
            }
        }
    });
    (url, told)
}

/// A server that recognises one word a second.
fn words(samples: usize) -> String {
    let said = (0..samples.div_ceil(16_000)).map(|n| {
        let end = (n as f32 + 1.0).min(samples as f32 / 16_000.0);
        json!({ "id": n, "start": n, "end": end, "text": " word" })
    });
    let segments: Vec<_> = said.collect();
    ok(&json!({ "text": " word".repeat(segments.len()), "segments": segments, "language": "english" }))
}

fn options(base_url: &str) -> OpenAiTranscriptionOptions {
    OpenAiTranscriptionOptions {
        base_url: base_url.to_owned(),
        model: "whisper-1".to_owned(),
        api_key: Some(ApiKey::new("s3cret")),
        timestamps: true,
        limits: Arc::default(),
        bounds: Bounds::default(),
    }
}

fn engine(base_url: &str) -> OpenAiTranscription {
    OpenAiTranscription::new(options(base_url)).expect("made")
}

fn question(samples: usize) -> Vec<SttInput> {
    audio(samples).into_iter().chain([SttInput::Flush]).collect()
}

#[tokio::test]
async fn it_obeys_the_spec() {
    let (url, _told) = serve(words).await;
    crate::spec::stt(&engine(&url), &noise(40_000)).await;
}

#[tokio::test]
async fn a_question_is_a_file_and_all_that_helps_to_understand_it() {
    let (url, mut told) = serve(words).await;
    let options = SttOptions {
        language: Some("de".to_owned()),
        prompt: Some("Ada".to_owned()),
        ..SttOptions::new(Requester::local())
    };
    let input = question(16_000).into_iter().chain([SttInput::Flush]).chain(audio(16_000));
    let answers = engine(&url).transcribe(options, stream::iter(input).boxed());
    let answers: Vec<Transcript> = answers.map(|answer| answer.expect("works")).collect().await;
    let texts: Vec<_> = answers.iter().map(|answer| answer.text.as_str()).collect();
    assert_eq!(texts, ["word", "word", "word word"]);
    let first = told.recv().await.expect("asked");
    assert_eq!(first.samples, 16_000);
    for part in [
        "POST /v1/audio/transcriptions ",
        "Bearer s3cret",
        "name=\"file\"; filename=\"audio.wav\"\r\nContent-Type: audio/wav",
        "name=\"model\"\r\n\r\nwhisper-1\r\n",
        "name=\"response_format\"\r\n\r\nverbose_json\r\n",
        "name=\"temperature\"\r\n\r\n0\r\n",
        "name=\"language\"\r\n\r\nde\r\n",
        "name=\"prompt\"\r\n\r\nAda\r\n",
    ] {
        assert!(first.text.to_lowercase().contains(&part.to_lowercase()), "{part} in {}", first.text);
    }
    assert_eq!(told.recv().await.expect("asked").samples, 32_000, "the second question was not asked again");
}

#[tokio::test]
async fn long_speech_is_cut_where_it_is_quiet_and_none_is_lost() {
    let (url, mut told) = serve(words).await;
    let mut samples = noise(70 * 16_000);
    samples[23 * 16_000..][..8_000].fill(0);
    let input = vec![SttInput::Audio(samples.into()), SttInput::Flush];
    let answers = transcribe(&engine(&url), true, input).await;
    let answer = answers[0].as_ref().expect("works");
    assert_eq!((answers.len(), answer.audio_ms), (1, 70_000));
    let mut asked = Vec::new();
    while asked.iter().sum::<usize>() < 70 * 16_000 {
        asked.push(told.recv().await.expect("all is asked about").samples);
    }
    assert!(
        (23 * 16_000..24 * 16_000).contains(&asked[0]) && asked.iter().all(|n| *n <= LONGEST),
        "{asked:?}"
    );
    assert!(answer.segments.is_sorted_by(|a, b| a.end_s <= b.start_s), "{:?}", answer.segments);
    assert_eq!(answer.text.split(' ').count(), answer.segments.len());
    assert_eq!(answer.segments.last().map(|s| s.end_s), Some(70.0));
}

#[tokio::test]
async fn what_has_no_words_is_not_asked_about() {
    for input in [vec![SttInput::Audio(vec![0; 160_000].into())], audio(1_500), vec![SttInput::Flush]] {
        let answers = transcribe(&engine("http://127.0.0.1:9/v1"), true, input).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].as_ref().map(|answer| (answer.text.as_str(), answer.flushed)), Ok(("", true)));
    }
}

#[tokio::test]
async fn without_timestamps_a_stretch_is_one_segment() {
    let (url, mut told) = serve(|_| ok(&json!({ "text": " Hello. " }))).await;
    let engine = OpenAiTranscription::new(OpenAiTranscriptionOptions { timestamps: false, ..options(&url) })
        .expect("made");
    let answers = transcribe(&engine, false, question(16_000)).await;
    let segments = vec![Segment { start_s: 0.0, end_s: 1.0, text: "Hello.".to_owned() }];
    assert_eq!(
        answers[0],
        Ok(Transcript { text: "Hello.".to_owned(), audio_ms: 1_000, flushed: true, segments })
    );
    assert!(told.recv().await.expect("asked").text.contains("\r\n\r\njson\r\n"));
}

#[tokio::test]
async fn failures_say_what_happened_and_never_the_key() {
    let refusal = |status: &str, headers: &str| {
        let body = r#"{"error":{"message":"because"}}"#;
        format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    for (answer, kind, words) in [
        (refusal("401 Unauthorized", ""), ErrorKind::Unauthorized, "because"),
        (refusal("429 Too Many Requests", "retry-after: 7\r\n"), ErrorKind::RateLimited, "because"),
        (refusal("503 Service Unavailable", ""), ErrorKind::Unavailable, "because"),
        (ok(&json!([])), ErrorKind::Protocol, "no valid transcription"),
        (ok(&json!({ "text": 7 })), ErrorKind::Protocol, "no valid transcription"),
        (ok(&json!("s3cret")), ErrorKind::Protocol, "\"(the key)\""),
        (ok(&json!({ "text": "x".repeat(2 << 20) })), ErrorKind::Protocol, "more than"),
        ("nonsense\r\n\r\n".to_owned(), ErrorKind::Unavailable, "broke off"),
    ] {
        let (url, _told) = serve(move |_| answer.clone()).await;
        let mut answers = transcribe(&engine(&url), false, question(16_000)).await;
        let error = answers.pop().expect("an answer").expect_err("failed");
        assert_eq!((error.kind(), answers.len()), (kind, 0), "{error}");
        let text = format!("{error} {error:?} {:?}", options(&url));
        assert!(text.contains(words) && !text.contains("s3cret"), "{text}");
        if kind == ErrorKind::RateLimited {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
    }
}

#[tokio::test]
async fn an_answer_cut_anywhere_is_a_failure_and_no_hang() {
    let whole = ok(&json!({ "text": "Hello." }));
    for length in 0..=whole.len() {
        let cut = whole[..length].to_owned();
        let (url, _told) = serve(move |_| cut.clone()).await;
        let answers = transcribe(&engine(&url), false, question(1_600)).await;
        assert_eq!((answers.len(), answers[0].is_ok()), (1, length == whole.len()), "{length}: {answers:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
    let bounds = Bounds { first: Duration::from_millis(100), ..Bounds::default() };
    let engine =
        OpenAiTranscription::new(OpenAiTranscriptionOptions { bounds, ..options(&url) }).expect("made");
    let answers = transcribe(&engine, false, question(16_000)).await;
    assert_eq!(answers[0].as_ref().map_err(antiphon_core::Error::kind), Err(ErrorKind::Timeout));
}

#[tokio::test]
async fn what_the_server_will_take_is_told() {
    let limit = "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 3\r\nx-ratelimit-reset-requests: 6s";
    let (url, _told) =
        serve(move |samples| words(samples).replacen("OK", &format!("OK\r\n{limit}"), 1)).await;
    let own = options(&url);
    let told = latest(&own.limits);
    transcribe(&OpenAiTranscription::new(own).expect("made"), false, question(16_000)).await;
    let expected = RateLimit { remaining: 3, reset: Duration::from_secs(6), limit: Some(10) };
    assert_eq!(*lock(&told), Some(expected));
}

#[test]
fn a_file_is_what_others_read() {
    let file = wav(&[1, -2]);
    assert_eq!(&file[..4], b"RIFF");
    assert_eq!(file[4..8], 40_u32.to_le_bytes());
    assert_eq!(&file[36..], [b"data".as_slice(), &[4, 0, 0, 0, 1, 0, 0xFE, 0xFF]].concat());
}

proptest! {
    #[test]
    fn any_body_is_read(body: Vec<u8>, text: String) {
        let server = engine("http://x/v1").server;
        let _ = (server.heard(&body, 0.0, 1.0), server.heard(text.as_bytes(), 0.0, 1.0));
    }

    /// Segments are in order and within the audio, whatever the server sends.
    #[test]
    fn any_times_are_put_in_order(times in prop::collection::vec((-10.0_f32..100.0, -10.0_f32..100.0), 0..8)) {
        let segments: Vec<_> =
            times.iter().map(|(start, end)| json!({ "start": start, "end": end, "text": "a" })).collect();
        let body = json!({ "text": "a", "segments": segments }).to_string();
        let heard = engine("http://x/v1").server.heard(body.as_bytes(), 25.0, 50.0).expect("valid");
        prop_assert!(heard.segments.is_sorted_by(|a, b| a.end_s <= b.start_s));
        prop_assert!(heard.segments.iter().all(|s| 25.0 <= s.start_s && s.start_s <= s.end_s && s.end_s <= 50.0));
    }
}
