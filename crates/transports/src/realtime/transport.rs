//! One Realtime connection as the transport of a call.

use std::sync::Arc;
use std::task::{Context, Poll};

use antiphon_core::call::{Command, CommandKind, Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::session::SessionConfig;
use antiphon_core::{CallControl, Llm, Result, Tool};
use axum::extract::ws::{Message, WebSocket};

use super::client_event::{self, ClientRequest, Head};
use super::invalid::Invalid;
use super::media::Decoder;
use super::server_event::EventWriter;
use super::session::Session;
use super::tool::FunctionTool;
use crate::intake::Meter;
use crate::socket::{NORMAL, Socket};

/// The protocol's name, for logs and metrics.
pub(super) const NAME: &str = "realtime";
/// Most bytes that may wait for the client: about a minute of 24 kHz audio as base64. While a quarter of that waits,
/// no more of a reply is made.
const MAX_QUEUED: usize = 4 << 20;
/// Most samples handed to the call at once: 100 ms at 16 kHz, however much the client appended in one event.
const PIECE: usize = 1_600;

/// Longest id of an event that is given back with an error, in bytes: OpenAI's own limit.
const MAX_EVENT_ID: usize = 512;

/// What a session may use, whatever its client configures.
pub(super) struct Offer {
    /// The settings that clients cannot change.
    pub(super) base: SessionConfig,
    /// The names of the voices that the engine has.
    pub(super) voices: Vec<String>,
    /// Whether there is a turn detector.
    pub(super) semantic: bool,
    /// The language model, which cannot hold calls to every schema.
    pub(super) llm: Arc<dyn Llm>,
    /// The only language that speech recognition knows, if it knows no other.
    pub(super) only_language: Option<&'static str>,
}

impl Offer {
    /// How a call with this session behaves.
    pub(super) fn config(&self, session: &Session) -> SessionConfig {
        session.config(&self.base, &self.voices, self.semantic)
    }

    /// Refuses a session that the engines cannot serve: nobody would learn of it before somebody speaks.
    pub(super) fn check(&self, session: &Session) -> Result<(), Invalid> {
        let tools: Vec<Tool> = session.tools.iter().map(FunctionTool::to_tool).collect();
        self.check_language(session.language())?;
        self.check_tools(&tools, "session.tools")
    }

    /// Refuses a language that speech recognition does not know: nobody would be understood.
    fn check_language(&self, language: Option<&str>) -> Result<(), Invalid> {
        match (language, self.only_language) {
            (Some(language), Some(only))
                if !language
                    .split('-')
                    .next()
                    .is_some_and(|language| language.eq_ignore_ascii_case(only)) =>
            {
                let message =
                    format!("speech recognition knows only {only:?}, not {language:?}: leave it out");
                Err(Invalid::param("session.audio.input.transcription.language", message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses tools whose schemas the language model cannot hold calls to. `param` is their path in error messages.
    fn check_tools(&self, tools: &[Tool], param: &str) -> Result<(), Invalid> {
        self.llm.check_tools(tools).map_err(|error| Invalid::param(param, error.to_string()))
    }
}

/// The transport of one connection.
pub(super) struct RealtimeTransport {
    socket: Socket,
    offer: Offer,
    session: Session,
    decoder: Decoder,
    /// Audio that the client appended. It is emptied once all of it has been handed on.
    appended: Vec<i16>,
    /// How many samples of `appended` have been handed on.
    handed_on: usize,
    writer: EventWriter,
}

impl RealtimeTransport {
    pub(super) fn new(ws: WebSocket, meter: Meter, offer: Offer, session: Session) -> Self {
        let decoder = Decoder::new(session.audio.input.format);
        Self {
            socket: Socket::new(ws, meter, MAX_QUEUED),
            offer,
            session,
            decoder,
            appended: Vec::new(),
            handed_on: 0,
            writer: EventWriter::new(),
        }
    }

    /// The command that a message holds; `None` when the message was audio.
    fn understand(&mut self, text: &str) -> Result<Option<Command>, (Invalid, Option<String>)> {
        let head: Head<'_> = serde_json::from_str(text).map_err(|error| {
            (Invalid::new("invalid_json", format!("not an event with a `type`: {error}")), None)
        })?;
        let request_id =
            head.event_id.as_ref().filter(|id| id.len() <= MAX_EVENT_ID).map(ToString::to_string);
        if head.kind == "input_audio_buffer.append" {
            let audio = head.audio.as_deref();
            let decoded = audio.is_some_and(|audio| self.decoder.decode(audio, &mut self.appended));
            return if decoded {
                Ok(None)
            } else {
                Err((Invalid::param("audio", "`audio` must be base64"), request_id))
            };
        }
        match self.request(&head.kind, text) {
            Ok(kind) => Ok(Some(Command { request_id, kind })),
            Err(invalid) => Err((invalid, request_id)),
        }
    }

    fn request(&mut self, kind: &str, text: &str) -> Result<CommandKind, Invalid> {
        let context = client_event::EventContext {
            input: self.session.audio.input.format,
            output: self.session.audio.output.format,
            voices: &self.offer.voices,
        };
        match client_event::parse(kind, text, &context)? {
            ClientRequest::Command(kind) => {
                if let CommandKind::Reply(reply) = &kind
                    && let Some(tools) = &reply.tools
                {
                    self.offer.check_tools(tools, "response.tools")?;
                }
                Ok(kind)
            }
            ClientRequest::Update(update) => {
                let session = self.session.updated(update)?;
                self.offer.check(&session)?;
                let config = self.offer.config(&session);
                if session.audio.input.format != self.decoder.format() {
                    self.decoder = Decoder::new(session.audio.input.format);
                }
                self.session = session;
                Ok(CommandKind::Configure(Box::new(config)))
            }
        }
    }

    /// Moves the next piece of the client's audio to `audio`. Returns false when there is none.
    fn hand_on(&mut self, audio: &mut Vec<i16>) -> bool {
        let rest = &self.appended[self.handed_on..];
        let piece = &rest[..rest.len().min(PIECE)];
        audio.extend_from_slice(piece);
        self.handed_on += piece.len();
        let any = !piece.is_empty();
        if self.handed_on == self.appended.len() {
            self.handed_on = 0;
            self.appended.clear();
            self.appended.shrink_to(4 * PIECE);
        }
        any
    }
}

impl Transport for RealtimeTransport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self) -> OutputAudio {
        OutputAudio { rate: self.session.audio.output.format.rate(), pacing: Pacing::Client }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        if self.hand_on(audio) {
            return Poll::Ready(Some(Inbound::Audio));
        }
        let understood = match std::task::ready!(self.socket.poll_recv(cx)) {
            Some(Message::Text(text)) => self.understand(&text),
            Some(Message::Close(_)) | None => return Poll::Ready(None),
            Some(_) => Err((Invalid::new("invalid_event", "events are JSON in text messages"), None)),
        };
        match understood {
            Ok(Some(command)) => return Poll::Ready(Some(Inbound::Command(command))),
            Ok(None) if self.hand_on(audio) => return Poll::Ready(Some(Inbound::Audio)),
            Ok(None) => {}
            Err((invalid, event_id)) => {
                let error = self.writer.error(&invalid, event_id.as_deref());
                self.socket.send(Message::text(error));
            }
        }
        // Answers are written before more is read. Otherwise a client that sends nonsense and never reads the errors
        // could fill the queue.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn send(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Audio { reply, item, samples, .. } => {
                for event in self.writer.audio(&reply, &item, &samples) {
                    self.socket.send(Message::text(event));
                }
            }
            Outbound::Clear => {
                // The client itself drops the audio that it has received, so only what still waits here is removed.
                let Some(reply) = self.writer.conversation_reply() else { return };
                let prefix = EventWriter::audio_prefix(reply);
                self.socket
                    .retract(|message| matches!(message, Message::Text(text) if text.starts_with(&prefix)));
            }
            Outbound::Event(event) => {
                for event in self.writer.write(&event, &self.session) {
                    self.socket.send(Message::text(event));
                }
            }
            Outbound::Control(CallControl::HangUp(_)) => self.socket.close(NORMAL, ""),
            Outbound::Control(_) => {}
        }
    }

    fn has_room(&self) -> bool {
        self.socket.has_room()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.socket.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Error, LlmCard};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use tokio_tungstenite::tungstenite::Message;

    use super::super::session::Kind;
    use super::*;
    use crate::spec::{Peer, socket};

    /// Holds calls to no schema but those of objects.
    struct Picky;

    impl Llm for Picky {
        fn card(&self) -> LlmCard<'_> {
            LlmCard { name: "picky", model: "picky" }
        }

        fn chat(&self, _: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
            Box::pin(futures_util::stream::pending())
        }

        fn check_tools(&self, tools: &[Tool]) -> Result<()> {
            let odd = tools.iter().find(|tool| tool.parameters["type"] != "object");
            odd.map_or(Ok(()), |tool| Err(Error::invalid(format!("{} has no object", tool.name))))
        }
    }

    /// What a server with these engines offers, which know English only.
    fn picky(base: SessionConfig) -> Offer {
        Offer { base, voices: Vec::new(), semantic: false, llm: Arc::new(Picky), only_language: Some("en") }
    }

    #[test]
    fn a_language_that_nobody_would_understand_is_refused() {
        let offer = picky(SessionConfig::default());
        for known in [None, Some("en"), Some("EN"), Some("en-US")] {
            assert_eq!(offer.check_language(known), Ok(()), "{known:?}");
        }
        assert!(offer.check_language(Some("de")).is_err());
        assert!(Offer { only_language: None, ..offer }.check_language(Some("de")).is_ok());
    }

    #[test]
    fn tools_that_cannot_be_held_to_their_schemas_are_refused_by_name() {
        let offer = picky(SessionConfig::default());
        let tool = |kind: &str| Tool {
            name: "look_up".to_owned(),
            description: String::new(),
            parameters: serde_json::json!({ "type": kind }),
        };
        assert_eq!(offer.check_tools(&[tool("object")], "session.tools"), Ok(()));
        let refused = offer.check_tools(&[tool("banana")], "session.tools").expect_err("refused");
        assert_eq!(refused.param.as_deref(), Some("session.tools"));
        assert!(refused.message.contains("look_up"), "{}", refused.message);
    }

    fn append(audio: &str) -> Message {
        Message::text(format!(r#"{{"type":"input_audio_buffer.append","audio":"{audio}"}}"#))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_obeys_the_transports_specification() {
        let peer = Peer {
            limit: super::super::event_size::MAX_MESSAGE,
            opening: Vec::new(),
            // A piece of 10 ms, which fits into the pipe.
            speech: append(&STANDARD.encode([1; 480])),
            garbage: vec![
                Message::text(""),
                Message::text("[]"),
                Message::text(r#"{"type":"news"}"#),
                Message::text(r#"{"type":"session.update","session":{"audio":7}}"#),
                append("?"),
                Message::binary(vec![1, 2, 3]),
            ],
            is_audio: |message| {
                let audio = r#"{"type":"response.output_audio.delta""#;
                message.to_text().is_ok_and(|text| text.starts_with(audio))
            },
            is_clear: None,
            open: |ws| {
                Box::pin(async {
                    let base = SessionConfig::default();
                    let session = Session::new(Kind::Realtime, "m".to_owned(), &base);
                    let offer = picky(base);
                    Some(Box::new(RealtimeTransport::new(ws, Meter::default(), offer, session))
                        as Box<dyn Transport>)
                })
            },
        };
        socket(&peer).await;
    }
}
