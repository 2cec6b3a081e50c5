//! Parses the events that Realtime clients send.

use std::borrow::Cow;

use antiphon_core::call::{CommandKind, Place};
use antiphon_core::session::{ReplyInput, ReplyRequest};
use antiphon_core::{ItemId, ReplyId};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use super::event_size;
use super::invalid::{self, Invalid};
use super::item::{Given, GivenItem};
use super::media::Format;
use super::session::{MaxTokens, Modalities, Voice};
use super::session_update::SessionUpdate;
use super::tool::{self, FunctionChoice, FunctionTool};

/// Most pairs in the metadata of a response, and the longest key and value in bytes: OpenAI's limits.
const MAX_METADATA: usize = 16;
const MAX_METADATA_KEY: usize = 64;
const MAX_METADATA_VALUE: usize = 512;
/// The metadata key of a response that turns the cache on or off for this reply.
const CACHE: &str = "antiphon_cache";

/// The fields common to all events, and the audio of `input_audio_buffer.append`. That event comes fifty times a
/// second, so its audio is borrowed from the message instead of copied.
#[derive(Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) audio: Option<Cow<'a, str>>,
}

/// What a client asks for.
pub(super) enum ClientRequest {
    /// A change of the session.
    Update(SessionUpdate),
    /// A command to the call.
    Command(CommandKind),
}

/// The parts of the session that decide how an event is read.
pub(super) struct EventContext<'a> {
    /// The format of the audio in items.
    pub(super) input: Format,
    /// The audio format of replies.
    pub(super) output: Format,
    /// The names of the voices that the engine has.
    pub(super) voices: &'a [String],
}

#[derive(Deserialize)]
struct Update {
    session: SessionUpdate,
}

#[derive(Deserialize)]
struct ItemCreate {
    item: GivenItem,
    #[serde(default)]
    previous_item_id: Option<String>,
}

#[derive(Deserialize)]
struct OfItem {
    item_id: String,
}

#[derive(Deserialize)]
struct Truncate {
    item_id: String,
    audio_end_ms: u64,
}

#[derive(Deserialize)]
struct ResponseCancel {
    #[serde(default)]
    response_id: Option<String>,
}

#[derive(Deserialize)]
struct ResponseCreate {
    #[serde(default)]
    response: Option<ResponseOptions>,
}

