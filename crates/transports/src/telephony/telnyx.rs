//! Telnyx media streaming. Telnyx opens the WebSocket for one of two reasons: the TeXML with which the webhook
//! answers says so, or a program of the user has asked Telnyx's API for a stream. The stream must have the mode
//! `rtp`; the other mode, `mp3`, does not allow a conversation.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_desk::{Entrant, Unauthorized};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::Message;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::media_socket::{Dialect, Heard, StreamStart};
use super::messages::{self, MediaFormat, Text, WholeNumber, quoted};
use super::settings::TelephonySettings;
use super::vendor::{Vendor, let_in_if};
use super::webhook::{busy, respond, socket_url};
use crate::{Doors, Refusal};

/// Most pieces of audio that wait for a missing one before them: 80 ms at 20 ms each.
const MAX_HELD: usize = 4;
/// A piece whose number is this far from the expected one is not late: the vendor has begun to number anew. 50 pieces
/// are 1 s.
const RENUMBERED: u64 = 50;
/// How long a signed webhook request is valid; the value that Telnyx recommends. An older one may have been recorded
/// and sent again.
const WEBHOOK_VALID: Duration = Duration::from_mins(5);
/// How long the ticket for the media socket is valid. Telnyx opens the socket within seconds of the webhook's answer.
const TICKET_VALID: Duration = Duration::from_mins(1);

/// The dialect of one Telnyx stream.
pub(super) struct Telnyx {
    order: AudioOrder,
}

/// The `start` field of the start message.
#[derive(Deserialize)]
struct TelnyxStart<'a> {
    #[serde(borrow, default)]
    call_control_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    from: Option<Text<'a>>,
    #[serde(borrow, default)]
    to: Option<Text<'a>>,
    #[serde(borrow, default)]
    media_format: Option<MediaFormat<'a>>,
    #[serde(borrow, default)]
    custom_parameters: Option<StreamParameters<'a>>,
}

/// The parameters of the stream that are understood. The start message tells the format of the caller's audio only;
/// `stream_bidirectional_codec` may name another for the agent's audio, so the user repeats that here.
#[derive(Default, Deserialize)]
struct StreamParameters<'a> {
    #[serde(borrow, default, rename = "codec")]
    encoding: Option<Text<'a>>,
    #[serde(default)]
    sample_rate: Option<WholeNumber>,
}

impl Dialect for Telnyx {
    const NAME: &'static str = "telnyx";
    const SHORTEST: Duration = Duration::from_millis(20);

    fn start(message: &Message) -> antiphon_core::Result<Option<(Self, StreamStart)>> {
        let Message::Text(text) = message else { return Ok(None) };
        let Some(start) = messages::parse::<TelnyxStart<'_>>(text)?.start else { return Ok(None) };
        let StreamParameters { encoding, sample_rate } = start.custom_parameters.unwrap_or_default();
        let start = StreamStart {
            call: quoted(&start.call_control_id.unwrap_or_default().0),
            from: start.from.map(|from| from.0.into_owned()),
            to: start.to.map(|to| to.0.into_owned()),
            input: start.media_format.unwrap_or_default().codec()?,
            output: MediaFormat { encoding, sample_rate }.codec()?,
        };
        Ok(Some((Self { order: AudioOrder::default() }, start)))
    }

    fn read(&mut self, message: &Message, payload: &mut Vec<u8>) -> antiphon_core::Result<Heard> {
        let Message::Text(text) = message else { return Ok(Heard::Nothing) };
        let message = messages::parse::<IgnoredAny>(text)?;
        let heard = message.heard(payload);
        let chunk = message.media.and_then(|media| media.chunk?.0);
        if let (Heard::Audio, Some(chunk)) = (heard, chunk) {
            self.order.put(chunk, payload);
        }
        Ok(heard)
    }

    fn audio(&self, payload: &[u8]) -> Message {
        Message::text(messages::media("", payload))
    }

    fn mark(&self, name: &str) -> Message {
        Message::text(messages::mark("", name))
    }

    fn clear(&self) -> Message {
        Message::text(messages::clear(""))
    }
}

/// Puts audio in order. Telnyx sends packets in the order in which they reach it over the network, and numbers them.
#[derive(Default)]
struct AudioOrder {
    /// The number of the next piece; unknown before the first.
    next: Option<u64>,
    /// Pieces that came before one that precedes them.
    held: BTreeMap<u64, Vec<u8>>,
}

