//! Twilio Media Streams: Twilio opens a WebSocket and sends the call's audio as JSON.

mod signature;
mod webhook;

use std::collections::BTreeMap;

use antiphon_core::{Error, Result};
use antiphon_desk::{Entrant, Unauthorized};
use axum::extract::ws::Message;
use axum::http::{HeaderMap, Uri};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::codec::Codec;
use super::media_socket::{Dialect, Heard, StreamStart};
use super::messages::{self, MediaFormat, Text, quoted};
use super::settings::TelephonySettings;
use super::vendor::Vendor;
use crate::Doors;
pub(super) use webhook::incoming;

/// The dialect of one Twilio stream.
pub(super) struct Twilio {
    /// `,"streamSid":"..."`, which must be in every message to Twilio.
    address: String,
}

/// The `start` field of the start message.
#[derive(Deserialize)]
struct TwilioStart<'a> {
    #[serde(borrow, default, rename = "streamSid")]
    stream_sid: Option<Text<'a>>,
    #[serde(borrow, default, rename = "callSid")]
    call_sid: Option<Text<'a>>,
    #[serde(borrow, default, rename = "customParameters")]
    parameters: TwimlParameters<'a>,
    #[serde(borrow, default, rename = "mediaFormat")]
    format: MediaFormat<'a>,
}

/// The parameters from the TwiML that are understood.
#[derive(Default, Deserialize)]
struct TwimlParameters<'a> {
    /// The caller's number, if the TwiML passes it on.
    #[serde(borrow, default)]
    from: Option<Text<'a>>,
    /// The number that was called.
    #[serde(borrow, default)]
    to: Option<Text<'a>>,
}

impl Dialect for Twilio {
    const NAME: &'static str = "twilio";

    fn start(message: &Message) -> Result<Option<(Self, StreamStart)>> {
        let Message::Text(text) = message else { return Ok(None) };
        let message = messages::parse::<TwilioStart<'_>>(text)?;
        let Some(start) = message.start else { return Ok(None) };
        let codec = codec(&start.format)?;
        let sid = start.stream_sid.or(message.stream_sid);
        let sid = sid.ok_or_else(|| Error::invalid("the start message has no streamSid"))?;
        let address = format!(",\"streamSid\":{}", serde_json::Value::from(sid.0));
        let call = quoted(&start.call_sid.unwrap_or_default().0);
        let TwimlParameters { from, to } = start.parameters;
        let [from, to] = [from, to].map(|number| number.map(|number| number.0.into_owned()));
        Ok(Some((Self { address }, StreamStart { call, from, to, input: codec, output: codec })))
    }

    fn read(&mut self, message: &Message, payload: &mut Vec<u8>) -> Result<Heard> {
        let Message::Text(text) = message else { return Ok(Heard::Nothing) };
        Ok(messages::parse::<IgnoredAny>(text)?.heard(payload))
    }

    fn audio(&self, payload: &[u8]) -> Message {
        Message::text(messages::media(&self.address, payload))
    }

    fn mark(&self, name: &str) -> Message {
        Message::text(messages::mark(&self.address, name))
    }

    fn clear(&self) -> Message {
        Message::text(messages::clear(&self.address))
    }
}

impl Vendor for Twilio {
    fn check(doors: &Doors, uri: &Uri, headers: &HeaderMap) -> std::result::Result<Entrant, Unauthorized> {
        signature::check(doors, true, uri, headers, &BTreeMap::new())
    }

    fn is_verified(telephony: &TelephonySettings) -> bool {
        telephony.twilio_auth_token.is_some()
    }
}

/// Twilio sends mu-law at 8 kHz; a stream of anything else is refused, because replies could not be encoded for it.
fn codec(format: &MediaFormat<'_>) -> Result<Codec> {
    match format.codec()? {
        Codec::MU_LAW => Ok(Codec::MU_LAW),
        _ => Err(Error::invalid(
            "the stream's mediaFormat is not audio/x-mulaw at 8000 Hz, which is understood",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::peer;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_obeys_the_transports_specification() {
        let peer = peer::<Twilio>(r#"{"event":"start","start":{"streamSid":"MZ1"}}"#);
        crate::spec::socket(&peer).await;
    }

    #[test]
    fn what_twilio_sends_is_understood() {
        let path = antiphon_testkit::testdata("protocol_twilio/messages.jsonl");
        for line in std::fs::read_to_string(path).expect("readable").lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let message = line["msg"].to_string();
            if line["from"] != "twilio" {
                continue;
            }
            let incoming = messages::parse::<TwilioStart<'_>>(&message).expect("understood");
            assert_eq!(incoming.event, line["msg"]["event"].as_str().expect("event"));
            assert_eq!(incoming.start.is_some(), incoming.event == "start");
            assert_eq!(incoming.dtmf.is_some(), incoming.event == "dtmf");
        }
    }

    #[test]
    fn another_format_is_refused() {
        let check = |json: &str| codec(&serde_json::from_str::<MediaFormat<'_>>(json).expect("JSON"));
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
        let start = serde_json::json!({ "event": "start", "start": { "streamSid": sid } }).to_string();
        let (twilio, _) = Twilio::start(&Message::text(start)).expect("valid").expect("a start");
        for message in [twilio.audio(&[0xff; 160]), twilio.mark("a\nb"), twilio.clear()] {
            let Message::Text(text) = message else { panic!("not text") };
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(json["streamSid"], sid);
        }
    }

    #[test]
    fn the_start_message_names_the_call_and_the_caller() {
        let start = r#"{"event":"start","streamSid":"MZ1","start":{"callSid":"CA1","customParameters":{"from":"+15550100","to":"+15550199"}}}"#;
        let (_, start) = Twilio::start(&Message::text(start)).expect("valid").expect("a start");
        assert_eq!((start.call.as_str(), start.from.as_deref()), ("CA1", Some("+15550100")));
        assert_eq!(start.to.as_deref(), Some("+15550199"));
        assert!(Twilio::start(&Message::text(r#"{"event":"connected"}"#)).expect("valid").is_none());
        assert!(Twilio::start(&Message::text(r#"{"event":"start","start":{}}"#)).is_err(), "no streamSid");
        assert!(Twilio::start(&Message::text("{")).is_err());
    }
}