/// The settings of one response; what is absent is taken from the session.
#[derive(Default, Deserialize)]
struct ResponseOptions {
    conversation: Option<Conversation>,
    input: Option<Vec<GivenItem>>,
    instructions: Option<String>,
    metadata: Option<BTreeMap<String, Value>>,
    output_modalities: Option<Modalities>,
    audio: Option<ResponseAudio>,
    tools: Option<Vec<FunctionTool>>,
    tool_choice: Option<FunctionChoice>,
    parallel_tool_calls: Option<bool>,
    max_output_tokens: Option<MaxTokens>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Conversation {
    Auto,
    None,
}

#[derive(Deserialize)]
struct ResponseAudio {
    output: Option<ResponseOutput>,
}

#[derive(Deserialize)]
struct ResponseOutput {
    format: Option<Format>,
    voice: Option<Voice>,
}

/// Parses any event but `input_audio_buffer.append`.
pub(super) fn parse(kind: &str, text: &str, context: &EventContext<'_>) -> Result<ClientRequest, Invalid> {
    event_size::check(kind, text)?;
    let command = match kind {
        "session.update" => return Ok(ClientRequest::Update(invalid::parse::<Update>(text)?.session)),
        "input_audio_buffer.commit" => CommandKind::CommitInput,
        "input_audio_buffer.clear" => CommandKind::ClearInput,
        "conversation.item.create" => create_item(invalid::parse(text)?, context)?,
        "conversation.item.delete" => {
            CommandKind::DeleteItem(ItemId::new(invalid::parse::<OfItem>(text)?.item_id))
        }
        "conversation.item.retrieve" => {
            CommandKind::RetrieveItem(ItemId::new(invalid::parse::<OfItem>(text)?.item_id))
        }
        "conversation.item.truncate" => {
            let Truncate { item_id, audio_end_ms } = invalid::parse(text)?;
            let audio_end = Duration::from_millis(audio_end_ms);
            CommandKind::TruncateItem { item: ItemId::new(item_id), audio_end }
        }
        "response.create" => create_response(invalid::parse(text)?, context)?,
        "response.cancel" => {
            CommandKind::CancelReply(invalid::parse::<ResponseCancel>(text)?.response_id.map(ReplyId::new))
        }
        "output_audio_buffer.clear" => {
            let message = "over a WebSocket the client plays the audio: stop playing it, and send \
                conversation.item.truncate to say what was heard";
            return Err(Invalid::new("invalid_event", message));
        }
        _ => {
            let message = format!("'{kind}' is no event that clients send");
            return Err(Invalid { param: Some("type".to_owned()), ..Invalid::new("unknown_event", message) });
        }
    };
    Ok(ClientRequest::Command(command))
}

fn create_item(event: ItemCreate, context: &EventContext<'_>) -> Result<CommandKind, Invalid> {
    let place = match event.previous_item_id.as_deref() {
        None => Place::Last,
        Some("root") => Place::First,
        Some(id) => Place::After(ItemId::new(id)),
    };
    match event.item.understand(context.input, "item")? {
        Given::Item(item, audio) => Ok(CommandKind::AddItem { item, place, audio }),
        Given::Reference(_) => {
            Err(Invalid::param("item.type", "an item that is referred to is in the conversation already"))
        }
    }
}

fn create_response(event: ResponseCreate, context: &EventContext<'_>) -> Result<CommandKind, Invalid> {
    let response = event.response.unwrap_or_default();
    let input = response.input.map(|items| {
        let items = items.into_iter().enumerate();
        items.map(|(at, item)| input_item(item, context, &format!("response.input[{at}]"))).collect()
    });
    let output = response.audio.and_then(|audio| audio.output);
    let (format, voice) = output.map_or((None, None), |output| (output.format, output.voice));
    if format.is_some_and(|format| format != context.output) {
        let message = "one session has one format: change it with session.update";
        return Err(Invalid::param("response.audio.output.format", message));
    }
    let metadata = response.metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    tool::check(response.tools.as_deref().unwrap_or_default(), "response.tools")?;
    let request = ReplyRequest {
        reuse: reuse(&metadata)?,
        out_of_band: matches!(response.conversation, Some(Conversation::None)),
        input: input.transpose()?,
        instructions: response.instructions,
        spoken: response.output_modalities.map(|modalities| modalities == Modalities::Audio),
        voice: voice.and_then(|voice| super::session::known_voice(&voice, context.voices)),
        tools: response.tools.map(|tools| tools.iter().map(FunctionTool::to_tool).collect()),
        tool_choice: response.tool_choice.map(Into::into),
        single_call: response.parallel_tool_calls.map(|parallel| !parallel),
        temperature: None,
        max_tokens: response.max_output_tokens.and_then(MaxTokens::limit),
        metadata,
    };
    Ok(CommandKind::Reply(Box::new(request)))
}

/// Metadata is kept and given back, so it is as short as OpenAI wants it.
fn check_metadata(metadata: &BTreeMap<String, Value>) -> Result<(), Invalid> {
    let is_short = |(key, value): (&String, &Value)| {
        key.len() <= MAX_METADATA_KEY && value.to_string().len() <= MAX_METADATA_VALUE + 2
    };
    if metadata.len() <= MAX_METADATA && metadata.iter().all(is_short) {
        return Ok(());
    }
    let message = format!(
        "metadata may have {MAX_METADATA} pairs, each with a key of {MAX_METADATA_KEY} bytes and a value of {MAX_METADATA_VALUE}"
    );
    Err(Invalid::param("response.metadata", message))
}

/// Whether the reply may come from the cache. OpenAI's protocol has no field for this, so a client says it in the
/// metadata of the response.
fn reuse(metadata: &BTreeMap<String, Value>) -> Result<Option<bool>, Invalid> {
    match metadata.get(CACHE).map(Value::as_str) {
        None => Ok(None),
        Some(Some("on")) => Ok(Some(true)),
        Some(Some("off")) => Ok(Some(false)),
        Some(_) => {
            Err(Invalid::param("response.metadata.antiphon_cache", "antiphon_cache is \"on\" or \"off\""))
        }
    }
}

fn input_item(item: GivenItem, context: &EventContext<'_>, param: &str) -> Result<ReplyInput, Invalid> {
    match item.understand(context.input, param)? {
        Given::Reference(id) => Ok(ReplyInput::Reference(id)),
        Given::Item(item, audio) if audio.is_empty() => Ok(ReplyInput::Item(item)),
        Given::Item(..) => {
            let message = "audio is transcribed only in the conversation: create the item first, then refer to \
                it with item_reference";
            Err(Invalid::param(param, message))
        }
    }
}