impl AudioOrder {
    /// Takes the piece with this number out of `payload`, and leaves there the audio that is ready to be heard.
    fn put(&mut self, number: u64, payload: &mut Vec<u8>) {
        let mut next = self.next.unwrap_or(number);
        if number.abs_diff(next) > RENUMBERED {
            self.held.clear();
            next = number;
        }
        match number.cmp(&next) {
            Ordering::Greater => {
                self.held.insert(number, std::mem::take(payload));
                if self.held.len() == MAX_HELD {
                    // The missing piece counts as lost: later pieces no longer wait for it.
                    next = self.held.keys().next().copied().unwrap_or(next);
                }
            }
            // The place of this piece has already been filled or given up.
            Ordering::Less => payload.clear(),
            Ordering::Equal => next = next.saturating_add(1),
        }
        while let Some(piece) = self.held.remove(&next) {
            payload.extend(piece);
            next = next.saturating_add(1);
        }
        self.next = Some(next);
    }
}

impl Vendor for Telnyx {
    /// Telnyx presents the stream's token in a header if the API was asked for the stream. If the webhook's TeXML
    /// named the URL, it presents a ticket in the URL, because TeXML cannot set a header.
    fn check(doors: &Doors, uri: &Uri, headers: &HeaderMap) -> Result<Entrant, Unauthorized> {
        let verified = doors.telephony.telnyx_stream_token.as_ref().map(|token| {
            let shown = headers.get("x-telnyx-streaming-auth-token").and_then(|value| value.to_str().ok());
            let ticket = uri.query().and_then(|query| query.strip_prefix("ticket="));
            shown.is_some_and(|shown| digest(shown).ct_eq(&digest(token)).into())
                || ticket.is_some_and(|ticket| is_ticket(token, ticket, now()))
        });
        let_in_if(verified, doors, headers)
    }

    fn is_verified(telephony: &TelephonySettings) -> bool {
        telephony.telnyx_stream_token.is_some()
    }
}

/// `/telephony/telnyx`: the request that Telnyx sends when a call comes in. The answer is TeXML that connects the
/// call to the media socket, where Telnyx itself tells who calls.
pub(super) async fn incoming(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let TelephonySettings { telnyx_public_key: key, telnyx_stream_token: token, .. } = &doors.telephony;
    // With a token and no public key nothing can be checked here, and a ticket for everybody would make the
    // token useless.
    let signed = (key.is_some() || token.is_some())
        .then(|| key.as_ref().is_some_and(|key| is_signed(key, &headers, &body, now())));
    let_in_if(signed, &doors, &headers)?;
    let ticket = token.as_ref().map(|token| format!("?ticket={}", ticket(token, now() + TICKET_VALID)));
    let path = format!("/telephony/telnyx/media{}", ticket.unwrap_or_default());
    let url = socket_url(&doors, &headers, &path)?;
    Ok(busy(&doors).unwrap_or_else(|| {
        respond(&format!(
            "<Connect><Stream url=\"{url}\" track=\"inbound_track\" codec=\"PCMU\" bidirectionalMode=\"rtp\" \
             bidirectionalCodec=\"PCMU\"/></Connect>"
        ))
    }))
}

/// Secrets are compared by their digests, so that the duration of the comparison reveals nothing about them.
fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The time since 1970.
fn now() -> Duration {
    antiphon_telemetry::unix_time()
}

/// Whether Telnyx signed this webhook request recently, with the key whose public half is `key`. The signature is
/// Ed25519 over the time, `|` and the body.
fn is_signed(key: &str, headers: &HeaderMap, body: &[u8], now: Duration) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(timestamp), Some(signature)) = (header("telnyx-timestamp"), header("telnyx-signature-ed25519"))
    else {
        return false;
    };
    let recent = |seconds: u64| Duration::from_secs(seconds.abs_diff(now.as_secs())) <= WEBHOOK_VALID;
    let (Ok(key), Ok(signature)) = (STANDARD.decode(key), STANDARD.decode(signature)) else { return false };
    let signed = [timestamp.as_bytes(), b"|", body].concat();
    timestamp.parse().is_ok_and(recent)
        && UnparsedPublicKey::new(&ED25519, key).verify(&signed, &signature).is_ok()
}

