//! The messages of Twilio Media Streams and OpenAI Realtime that a caller sends and understands.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Bytes of mu-law a second.
const BYTES_PER_SECOND: f64 = 8_000.0;
/// The stream id of every call. All have the same, because the messages are made before the calls.
const STREAM_SID: &str = "MZ00000000000000000000000000000001";

/// The protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Twilio's Media Streams.
    Twilio,
    /// OpenAI Realtime over WebSockets, general availability.
    Realtime,
}

/// The meaning of a message of the server for a caller.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// Audio that plays for this long.
    Audio(Duration),
    /// The audio that has not been played yet is to be dropped, because the server heard the caller.
    Clear,
    /// All audio of a reply was sent. If there is a name, it is to be sent back once the audio has been played.
    Complete(Option<String>),
    /// The session was created.
    Created,
    /// The session has been configured as requested.
    Updated,
    /// The server reports an error.
    Error(String),
    /// A message that means nothing to a caller.
    Other,
}

impl Protocol {
    /// The protocol for a URL: Realtime if its path is OpenAI's, Twilio otherwise.
    pub fn of(url: &str) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        if path.trim_end_matches('/').ends_with("/v1/realtime") { Self::Realtime } else { Self::Twilio }
    }

    /// A message with 20 ms of mu-law, given as base64.
    pub(super) fn media(self, payload: &str) -> Utf8Bytes {
        match self {
            Self::Twilio => format!(
                r#"{{"event":"media","sequenceNumber":"3","media":{{"track":"inbound","chunk":"1","timestamp":"5","payload":"{payload}"}},"streamSid":"{STREAM_SID}"}}"#
            ),
            Self::Realtime => format!(r#"{{"type":"input_audio_buffer.append","audio":"{payload}"}}"#),
        }
        .into()
    }

    /// The messages that begin a call, in order.
    pub(super) fn begin(self, call: u64) -> Vec<String> {
        match self {
            Self::Twilio => vec![
                r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#.to_owned(),
                format!(
                    r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC0","streamSid":"{STREAM_SID}","callSid":"CA{call:032x}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{}}}},"streamSid":"{STREAM_SID}"}}"#
                ),
            ],
            Self::Realtime => vec![
                r#"{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu"},"turn_detection":{"type":"server_vad"}},"output":{"format":{"type":"audio/pcmu"}}}}}"#.to_owned(),
            ],
        }
    }

    /// The message that ends a call before the connection is closed, if the protocol has one.
    pub(super) fn end(self) -> Option<String> {
        let stop = format!(r#"{{"event":"stop","streamSid":"{STREAM_SID}"}}"#);
        (self == Self::Twilio).then_some(stop)
    }

    /// The message that tells a server of Twilio streams that the audio before its mark has been played.
    pub(super) fn mark(name: &str) -> Utf8Bytes {
        let name = serde_json::Value::from(name);
        format!(r#"{{"event":"mark","streamSid":"{STREAM_SID}","mark":{{"name":{name}}}}}"#).into()
    }

    /// Parses a message; the error says why it is none of the protocol.
    pub(super) fn understand(self, text: &str) -> Result<Event, String> {
        let event = match self {
            Self::Twilio => serde_json::from_str::<TwilioMessage<'_>>(text).map(TwilioMessage::event),
            Self::Realtime => serde_json::from_str::<RealtimeMessage<'_>>(text).map(RealtimeMessage::event),
        };
        event.map_err(|error| format!("the server sent what is no message of the protocol: {error}"))
    }
}

#[derive(Deserialize)]
struct TwilioMessage<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    media: Option<TwilioMedia<'a>>,
    #[serde(default)]
    mark: Option<TwilioMark>,
}

#[derive(Deserialize)]
struct TwilioMedia<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct TwilioMark {
    name: String,
}

