//! The voices of `ElevenLabs`.

mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use antiphon_core::{
    AudioChunk, BoxStream, Error, RateLimits, Result, SampleRate, SpeechRequest, Tts, Voice,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::HeaderValue;
use tokio::time::timeout;

use crate::remote::socket::{Frame, Socket};
use crate::remote::speech::{SECTION, Voices, addressable, possible, secret, voices};
use crate::remote::{Bounds, Pcm, Remote};
use crate::speech_text::plain;

/// The sample rates of the `pcm_..` formats that every plan includes.
const RATES: [u32; 4] = [8_000, 16_000, 22_050, 24_000];
/// Voices that every account has: George, which the vendor's examples use, Sarah and Rachel.
const VOICES: [&str; 3] = ["JBFqnCBsd6RMkjVDRZzb", "EXAVITQu4vr4xnSDxMaL", "21m00Tcm4TlvDq8ikWAM"];
/// The lowest and the highest `inactivity_timeout`.
const INACTIVITY_S: (u64, u64) = (1, 180);
/// The header of the key.
const KEY: &str = "xi-api-key";

/// How a clause is sent.
///
/// HTTP is faster: its connection is shared and stays open, so that the first audio comes after one round trip and the
/// time of the model. The vendor closes a WebSocket after one clause, so that each clause first needs three more round
/// trips for TCP, TLS and the upgrade, some 100 to 300 ms across an ocean. The WebSocket is for networks whose proxy
/// holds back streamed HTTP answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ElevenLabsTransport {
    /// A request for each clause, on a shared connection.
    #[default]
    Http,
    /// A connection for each clause.
    WebSocket,
}

/// How a voice is set, as `ElevenLabs` names it; each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ElevenLabsVoiceSettings {
    /// Low varies more from clause to clause, high is monotonous.
    pub stability: f32,
    /// How near it stays to the recorded person.
    pub similarity_boost: f32,
    /// How much the person's own manner is exaggerated; above 0 is slower to begin.
    pub style: f32,
}

impl Default for ElevenLabsVoiceSettings {
    /// The vendor's own defaults.
    fn default() -> Self {
        Self { stability: 0.5, similarity_boost: 0.75, style: 0.0 }
    }
}

/// Where the server is and how it is to speak.
#[derive(Clone)]
pub struct ElevenLabsOptions {
    /// Without `/v1`.
    pub base_url: String,
    /// Never part of an error.
    pub api_key: String,
    /// The model's name there.
    pub model: String,
    /// What can be asked for, the default first.
    pub voices: Vec<Voice>,
    /// ISO 639-1, for models that would otherwise guess it from the text; `None` lets them, or the voice, decide.
    pub language: Option<String>,
    /// Of the audio: 8, 16, 22.05 or 24 kHz.
    pub rate: SampleRate,
    /// How a clause is sent.
    pub transport: ElevenLabsTransport,
    /// The voice of a plain clause; a style departs from it.
    pub voice_settings: ElevenLabsVoiceSettings,
    /// Told how many requests the server will still take.
    pub limits: Arc<RateLimits>,
    /// How long the server may take.
    pub bounds: Bounds,
}

impl Default for ElevenLabsOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.elevenlabs.io".to_owned(),
            api_key: String::new(),
            model: "eleven_flash_v2_5".to_owned(),
            voices: voices("en", &VOICES),
            language: None,
            rate: SampleRate::HZ_24000,
            transport: ElevenLabsTransport::default(),
            voice_settings: ElevenLabsVoiceSettings::default(),
            limits: Arc::default(),
            bounds: Bounds::default(),
        }
    }
}

impl fmt::Debug for ElevenLabsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ElevenLabsOptions");
        let debug = debug.field("base_url", &self.base_url).field("model", &self.model);
        debug.field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// The voices of `ElevenLabs`.
pub struct ElevenLabs {
    remote: Remote,
    key: HeaderValue,
    options: ElevenLabsOptions,
    voices: Voices,
}

impl ElevenLabs {
    /// Makes the client. The first request connects.
    pub fn new(options: ElevenLabsOptions) -> Result<Self> {
        for voice in &options.voices {
            addressable("voice", &voice.id)?;
        }
        addressable("model", &options.model)?;
        options.language.as_deref().map(|language| addressable("language", language)).transpose()?;
        possible(options.rate, &RATES)?;
        let ElevenLabsVoiceSettings { stability, similarity_boost, style } = options.voice_settings;
        if [stability, similarity_boost, style].iter().any(|setting| !(0.0..=1.0).contains(setting)) {
            return Err(Error::invalid(format!("{SECTION} voice_settings must each be between 0 and 1")));
        }
        if wire::is_v3(&options.model) && options.transport == ElevenLabsTransport::WebSocket {
            let model = &options.model;
            return Err(Error::invalid(format!(
                "{SECTION} model = \"{model}\" has no WebSocket: set transport = \"http\""
            )));
        }
        let remote = Remote::new(&options.base_url, "ElevenLabs", SECTION)?
            .with_bounds(options.bounds)
            .with_limits(options.limits.clone())
            .hiding(&options.api_key);
        let voices = Voices::new(options.voices.clone())?;
        Ok(Self { remote, key: secret(&options.api_key)?, voices, options })
    }

