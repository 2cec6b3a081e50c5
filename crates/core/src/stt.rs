//! The interface of speech recognition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::{BoxStream, Priority, Requester, Result};

/// What goes into a transcription, in order.
#[derive(Clone, Debug)]
pub enum SttInput {
    /// 16 kHz mono samples, any number.
    Audio(Arc<[i16]>),
    /// The person paused: answer with a [`Transcript`] of all audio so far as soon as can be, marked
    /// `flushed`. More audio may follow, as if nothing had happened.
    Flush,
}

/// How and for whom to transcribe.
#[derive(Clone, Debug, PartialEq)]
pub struct SttOptions {
    /// On whose behalf it is transcribed.
    pub requester: Requester,
    /// ISO 639-1, such as "en"; `None` lets the engine decide.
    pub language: Option<String>,
    /// Words that are likely to occur; engines without such a bias ignore it.
    pub prompt: Option<String>,
    /// Whether transcripts should arrive while the person speaks.
    pub partials: bool,
    /// How urgent it is at first.
    pub priority: Priority,
    /// Whether it turns out later to be less urgent.
    pub deferred: Deferred,
    /// Whether voice activity detection has found speech in it. Otherwise there may be none.
    pub is_speech: bool,
}

/// Whether audio that is being transcribed turned out to be a recording, so that nobody waits in silence for its words. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Deferred(Arc<AtomicBool>);

impl Deferred {
    /// Whether it may wait from now on.
    pub fn set(&self, deferred: bool) {
        self.0.store(deferred, Ordering::Relaxed);
    }

    /// What is as urgent as this while somebody waits, now.
    pub fn urgency(&self, priority: Priority) -> Priority {
        if self.is_deferred() { priority.max(Priority::Interactive) } else { priority }
    }

    fn is_deferred(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for Deferred {
    fn eq(&self, other: &Self) -> bool {
        self.is_deferred() == other.is_deferred()
    }
}

impl SttOptions {
    /// Only the final transcript, in whatever language the engine decides on, for somebody who waits in silence.
    pub fn new(requester: Requester) -> Self {
        let (priority, deferred) = (Priority::LiveTurn, Deferred::default());
        let (language, prompt, partials, is_speech) = (None, None, false, false);
        Self { requester, language, prompt, partials, priority, deferred, is_speech }
    }

    /// Whether a transcript of what was said so far is worth making now. Nobody reads along with a recording.
    pub fn wants_partials(&self) -> bool {
        self.partials && !self.deferred.is_deferred()
    }

    /// How urgent it is now.
    pub fn urgency(&self) -> Priority {
        self.deferred.urgency(self.priority)
    }
}

/// What has been understood of an utterance so far. Each transcript replaces the one before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// All text of the utterance so far, trimmed.
    pub text: String,
    /// The audio this text covers, in milliseconds from the utterance's first sample.
    pub audio_ms: u64,
    /// This answers a [`SttInput::Flush`], or the end of the input.
    pub flushed: bool,
    /// Stretches of speech with their times; filled when `flushed`, as far as the engine knows them.
    pub segments: Vec<Segment>,
}

/// A stretch of speech, in seconds from the utterance's first sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Where the stretch begins.
    pub start_s: f32,
    /// Where the stretch ends.
    pub end_s: f32,
    /// The words of this stretch.
    pub text: String,
}

/// A speech recogniser shared by all calls.
///
/// # Example
///
/// An engine that understands "hello", whatever is said:
///
/// ```
/// use antiphon_core::{BoxStream, Result, Stt, SttInput, SttOptions, Transcript};
/// use futures_util::{StreamExt, stream};
///
/// struct Hello;
///
/// impl Stt for Hello {
///     fn name(&self) -> &'static str {
///         "hello"
///     }
///
///     fn transcribe(
///         &self,
///         _options: SttOptions,
///         audio: BoxStream<'static, SttInput>,
///     ) -> BoxStream<'static, Result<Transcript>> {
///         // The end of the audio is `None`, which asks for an answer if audio came since the last one.
///         let inputs = audio.map(Some).chain(stream::iter([None]));
///         let answers = inputs.scan((0, false), |(samples, unanswered), input| {
///             let asked = match input {
///                 Some(SttInput::Audio(piece)) => {
///                     *samples += piece.len() as u64;
///                     *unanswered = true;
///                     false
///                 }
///                 Some(SttInput::Flush) => true,
///                 None => *unanswered,
///             };
///             *unanswered &= !asked;
///             let transcript = Transcript {
///                 text: "hello".to_owned(),
///                 audio_ms: *samples / 16,
///                 flushed: true,
///                 segments: Vec::new(),
///             };
///             std::future::ready(Some(asked.then_some(Ok(transcript))))
///         });
///         answers.filter_map(std::future::ready).boxed()
///     }
/// }
///
/// assert_eq!(Hello.name(), "hello");
/// ```
pub trait Stt: Send + Sync {
    /// The engine's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Transcribes one utterance. One flushed transcript answers each [`SttInput::Flush`], in order, and one
    /// more the end of `audio` (unless nothing came since the last flush); others may come between.
    /// Dropping the output cancels. The engine bounds what it buffers, whatever the length of the audio.
    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>>;

    /// The only language that the engine knows, as in ISO 639-1; `None` if it knows several.
    fn only_language(&self) -> Option<&'static str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deferred_gives_way_to_live_turns_for_whoever_transcribes_it() {
        let options = SttOptions::new(Requester::local());
        let engines = options.clone();
        assert_eq!(engines.urgency(), Priority::LiveTurn);
        options.deferred.set(true);
        assert_eq!(engines.urgency(), Priority::Interactive);
        options.deferred.set(false);
        assert_eq!(engines.urgency(), Priority::LiveTurn, "it is as urgent as at first");
        options.deferred.set(true);
        let batch = SttOptions { priority: Priority::Batch, ..engines };
        assert_eq!(batch.urgency(), Priority::Batch, "it is not made more urgent");
    }
}