/// A ticket that opens the media socket until `expires`: the time, and a code that only a holder of the token can
/// compute. The server stores nothing about it, so another server behind the same address accepts it as well.
fn ticket(token: &str, expires: Duration) -> String {
    let expires = expires.as_secs();
    let code = authenticator(token, expires).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    format!("{expires}.{}", code.unwrap_or_default())
}

fn is_ticket(token: &str, ticket: &str, now: Duration) -> bool {
    let Some((expires, code)) = ticket.split_once('.') else { return false };
    let (Ok(expires), Ok(code)) = (expires.parse(), URL_SAFE_NO_PAD.decode(code)) else { return false };
    expires >= now.as_secs()
        && authenticator(token, expires).is_some_and(|mac| mac.verify_slice(&code).is_ok())
}

fn authenticator(token: &str, expires: u64) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).ok()?;
    mac.update(format!("antiphon telnyx media {expires}").as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use antiphon_audio::Law;
    use antiphon_core::SampleRate;
    use proptest::prelude::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::{Value, json};

    use super::super::codec::Codec;
    use super::super::messages::peer;
    use super::*;

    /// The start message from Telnyx's documentation, with `format` and `parameters`.
    fn start(format: &Value, parameters: &Value) -> antiphon_core::Result<Option<(Telnyx, StreamStart)>> {
        let start = json!({
            "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
            "call_control_id": "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ",
            "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
            "from": "+13122010094",
            "to": "+13122123456",
            "tags": ["TAG1", "TAG2"],
            "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
            "custom_parameters": parameters,
            "media_format": format,
        });
        let id = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC";
        let message = json!({ "event": "start", "sequence_number": "1", "stream_id": id, "start": start });
        Telnyx::start(&Message::text(message.to_string()))
    }

    fn pcmu() -> Value {
        json!({ "encoding": "PCMU", "sample_rate": 8000, "channels": 1 })
    }

    #[test]
    fn the_start_message_tells_the_call_the_caller_and_the_codecs() {
        let (_, started) = start(&pcmu(), &json!({ "customer_id": "1" })).expect("valid").expect("a start");
        assert!(started.call.starts_with("v2:T02") && started.from.as_deref() == Some("+13122010094"));
        assert_eq!(started.to.as_deref(), Some("+13122123456"));
        assert_eq!((started.input, started.output), (Codec::MU_LAW, Codec::MU_LAW));
        let greeting = Message::text(r#"{"event":"connected","version":"1.0.0"}"#);
        assert!(Telnyx::start(&greeting).expect("valid").is_none());

        // Each direction is encoded as was asked for it.
        let european = json!({ "encoding": "PCMA", "sample_rate": "8000" });
        let (_, started) = start(&european, &json!({})).expect("valid").expect("a start");
        assert_eq!((started.input, started.output), (Codec::G711(Law::A), Codec::MU_LAW));
        let wide = json!({ "encoding": "L16", "sample_rate": 16000 });
        let parameters = json!({ "codec": "L16", "sample_rate": "16000" });
        let (_, started) = start(&wide, &parameters).expect("valid").expect("a start");
        assert_eq!((started.input, started.output), (Codec::Pcm(SampleRate::HZ_16000), started.input));

        for unknown in ["OPUS", "G722", "AMR-WB"] {
            let format = json!({ "encoding": unknown, "sample_rate": 16000 });
            assert!(start(&format, &json!({})).is_err(), "{unknown}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_obeys_the_transports_specification() {
        crate::spec::socket(&peer::<Telnyx>(r#"{"event":"start","stream_id":"1","start":{}}"#)).await;
    }

    fn read(telnyx: &mut Telnyx, message: &Value) -> (Heard, Vec<u8>) {
        let mut payload = Vec::new();
        let heard = telnyx.read(&Message::text(message.to_string()), &mut payload).expect("a message");
        (heard, payload)
    }

    #[test]
    fn a_call_is_understood_and_spoken_to() {
        let (mut telnyx, _) = start(&pcmu(), &json!({})).expect("valid").expect("a start");
        let media = json!({ "track": "inbound", "chunk": "2", "timestamp": "5", "payload": "/////w==" });
        let media = json!({ "event": "media", "sequence_number": "4", "stream_id": "32DE", "media": media });
        assert_eq!(read(&mut telnyx, &media), (Heard::Audio, vec![0xFF; 4]));
        let key = json!({ "event": "dtmf", "stream_id": "32DE", "dtmf": { "digit": "1" } });
        assert_eq!(read(&mut telnyx, &key).0, Heard::Key('1'));
        let error = json!({ "event": "error", "payload": { "code": 100_002, "title": "unknown_error" } });
        assert_eq!(read(&mut telnyx, &error).0, Heard::Nothing);
        let stop = json!({ "event": "stop", "stop": { "user_id": "3E", "call_control_id": "v2:T" } });
        assert_eq!(read(&mut telnyx, &stop).0, Heard::Stop);
        for (message, expected) in [
            (telnyx.audio(&[0xFF; 4]), json!({ "event": "media", "media": { "payload": "/////w==" } })),
            (telnyx.mark("r\"1"), json!({ "event": "mark", "mark": { "name": "r\"1" } })),
            (telnyx.clear(), json!({ "event": "clear" })),
        ] {
            let Message::Text(text) = message else { panic!("not text") };
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
        }
    }

    /// The audio that is heard when pieces come in this order. Each piece holds its own number.
    fn heard(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let mut order = AudioOrder::default();
        let mut heard = Vec::new();
        for number in numbers {
            let mut payload = vec![number as u8];
            order.put(number, &mut payload);
            heard.extend(payload);
        }
        heard
    }

    #[test]
    fn audio_is_heard_in_order_and_waits_only_briefly_for_what_is_lost() {
        assert_eq!(heard([1, 3, 2, 4]), [1, 2, 3, 4]);
        assert_eq!(heard([1, 2, 2, 1, 3]), [1, 2, 3], "twice is once");
        assert_eq!(heard([1, 3, 4, 5]), [1], "2 may still come");
        assert_eq!(heard([1, 3, 4, 5, 6, 2, 7]), [1, 3, 4, 5, 6, 7], "2 is lost");
        assert_eq!(heard([200, 1, 2, 3]), [200, 1, 2, 3], "numbered anew");
        assert_eq!(heard([u64::MAX - 1, u64::MAX]), [254, 255]);
    }

    proptest! {
        #[test]
        fn pieces_that_swap_places_are_all_heard(swaps in prop::collection::vec(0usize..99, 0..30)) {
            let mut numbers: Vec<u64> = (0..100).collect();
            let mut last = None;
            for at in swaps {
                // No piece moves further than to the place of its neighbour.
                if last.is_none_or(|last: usize| at > last + 1) {
                    numbers.swap(at, at + 1);
                    last = Some(at);
                }
            }
            let first = numbers[0];
            let expected: Vec<u8> = (first as u8..100).collect();
            prop_assert_eq!(heard(numbers), expected);
        }
    }

    #[test]
    fn a_webhook_is_believed_when_telnyx_signed_it_lately() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
        let key = STANDARD.encode(pair.public_key().as_ref());
        let (body, at) = (b"CallSid=v3%3A1&From=%2B13122010094", Duration::from_hours(500_000));
        let signature = STANDARD.encode(pair.sign(&[b"1800000000|", &body[..]].concat()));
        let headers = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("telnyx-timestamp", "1800000000".parse().expect("valid"));
            headers.insert("telnyx-signature-ed25519", signature.parse().expect("valid"));
            headers
        };
        let signed = headers(&signature);
        assert!(is_signed(&key, &signed, body, at + Duration::from_mins(1)));
        assert!(!is_signed(&key, &signed, b"From=%2B1", at), "another body");
        assert!(!is_signed(&key, &signed, body, at + Duration::from_secs(301)), "an old request");
        assert!(!is_signed(&STANDARD.encode([1; 32]), &signed, body, at), "another key");
        assert!(!is_signed("?", &signed, body, at), "no key");
        assert!(!is_signed(&key, &headers("AAAA"), body, at));
        assert!(!is_signed(&key, &HeaderMap::new(), body, at));
    }

    #[test]
    fn a_ticket_opens_the_socket_until_it_expires() {
        let now = Duration::from_secs(1_000);
        let valid = ticket("secret", now + TICKET_VALID);
        assert!(is_ticket("secret", &valid, now));
        assert!(!is_ticket("secret", &valid, now + TICKET_VALID + Duration::from_secs(1)), "expired");
        assert!(!is_ticket("another", &valid, now));
        let later = valid.replacen("1060", "9060", 1);
        assert!(valid.starts_with("1060.") && !is_ticket("secret", &later, now), "a later time");
        for other in ["", ".", "9999999999.", "x.y"] {
            assert!(!is_ticket("secret", other, now), "{other:?}");
        }
    }
}
