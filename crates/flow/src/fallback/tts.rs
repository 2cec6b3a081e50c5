//! Voices with fallback: another voice goes on in the middle of the clause.

use std::time::Duration;

use antiphon_core::{
    AudioChunk, BoxFuture, BoxStream, Priority, Requester, Result, SampleRate, SpeechRequest, Tts, TtsCard,
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::route::{Attempt, Failure, Route};
use super::splice::{Linear, Splice};
use super::{Fallback, FallbackStage};

impl FallbackStage for dyn Tts {
    const STAGE: &'static str = "tts";
    const COMPONENT: &'static str = "fallback tts";

    fn engine_name(&self) -> &'static str {
        self.card().name
    }

    fn probe(&self) -> BoxFuture<'static, Result<()>> {
        let request =
            SpeechRequest { priority: Priority::Batch, ..SpeechRequest::new(Requester::local(), "Yes.") };
        let mut audio = self.speak(request);
        Box::pin(async move { audio.next().await.map_or(Ok(()), |chunk| chunk.map(drop)) })
    }
}

/// Another voice says the whole clause again and is heard from the place where the first was cut off, which is found by how
/// fast each of them speaks. All chunks of a clause have the sample rate of its first voice. The bounds count from the time at
/// which the audio made so far has been played: until then a stall is not heard.
impl Tts for Fallback<dyn Tts> {
    fn card(&self) -> TtsCard<'_> {
        self.first().card()
    }

    fn speak(&self, request: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        let route = self.route(request.priority);
        let clause = Clause { route, request, speaker: None, heard: None, plays_until: None, over: false };
        let next = async |mut clause: Clause| {
            let chunk = clause.next().await?;
            Some((chunk, clause))
        };
        stream::unfold(clause, next).boxed()
    }
}

/// One clause, by whichever voices.
struct Clause {
    route: Route<dyn Tts>,
    request: SpeechRequest,
    speaker: Option<Speaker>,
    heard: Option<Heard>,
    /// When the audio passed on so far has been played, if it is played at once.
    plays_until: Option<Instant>,
    over: bool,
}

/// How far the clause has been heard.
#[derive(Clone, Copy)]
struct Heard {
    /// The sample rate of the whole stream.
    rate: SampleRate,
    voice: usize,
    /// The time from the start of the clause, as this voice says it.
    position: Duration,
    last: i16,
}

/// The voice that speaks now.
struct Speaker {
    attempt: Attempt<AudioChunk>,
    voice: usize,
    received: Duration,
    /// Finds the place where another voice stopped; `None` once this voice is heard.
    joins: Option<Splice>,
    resampler: Option<Linear>,
}

impl Clause {
    async fn next(&mut self) -> Option<Result<AudioChunk>> {
        while !self.over {
            if self.speaker.is_none() && !self.begin() {
                self.over = true;
                return Some(Err(self.route.error()));
            }
            let speaker = self.speaker.as_mut()?;
            let useful = |chunk: &AudioChunk| !chunk.samples.is_empty();
            let now = Instant::now();
            let lead = self.plays_until.map_or(Duration::ZERO, |end| end - now);
            match speaker.attempt.next(useful, lead).await {
                Ok(Some(chunk)) => {
                    if let Some(chunk) = self.take(chunk) {
                        let plays_from = Instant::now().max(self.plays_until.unwrap_or(now));
                        self.plays_until = Some(plays_from + chunk.duration());
                        return Some(Ok(chunk));
                    }
                }
                Ok(None) => return self.end().map(Ok),
                Err(failure) => self.fail(failure),
            }
        }
        None
    }

    /// Asks the next voice, if there is one.
    fn begin(&mut self) -> bool {
        let Some(leg) = self.route.next() else { return false };
        let audio = leg.engine.speak(self.request.clone());
        self.speaker = Some(Speaker {
            attempt: Attempt::new(leg.engine.card().name, audio, leg.bounds),
            voice: self.route.at(),
            received: Duration::ZERO,
            joins: None,
            resampler: None,
        });
        true
    }

    fn fail(&mut self, failure: Failure) {
        self.speaker = None;
        self.route.failed(failure);
    }

    /// The part of a chunk that is to be heard.
    fn take(&mut self, chunk: AudioChunk) -> Option<AudioChunk> {
        let speaker = self.speaker.as_mut()?;
        let first = speaker.received.is_zero();
        speaker.received += chunk.duration();
        let Some(heard) = self.heard.filter(|heard| heard.voice != speaker.voice) else {
            self.hear(chunk.rate, *chunk.samples.last()?);
            return Some(self.at_rate(chunk));
        };
        if first {
            let pace = |voice| self.route.engines().pace(voice).get();
            let ratio = pace(heard.voice).zip(pace(speaker.voice)).map_or(1.0, |(was, is)| was / is);
            speaker.joins = Some(Splice::new(chunk.rate, heard.position.mul_f32(ratio), heard.last));
            speaker.resampler = (chunk.rate != heard.rate).then(|| Linear::new(chunk.rate, heard.rate));
        }
        let joined = speaker.joins.as_mut()?.push(&chunk.samples)?;
        let joined = AudioChunk::new(chunk.rate, joined);
        self.hear(heard.rate, *joined.samples.last()?);
        Some(self.at_rate(joined))
    }

    fn hear(&mut self, rate: SampleRate, last: i16) {
        let Some(speaker) = &mut self.speaker else { return };
        speaker.joins = None;
        let rate = self.heard.map_or(rate, |heard| heard.rate);
        self.heard = Some(Heard { rate, voice: speaker.voice, position: speaker.received, last });
    }

    fn at_rate(&mut self, chunk: AudioChunk) -> AudioChunk {
        let resampler = self.speaker.as_mut().and_then(|speaker| speaker.resampler.as_mut());
        match (resampler, self.heard) {
            (Some(resampler), Some(heard)) => AudioChunk::new(heard.rate, resampler.push(&chunk.samples)),
            _ => chunk,
        }
    }

    /// The voice has said the whole clause; gives the audio that was still withheld.
    fn end(&mut self) -> Option<AudioChunk> {
        self.over = true;
        self.route.succeeded();
        let mut speaker = self.speaker.take()?;
        self.route.engines().pace(speaker.voice).learn(&self.request, speaker.received);
        let rest = AudioChunk::new(speaker.joins.as_ref()?.rate(), speaker.joins.as_mut()?.finish());
        self.speaker = Some(speaker);
        (!rest.samples.is_empty()).then(|| self.at_rate(rest))
    }
}