impl TwilioMessage<'_> {
    fn event(self) -> Event {
        match (self.event.as_ref(), self.media, self.mark) {
            ("media", Some(media), _) => Event::Audio(length(&media.payload)),
            ("clear", ..) => Event::Clear,
            ("mark", _, mark) => Event::Complete(mark.map(|mark| mark.name)),
            _ => Event::Other,
        }
    }
}

#[derive(Deserialize)]
struct RealtimeMessage<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    /// Audio as base64, in events that carry audio.
    #[serde(borrow, default)]
    delta: Option<Cow<'a, str>>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

impl RealtimeMessage<'_> {
    fn event(self) -> Event {
        match (self.kind.as_ref(), self.delta) {
            // The second name is that of the protocol's beta versions.
            ("response.output_audio.delta" | "response.audio.delta", Some(delta)) => {
                Event::Audio(length(&delta))
            }
            ("input_audio_buffer.speech_started", _) => Event::Clear,
            ("response.done", _) => Event::Complete(None),
            ("session.created", _) => Event::Created,
            ("session.updated", _) => Event::Updated,
            ("error", _) => Event::Error(self.error.map_or_else(String::new, |error| {
                error["message"].as_str().map_or_else(|| error.to_string(), ToOwned::to_owned)
            })),
            _ => Event::Other,
        }
    }
}

/// How long mu-law plays, given as base64.
fn length(base64: &str) -> Duration {
    let digits = base64.trim_end_matches('=').len();
    Duration::from_secs_f64((digits * 3 / 4) as f64 / BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_protocol() {
        for url in ["ws://h/v1/realtime", "wss://h/openai/v1/realtime?model=m", "ws://h/v1/realtime/"] {
            assert_eq!(Protocol::of(url), Protocol::Realtime, "{url}");
        }
        for url in ["ws://h:1/telephony/twilio/media", "ws://h", "ws://h/?x=/v1/realtime"] {
            assert_eq!(Protocol::of(url), Protocol::Twilio, "{url}");
        }
    }

    #[test]
    fn what_servers_send_is_understood_in_any_order_and_spacing() {
        let payload = "/".repeat(213) + "=";
        let media =
            format!(r#"{{"streamSid": "MZ", "media": {{"payload": "{payload}"}}, "event": "media"}}"#);
        let delta = format!(r#"{{"delta":"{}","type":"response.output_audio.delta"}}"#, "A".repeat(1_600));
        let twilio = [
            (media.as_str(), Event::Audio(Duration::from_micros(19_875))),
            (r#"{"event":"clear","streamSid":"MZ"}"#, Event::Clear),
            (r#"{"event":"mark","mark":{"name":"a\"b"}}"#, Event::Complete(Some("a\"b".to_owned()))),
            (r#"{"event":"new"}"#, Event::Other),
        ];
        let realtime = [
            (delta.as_str(), Event::Audio(Duration::from_millis(150))),
            (r#"{"type":"input_audio_buffer.speech_started"}"#, Event::Clear),
            (r#"{"type":"response.done","response":{}}"#, Event::Complete(None)),
            (r#"{"type":"error","error":{"message":"no\n"}}"#, Event::Error("no\n".to_owned())),
            (r#"{"type":"response.output_audio_transcript.delta","delta":"hi"}"#, Event::Other),
        ];
        for (protocol, messages) in [(Protocol::Twilio, &twilio[..]), (Protocol::Realtime, &realtime[..])] {
            for (text, event) in messages {
                assert_eq!(protocol.understand(text).as_ref(), Ok(event), "{text}");
            }
            assert!(protocol.understand("nonsense").is_err());
        }
    }

    #[test]
    fn all_that_is_sent_is_json() {
        for protocol in [Protocol::Twilio, Protocol::Realtime] {
            let mut sent = protocol.begin(7);
            sent.extend(protocol.end());
            sent.push(protocol.media("AAAA").to_string());
            sent.push(Protocol::mark("a\"b").to_string());
            for text in sent {
                serde_json::from_str::<serde_json::Value>(&text).expect(&text);
            }
        }
    }
}
