//! How large the events of a client may be. It is checked before an event is parsed into anything that takes more memory than its
//! text.

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::invalid::Invalid;

/// Largest message in bytes: 15 MiB of audio, which is what OpenAI allows in one event, as base64, and what is around it.
pub(super) const MAX_MESSAGE: usize = (15 << 20) / 3 * 4 + MAX_EVENT;
/// Largest event in bytes, its audio not counted. A session with long instructions and a hundred tools has half of that.
const MAX_EVENT: usize = 256 << 10;

/// Refuses an event that is too large for its type.
pub(super) fn check(kind: &str, text: &str) -> Result<(), Invalid> {
    let audio = match kind {
        _ if text.len() <= MAX_EVENT => return Ok(()),
        "input_audio_buffer.append" => return Ok(()),
        "conversation.item.create" => serde_json::from_str::<AudioBytes>(text).map_or(0, |audio| audio.0),
        _ => 0,
    };
    if text.len() - audio <= MAX_EVENT {
        return Ok(());
    }
    let kib = MAX_EVENT >> 10;
    let message = format!("an event may have {kib} KiB beside its audio: send less, or in several events");
    Err(Invalid::new("event_too_large", message))
}

/// How many bytes of an event are the audio of its item.
struct AudioBytes(usize);

/// The fields on the way to the audio of an item.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Audio,
    Item,
    Content,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for AudioBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Sum)
    }
}

struct Sum;

impl<'de> Visitor<'de> for Sum {
    type Value = AudioBytes;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<AudioBytes, A::Error> {
        let mut sum = 0;
        while let Some(field) = fields.next_key()? {
            sum += match field {
                Field::Audio => base64_bytes(fields.next_value::<&RawValue>()?),
                Field::Item | Field::Content => fields.next_value::<AudioBytes>()?.0,
                Field::Other => fields.next_value::<IgnoredAny>().map(|_| 0)?,
            };
        }
        Ok(AudioBytes(sum))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<AudioBytes, A::Error> {
        let mut sum = 0;
        while let Some(AudioBytes(bytes)) = elements.next_element()? {
            sum += bytes;
        }
        Ok(AudioBytes(sum))
    }
}

/// The length of a text; anything else is no audio, and may not be long.
fn base64_bytes(value: &RawValue) -> usize {
    if value.get().starts_with('"') { value.get().len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(kind: &str, text: &str) -> bool {
        match check(kind, text) {
            Ok(()) => true,
            Err(invalid) => {
                assert_eq!(invalid.code, "event_too_large");
                assert!(invalid.message.contains("256 KiB"), "{}", invalid.message);
                false
            }
        }
    }

    #[test]
    fn only_audio_may_be_long() {
        let long = "A".repeat(MAX_EVENT);
        let item = |part: &str| format!(r#"{{"item":{{"content":[{{"type":"input_audio",{part}}}]}}}}"#);
        for (kind, text, taken) in [
            ("input_audio_buffer.append", format!(r#"{{"audio":"{long}"}}"#), true),
            ("conversation.item.create", item(&format!(r#""audio":"{long}""#)), true),
            ("conversation.item.create", item(&format!(r#""transcript":"{long}""#)), false),
            ("conversation.item.create", item(&format!(r#""x":[{}0]"#, "0,".repeat(MAX_EVENT))), false),
            ("conversation.item.create", format!(r#"{{"item":"{long}"}}"#), false),
            ("response.create", item(&format!(r#""audio":"{long}""#)), false),
            (
                "session.update",
                format!(r#"{{"session":{{"tracing":[{}0]}}}}"#, "0,".repeat(MAX_EVENT)),
                false,
            ),
            ("no.such.event", format!("{long}A"), false),
            ("session.update", r#"{"session":{}}"#.to_owned(), true),
        ] {
            assert_eq!(is_taken(kind, &text), taken, "{kind}: {}", &text[..60.min(text.len())]);
        }
    }

    #[test]
    fn what_is_audio_by_name_only_is_no_room_for_trees() {
        let tree =
            format!(r#"{{"item":{{"content":[{{"audio":[{}0]}}]}}}}"#, r#"{"a":0},"#.repeat(MAX_EVENT));
        assert!(!is_taken("conversation.item.create", &tree));
    }
}