    fn http(&self, text: &str, request: &SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let voice = &self.voices.pick(request.voice.as_deref()).id;
        let path = format!("/v1/text-to-speech/{voice}/stream?output_format=pcm_{}", self.options.rate.hz());
        let post = self.remote.post(&path).header(KEY, &self.key);
        self.remote.speak(post.json(&wire::body(&self.options, text, request)), self.options.rate)
    }

    fn socket(&self, text: &str, request: &SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let voice = &self.voices.pick(request.voice.as_deref()).id;
        let inactivity = self.remote.bounds().first.as_secs().clamp(INACTIVITY_S.0, INACTIVITY_S.1);
        let mut path = format!(
            "/v1/text-to-speech/{voice}/stream-input?model_id={}&output_format=pcm_{}&auto_mode=true\
             &inactivity_timeout={inactivity}",
            self.options.model,
            self.options.rate.hz()
        );
        if let Some(language) = &self.options.language {
            path = format!("{path}&language_code={language}");
        }
        let messages = wire::messages(&self.options, text, request);
        let (remote, key, rate) = (self.remote.clone(), self.options.api_key.clone(), self.options.rate);
        let begun = async move {
            let mut socket = Socket::connect(&remote, &path, &[(KEY, key)]).await?;
            for message in messages {
                socket.send_text(message).await?;
            }
            Ok(answers(socket, rate))
        };
        stream::once(begun).try_flatten().boxed()
    }
}

/// Reads lines as the messages of one clause.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(remote: &Remote, lines: &str) -> Result<()> {
    let mut pcm = Pcm::new(remote, SampleRate::HZ_24000);
    for line in lines.lines() {
        let answer = wire::answer(remote, line)?;
        if let Some(audio) = &answer.audio {
            pcm.push_base64(audio)?;
        }
        if answer.is_final {
            return pcm.end().map(drop);
        }
    }
    Ok(())
}

/// The answer to one clause while it is being read.
struct Answering {
    socket: Socket,
    pcm: Pcm,
    /// How long the next message may take.
    bound: Duration,
}

/// The audio of a clause, up to the message that the server marks as the last.
fn answers(socket: Socket, rate: SampleRate) -> BoxStream<'static, Result<AudioChunk>> {
    let (pcm, bound) = (Pcm::new(socket.remote(), rate), socket.remote().bounds().first);
    stream::try_unfold(Some(Answering { socket, pcm, bound }), move |answering| async move {
        let Some(mut answering) = answering else { return Ok(None) };
        loop {
            let answer = answering.next().await?;
            let mut samples = match &answer.audio {
                Some(audio) => answering.pcm.push_base64(audio)?,
                None => Vec::new(),
            };
            if answer.is_final {
                samples.extend(answering.pcm.end()?);
                return Ok((!samples.is_empty()).then(|| (AudioChunk::new(rate, samples), None)));
            }
            if !samples.is_empty() {
                return Ok(Some((AudioChunk::new(rate, samples), Some(answering))));
            }
        }
    })
    .boxed()
}

impl Answering {
    async fn next(&mut self) -> Result<wire::Answer> {
        let remote = self.socket.remote().clone();
        let next = timeout(self.bound, self.socket.next()).await;
        self.bound = remote.bounds().between;
        match next.map_err(|_| remote.late(self.bound))? {
            Some(Ok(Frame::Text(text))) => wire::answer(&remote, &text),
            Some(Ok(Frame::Binary(_))) => Err(remote.protocol("a binary message")),
            Some(Err(error)) => Err(error),
            None => Err(remote.broke_off()),
        }
    }
}

impl Tts for ElevenLabs {
    fn name(&self) -> &'static str {
        "elevenlabs"
    }

    fn voices(&self) -> Vec<Voice> {
        self.voices.list()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let Some(text) = plain(&request.text) else { return stream::empty().boxed() };
        match self.options.transport {
            ElevenLabsTransport::Http => self.http(&text, &request),
            ElevenLabsTransport::WebSocket => self.socket(&text, &request),
        }
    }
}

#[cfg(test)]
mod tests;
