//! The JSON messages of Twilio Media Streams, which other vendors copied. Numbers may come as strings, and fields may
//! be missing or new, so only the fields that are needed are read.

use std::borrow::Cow;
use std::fmt;

use antiphon_core::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, de};

use super::codec::Codec;
use super::media_socket::Heard;

/// Most characters that an error quotes from what a stranger sent.
const MAX_QUOTED: usize = 200;

/// A message from the vendor. `S` is the type of its `start` field. The text is borrowed, since fifty messages come
/// each second.
#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub(super) struct StreamMessage<'a, S> {
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow, default, rename = "streamSid")]
    pub(super) stream_sid: Option<Text<'a>>,
    #[serde(default = "none")]
    pub(super) start: Option<S>,
    #[serde(borrow, default)]
    pub(super) media: Option<MediaPayload<'a>>,
    #[serde(borrow, default)]
    pub(super) dtmf: Option<KeyPress<'a>>,
}

fn none<S>() -> Option<S> {
    None
}

/// Text that may be absent. Serde borrows a `Cow` only as a field of its own, not inside an `Option`.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A piece of audio.
#[derive(Deserialize)]
pub(super) struct MediaPayload<'a> {
    #[serde(borrow, default)]
    pub(super) track: Option<Text<'a>>,
    /// The number of this piece in its track.
    #[serde(default)]
    pub(super) chunk: Option<WholeNumber>,
    #[serde(borrow)]
    pub(super) payload: Cow<'a, str>,
}

/// A key that the caller pressed.
#[derive(Deserialize)]
pub(super) struct KeyPress<'a> {
    #[serde(borrow)]
    pub(super) digit: Cow<'a, str>,
}

/// The encoding of a stream's audio.
#[derive(Default, Deserialize)]
pub(super) struct MediaFormat<'a> {
    #[serde(borrow, default)]
    pub(super) encoding: Option<Text<'a>>,
    #[serde(default, alias = "sampleRate")]
    pub(super) sample_rate: Option<WholeNumber>,
}

impl MediaFormat<'_> {
    /// The codec. What the message leaves out defaults to the encoding of telephone lines, mu-law at 8 kHz.
    pub(super) fn codec(&self) -> Result<Codec> {
        let encoding = self.encoding.as_ref().map_or("PCMU", |encoding| &*encoding.0);
        let hz = self.sample_rate.map_or(Some(8_000), |rate| rate.0);
        hz.and_then(|hz| Codec::named(encoding, hz)).ok_or_else(|| {
            let rate = hz.map_or_else(|| "an unknown rate".to_owned(), |hz| format!("{hz} Hz"));
            Error::invalid(format!(
                "the stream's audio is {} at {rate}, which is not spoken",
                quoted(encoding)
            ))
        })
    }
}

