//! Twilio Media Streams messages. Numbers may come as strings and fields may be missing or new: only what is
//! needed is read.

use std::borrow::Cow;
use std::fmt::Write;

use antiphon_core::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A message from Twilio. Borrowed: fifty of them come a second.
#[derive(Deserialize)]
pub(super) struct Incoming<'a> {
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow, default, rename = "streamSid")]
    pub(super) stream_sid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) start: Option<Start<'a>>,
    #[serde(borrow, default)]
    pub(super) media: Option<Media<'a>>,
    #[serde(borrow, default)]
    pub(super) dtmf: Option<Dtmf<'a>>,
}

/// What a stream is.
#[derive(Deserialize)]
pub(super) struct Start<'a> {
    #[serde(borrow, default, rename = "streamSid")]
    pub(super) stream_sid: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "callSid")]
    pub(super) call_sid: Option<Cow<'a, str>>,
    /// What the TwiML gave along.
    #[serde(borrow, default, rename = "customParameters")]
    pub(super) parameters: Parameters<'a>,
    #[serde(borrow, default, rename = "mediaFormat")]
    pub(super) format: Option<MediaFormat<'a>>,
}

/// Of the TwiML's parameters, those that are understood.
#[derive(Default, Deserialize)]
pub(super) struct Parameters<'a> {
    /// The caller's number.
    #[serde(borrow, default)]
    pub(super) from: Option<Cow<'a, str>>,
}

/// How its audio is encoded.
#[derive(Deserialize)]
pub(super) struct MediaFormat<'a> {
    #[serde(borrow, default)]
    pub(super) encoding: Option<Cow<'a, str>>,
    /// A number, sometimes as a string.
    #[serde(default, rename = "sampleRate")]
    pub(super) rate: Option<serde_json::Value>,
}

impl MediaFormat<'_> {
    /// Whether it is what telephone lines carry; what is not said is taken to be.
    pub(super) fn check(&self) -> Result<()> {
        let encoding = self.encoding.as_deref().unwrap_or("audio/x-mulaw");
        let rate = self.rate.as_ref().map_or_else(
            || "8000".to_owned(),
            |rate| match rate {
                serde_json::Value::String(rate) => rate.clone(),
                other => other.to_string(),
            },
        );
        if encoding == "audio/x-mulaw" && rate == "8000" {
            return Ok(());
        }
        let message = format!(
            "the stream's mediaFormat is {encoding} at {rate} Hz; audio/x-mulaw at 8000 is understood"
        );
        Err(Error::invalid(message))
    }
}

/// A piece of audio.
#[derive(Deserialize)]
pub(super) struct Media<'a> {
    #[serde(borrow, default)]
    pub(super) track: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) payload: Cow<'a, str>,
}

/// A key pressed.
#[derive(Deserialize)]
pub(super) struct Dtmf<'a> {
    #[serde(borrow)]
    pub(super) digit: Cow<'a, str>,
}

/// A `media` message with this audio.
pub(super) fn media(stream_sid: &str, mulaw: &[u8]) -> String {
    let mut json = String::with_capacity(mulaw.len() * 4 / 3 + stream_sid.len() + 64);
    json.push_str(r#"{"event":"media","streamSid":"#);
    push_string(&mut json, stream_sid);
    json.push_str(r#","media":{"payload":""#);
    STANDARD.encode_string(mulaw, &mut json);
    json.push_str("\"}}");
    json
}

/// A `mark` message: Twilio sends it back once all audio before it was played or cleared.
pub(super) fn mark(stream_sid: &str, name: &str) -> String {
    let mut json = String::from(r#"{"event":"mark","streamSid":"#);
    push_string(&mut json, stream_sid);
    json.push_str(r#","mark":{"name":"#);
    push_string(&mut json, name);
    json.push_str("}}");
    json
}

/// A `clear` message: Twilio drops all audio not yet played.
pub(super) fn clear(stream_sid: &str) -> String {
    let mut json = String::from(r#"{"event":"clear","streamSid":"#);
    push_string(&mut json, stream_sid);
    json.push('}');
    json
}

fn push_string(json: &mut String, text: &str) {
    // Writing a string to a string cannot fail.
    let _ = write!(json, "{}", serde_json::Value::from(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_twilio_sends_is_understood() {
        let path = antiphon_testkit::testdata("protocol_twilio/messages.jsonl");
        for line in std::fs::read_to_string(path).expect("readable").lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let message = line["msg"].to_string();
            if line["from"] != "twilio" {
                continue;
            }
            let incoming: Incoming<'_> = serde_json::from_str(&message).expect("understood");
            assert_eq!(incoming.event, line["msg"]["event"].as_str().expect("event"));
            assert_eq!(incoming.start.is_some(), incoming.event == "start");
            assert_eq!(incoming.dtmf.is_some(), incoming.event == "dtmf");
        }
    }

    #[test]
    fn another_format_is_refused() {
        let check = |json: &str| serde_json::from_str::<MediaFormat<'_>>(json).expect("JSON").check();
        for taken in ["{}", r#"{"encoding":"audio/x-mulaw","sampleRate":8000}"#, r#"{"sampleRate":"8000"}"#] {
            check(taken).expect(taken);
        }
        for refused in [r#"{"encoding":"audio/x-l16"}"#, r#"{"sampleRate":16000}"#] {
            check(refused).expect_err(refused);
        }
    }

    #[test]
    fn what_is_sent_is_json_whatever_the_names() {
        let sid = "M\"Z\\";
        for message in [media(sid, &[0xff; 160]), mark(sid, "a\nb"), clear(sid)] {
            let json: serde_json::Value = serde_json::from_str(&message).expect("JSON");
            assert_eq!(json["streamSid"], sid);
        }
    }
}
