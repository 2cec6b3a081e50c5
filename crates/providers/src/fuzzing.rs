//! Entry points for fuzzing: everything that the servers of vendors may send.
//!
//! Whatever a server sends, the result is an answer or an error, and the error is short and does not contain the key.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{ChatDelta, Error, RateLimits, Result, SampleRate};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Body, Response};
use tokio::runtime::Builder;
use tokio_tungstenite::tungstenite::http;

use crate::remote::chat::{self, Dialect};
use crate::remote::{ApiKey, Remote};
use crate::vendors::openai::{chat as openai, embeddings, transcription};
use crate::vendors::{anthropic, assemblyai, cartesia, deepgram, gemini};

/// Stands for a cut between two network packets; at the end of the input, for a broken connection. No
/// protocol uses this byte.
const CUT: u8 = 0x1f;
/// The most characters of an error: what is quoted of the server, and our own words.
const LONGEST_ERROR: usize = 500;
/// The longest wait that is accepted from a server.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
const KEY: &str = "s3cret";

/// Reads server-sent events as the completion of each vendor.
pub fn chat_stream(bytes: &[u8]) {
    completions(bytes, openai::dialect);
    completions(bytes, anthropic::dialect);
    completions(bytes, gemini::dialect);
}

/// Reads lines as the WebSocket messages of each speech vendor. The lines `audio`, `flush`, `end`, `late`, `binary` and
/// `closed` stand for other events.
pub fn speech_messages(text: &str) {
    let Ok(remote) = remote() else { return };
    check(deepgram::listen::fuzz(&remote, text));
    check(assemblyai::fuzz(&remote, true, text));
    check(assemblyai::fuzz(&remote, false, text));
    check(cartesia::fuzz(&remote, text));
}

/// Reads an HTTP answer: a line with the status, headers, an empty line, the body.
pub fn http_answer(bytes: &[u8]) {
    let Ok(remote) = remote() else { return };
    let limits = Arc::<RateLimits>::default();
    limits.listen(|limit| assert!(limit.reset <= LONGEST_WAIT, "{limit:?}"));
    let remote = remote.with_limits(limits);
    let answer = Answer::parse(bytes);
    block_on(async {
        check(remote.check(answer.response()).await.map(drop));
        let spoken = remote.audio(answer.response(), SampleRate::HZ_24000).collect::<Vec<_>>().await;
        let samples: usize = spoken.iter().flatten().map(|chunk| chunk.samples.len()).sum();
        assert!(samples <= answer.body.len() / 2);
        spoken.into_iter().for_each(check);
        if let Ok(body) = remote.whole(answer.response(), answer.body.len()).await {
            check(transcription::fuzz(&remote, &body));
            check(embeddings::fuzz(&remote, &body));
        }
    });
}

/// An HTTP answer as it comes over the network.
struct Answer<'a> {
    status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Lines that are not valid headers are left out.
    fn parse(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        let mut line = || {
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            line
        };
        let status = std::str::from_utf8(line()).ok().and_then(|status| status.trim().parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = line();
            if line.is_empty() {
                break;
            }
            let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
            let name = HeaderName::from_bytes(&line[..colon]);
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
            headers.extend(name.ok().zip(value.ok()));
        }
        Self { status: status.unwrap_or(200), headers, body: rest }
    }

    fn response(&self) -> Response {
        let broken = self.body.last() == Some(&CUT);
        let pieces = self.body.split(|&byte| byte == CUT).map(|piece| Ok(Bytes::copy_from_slice(piece)));
        let end = broken.then(|| Err(std::io::Error::other("the connection broke")));
        let body: Vec<_> = pieces.chain(end).collect();
        let mut response = http::Response::new(Body::wrap_stream(stream::iter(body)));
        if let Ok(status) = http::StatusCode::from_u16(self.status) {
            *response.status_mut() = status;
        }
        response.headers_mut().extend(self.headers.iter().cloned());
        response.into()
    }
}

/// Checks that the result does not depend on where the answer is cut, and that nothing follows its end.
fn completions<D: Dialect>(bytes: &[u8], dialect: impl Fn() -> D) {
    let cut = completion(bytes, dialect());
    let whole: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != CUT).collect();
    let broken = bytes.last() == Some(&CUT);
    let end: &[u8] = if broken { &[CUT] } else { &[] };
    assert_eq!(cut, completion(&[&whole, end].concat(), dialect()));
    let is_end = |piece: &Result<ChatDelta>| matches!(piece, Err(_) | Ok(ChatDelta::Done { .. }));
    assert_eq!(cut.iter().position(is_end), cut.len().checked_sub(1), "{cut:?}");
    cut.into_iter().for_each(check);
}

/// The deltas of a stream of events. The ids of tool calls are removed, because some are random.
fn completion(body: &[u8], dialect: impl Dialect) -> Vec<Result<ChatDelta>> {
    let Ok(remote) = remote() else { return Vec::new() };
    let header = (HeaderName::from_static("content-type"), HeaderValue::from_static("text/event-stream"));
    let answer = Answer { status: 200, headers: vec![header], body };
    let mut pieces: Vec<_> =
        block_on(chat::read(remote, answer.response(), false, dialect).collect()).unwrap_or_default();
    for piece in &mut pieces {
        if let Ok(ChatDelta::ToolCall { id: Some(id), .. }) = piece {
            id.clear();
        }
    }
    pieces
}

fn check<T>(result: Result<T>) {
    let Err(error) = result else { return };
    let said = error.to_string();
    assert!(!said.contains(KEY), "{said}");
    assert!(said.chars().count() <= LONGEST_ERROR, "{said}");
    assert!(error.retry_after().is_none_or(|wait| wait <= LONGEST_WAIT), "{error:?}");
}

fn remote() -> Result<Remote, Error> {
    Remote::new("http://127.0.0.1:9", "the server", "[llm]")?.with_key("x-api-key", "", &ApiKey::new(KEY))
}

/// Runs work that never waits for input or output.
fn block_on<F: Future>(work: F) -> Option<F::Output> {
    let runtime = Builder::new_current_thread().enable_time().build().ok()?;
    Some(runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::remote::testing::json_like;

    const KEYS: &[&str] = &["error", "message", "data", "type", "choices", "delta", "text", "s3cret"];

    #[test]
    fn what_is_quoted_of_a_server_is_short_and_holds_no_key() {
        for quoted in ["s3cret", &"x".repeat(1_000)] {
            chat_stream(format!("data: [\"{quoted}\"]\n\n").as_bytes());
            speech_messages(&format!("\"{quoted}\""));
            http_answer(format!("200\n\n\"{quoted}\"").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_stream_is_read(events in prop::collection::vec(json_like(KEYS), 0..5), bytes: Vec<u8>) {
            let events: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            chat_stream(events.concat().as_bytes());
            chat_stream(&bytes);
        }

        #[test]
        fn any_messages_are_read(messages in prop::collection::vec(json_like(KEYS), 0..5), text in "\\PC{0,60}") {
            speech_messages(&messages.join("\n"));
            speech_messages(&text);
        }

        #[test]
        fn any_answer_is_read(status in 100_u16..600, body in json_like(KEYS), bytes: Vec<u8>) {
            http_answer(format!("{status}\nretry-after: 7\n\n{body}").as_bytes());
            http_answer(&bytes);
        }
    }
}