/// A number, which some vendors write as a string. Holds `None` if it is not a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholeNumber(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrString;

        impl de::Visitor<'_> for NumberOrString {
            type Value = WholeNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, perhaps as a string")
            }

            fn visit_u64<E>(self, number: u64) -> Result<WholeNumber, E> {
                Ok(WholeNumber(Some(number)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<WholeNumber, E> {
                Ok(WholeNumber(number.try_into().ok()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<WholeNumber, E> {
                Ok(WholeNumber(None))
            }

            fn visit_str<E>(self, number: &str) -> Result<WholeNumber, E> {
                Ok(WholeNumber(number.parse().ok()))
            }
        }

        deserializer.deserialize_any(NumberOrString)
    }
}

/// Reads a message of a media stream, whose `start` carries what is the vendor's own.
pub(super) fn parse<'a, S: Deserialize<'a>>(text: &'a str) -> Result<StreamMessage<'a, S>> {
    serde_json::from_str(text).map_err(|error| {
        Error::invalid(format!("not a message of a media stream: {}", quoted(&error.to_string())))
    })
}

/// A stranger's text, cut to a length that may go into a log.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

impl<S> StreamMessage<'_, S> {
    /// What the message means for the call. Decodes its audio from base64 and appends it to `payload`.
    pub(super) fn heard(&self, payload: &mut Vec<u8>) -> Heard {
        match self.event.as_ref() {
            "media" => {
                let inbound = |media: &&MediaPayload<'_>| {
                    media.track.as_ref().is_none_or(|track| !track.0.starts_with("outbound"))
                };
                let Some(media) = self.media.as_ref().filter(inbound) else { return Heard::Nothing };
                let before = payload.len();
                if STANDARD.decode_vec(media.payload.as_ref(), payload).is_err() {
                    // A payload that is not valid base64 is treated like a lost packet.
                    payload.truncate(before);
                    return Heard::Nothing;
                }
                Heard::Audio
            }
            "dtmf" => {
                let key = self.dtmf.as_ref().and_then(|dtmf| dtmf.digit.chars().next());
                key.map_or(Heard::Nothing, Heard::Key)
            }
            "stop" => Heard::Stop,
            _ => Heard::Nothing,
        }
    }
}

/// A `media` message with this audio. `address` is a field that the vendor requires in every message, such
/// as `,"streamSid":"MZ1"`.
pub(super) fn media(address: &str, payload: &[u8]) -> String {
    let mut json = String::with_capacity(payload.len() * 4 / 3 + address.len() + 64);
    json.push_str(r#"{"event":"media""#);
    json.push_str(address);
    json.push_str(r#","media":{"payload":""#);
    STANDARD.encode_string(payload, &mut json);
    json.push_str("\"}}");
    json
}

/// A `mark` message: the vendor sends it back once all audio before it was played or cleared.
pub(super) fn mark(address: &str, name: &str) -> String {
    format!(r#"{{"event":"mark"{address},"mark":{{"name":{}}}}}"#, serde_json::Value::from(name))
}

/// A `clear` message: the vendor drops all audio that it has not played yet.
pub(super) fn clear(address: &str) -> String {
    format!(r#"{{"event":"clear"{address}}}"#)
}

/// A vendor that copied Twilio's messages, for the transports' specification. `start` is its start message.
#[cfg(test)]
pub(super) fn peer<D: super::media_socket::Dialect>(start: &str) -> crate::spec::Peer {
    use tokio_tungstenite::tungstenite::Message;

    fn is(message: &Message, event: &str) -> bool {
        message.to_text().is_ok_and(|text| text.starts_with(&format!("{{\"event\":\"{event}\"")))
    }

    crate::spec::Peer {
        limit: super::media_socket::MAX_MESSAGE,
        opening: vec![Message::text(r#"{"event":"connected"}"#), Message::text(start)],
        speech: Message::text(media("", &[0x80; 160])),
        garbage: vec![
            Message::text(""),
            Message::text("{"),
            Message::text("[]"),
            Message::text(r#"{"event":7}"#),
            Message::text(r#"{"event":"news"}"#),
            Message::text(r#"{"event":"media"}"#),
            Message::text(r#"{"event":"media","media":{"payload":"?"}}"#),
            Message::text(r#"{"event":"start","start":7}"#),
            Message::binary(vec![1, 2, 3]),
        ],
        is_audio: |message| is(message, "media"),
        is_clear: Some(|message| is(message, "clear")),
        open: |ws| {
            Box::pin(async {
                let (transport, _) =
                    super::media_socket::MediaSocket::<D>::accept(ws, crate::intake::Meter::default())
                        .await
                        .ok()?;
                Some(Box::new(transport) as Box<dyn antiphon_core::Transport>)
            })
        },
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn numbers_may_be_strings() {
        for (json, number) in
            [("7", Some(7)), ("\"7\"", Some(7)), ("-1", None), ("1.5", None), ("\"x\"", None), ("\"\"", None)]
        {
            assert_eq!(serde_json::from_str::<WholeNumber>(json).expect(json), WholeNumber(number), "{json}");
        }
    }

    #[test]
    fn a_message_is_read_without_a_copy() {
        let text = r#"{"event":"media","media":{"track":"inbound","chunk":"2","payload":"/////w=="}}"#;
        let message = parse::<IgnoredAny>(text).expect("a message");
        let media = message.media.as_ref().expect("media");
        assert!(matches!(message.event, Cow::Borrowed(_)) && matches!(media.payload, Cow::Borrowed(_)));
        assert!(matches!(media.track, Some(Text(Cow::Borrowed("inbound")))));
        let mut payload = Vec::new();
        assert_eq!(message.heard(&mut payload), Heard::Audio);
        assert_eq!(payload, [0xFF; 4]);
    }

    #[test]
    fn what_is_not_for_the_call_is_ignored() {
        for text in [
            r#"{"event":"connected"}"#,
            r#"{"event":"media"}"#,
            r#"{"event":"media","media":{"track":"outbound","payload":"/////w=="}}"#,
            r#"{"event":"media","media":{"payload":"?"}}"#,
            r#"{"event":"dtmf","dtmf":{"digit":""}}"#,
            r#"{"event":"news"}"#,
        ] {
            let mut payload = Vec::new();
            let heard = parse::<IgnoredAny>(text).expect(text).heard(&mut payload);
            assert_eq!((heard, payload), (Heard::Nothing, Vec::new()), "{text}");
        }
    }

    #[test]
    fn an_error_quotes_little_of_what_came() {
        let long = format!("{{\"event\":7,\"x\":\"{}\"}}", "y".repeat(100_000));
        for text in [long.clone(), format!("{{\"event\":\"media\",\"media\":\"{long}\"}}").replace('\\', "")]
        {
            let error = parse::<IgnoredAny>(&text).err().expect("no message").to_string();
            assert!(error.len() < 2 * MAX_QUOTED, "{} bytes", error.len());
        }
    }
}
