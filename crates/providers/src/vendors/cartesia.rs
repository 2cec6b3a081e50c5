//! Cartesia's voices: Sonic. All clauses share one WebSocket, which stays open. Each clause is a context of
//! its own on it.

mod command;
mod connection;
mod context;
mod owner;
mod wire;

use std::sync::Arc;

use antiphon_core::measure::Component;
use antiphon_core::settings::Check;
use antiphon_core::{AudioChunk, BoxStream, Result, SampleRate, SpeechRequest, Tts, TtsCard, Voice};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::remote::speech::{SECTION, Voices, possible, voices};
use crate::remote::{ApiKey, Bounds, Remote};
use crate::speech_text::plain;
use connection::Connections;

/// The sample rates that Cartesia offers for the `raw` container.
const RATES: [u32; 6] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];
/// The voice Katie, which Cartesia's examples use.
const VOICES: [&str; 1] = ["f786b574-daa5-4673-aa0c-cbe3e8534c02"];

antiphon_core::settings! {
    /// What only Cartesia's voices take.
    pub struct CartesiaSettings {
        /// Speed of its voices, by which `[tts] speed` is multiplied. Sonic 3 takes it.
        speed: f32 = 1.0, check(Check::Between(wire::SPEEDS.0, wire::SPEEDS.1));
    }
}

/// Where the server is and how it is to speak.
#[derive(Clone, Debug)]
pub struct CartesiaOptions {
    /// The server's address without a path: `https://api.cartesia.ai`.
    pub base_url: String,
    /// Never part of an error.
    pub api_key: ApiKey,
    /// The model's name there.
    pub model: String,
    /// What can be asked for, the default first. Each clause is sent in the language of its voice.
    pub voices: Vec<Voice>,
    /// Of the audio: 8, 16, 22.05, 24, 44.1 or 48 kHz.
    pub rate: SampleRate,
    /// What can be set of it alone.
    pub settings: CartesiaSettings,
    /// How long the server may take.
    pub bounds: Bounds,
}

impl Default for CartesiaOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.cartesia.ai".to_owned(),
            api_key: ApiKey::new(""),
            model: "sonic-3".to_owned(),
            voices: voices("en", &VOICES),
            rate: SampleRate::HZ_24000,
            settings: CartesiaSettings::default(),
            bounds: Bounds::default(),
        }
    }
}

/// Cartesia's speech synthesis, over WebSockets that several clauses share.
pub struct Cartesia {
    connections: Arc<Connections>,
    model: String,
    voices: Voices,
    rate: SampleRate,
    settings: CartesiaSettings,
}

impl Cartesia {
    /// Makes the client. The first request connects.
    pub fn new(options: CartesiaOptions) -> Result<Self> {
        let remote = Remote::new(&options.base_url, "Cartesia", SECTION)?
            .with_bounds(options.bounds)
            .with_key(wire::KEY, "", &options.api_key)?;
        let rate = possible(options.rate, &RATES)?;
        Ok(Self {
            connections: Arc::new(Connections::new(remote, rate)),
            model: options.model,
            voices: Voices::new(options.voices)?,
            rate,
            settings: options.settings,
        })
    }

    /// The measurements of the connection.
    pub fn component(&self) -> Arc<dyn Component> {
        self.connections.clone()
    }
}

/// Reads lines as the messages of one clause.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(remote: &crate::remote::Remote, lines: &str) -> Result<()> {
    let mut pcm = crate::remote::Pcm::new(remote, SampleRate::HZ_24000);
    for line in lines.lines() {
        match wire::answer(remote, line)?.event {
            wire::Event::Audio(audio) => drop(pcm.push_base64(&audio)?),
            wire::Event::Done => return pcm.end().map(drop),
            wire::Event::Failed(error) => return Err(error),
            wire::Event::Other => {}
        }
    }
    Ok(())
}

impl Tts for Cartesia {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "cartesia", voices: self.voices.list() }
    }

    fn speak(&self, mut request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        request.speed *= self.settings.speed;
        let Some(text) = plain(&request.text) else { return stream::empty().boxed() };
        let id = format!("{:032x}", rand::random::<u128>());
        let voice = self.voices.pick(request.voice.as_deref());
        let say = wire::Say { id: &id, model: &self.model, voice, rate: self.rate, text: &text };
        let message = wire::request(&say, &request);
        let connections = self.connections.clone();
        stream::once(async move { connections.begin(id, message).await }).try_flatten().boxed()
    }
}

#[cfg(test)]
mod tests;
