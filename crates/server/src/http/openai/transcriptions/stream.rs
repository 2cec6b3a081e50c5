//! Streams the text as events while the file is being transcribed.

use antiphon_core::{BoxStream, Result, StableText, Transcript};
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::sse;
use crate::http::error::ApiError;

/// The events of a stream: deltas, then the whole text.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type")]
pub(super) enum TextEvent {
    /// More text, which will not change any more.
    #[serde(rename = "transcript.text.delta")]
    Delta {
        /// The text that is added.
        delta: String,
    },
    /// The end of the stream. If the engine has corrected words that it had been sure of, this text is the right one.
    #[serde(rename = "transcript.text.done")]
    Done {
        /// The text of the whole recording.
        text: String,
    },
}

type Transcripts = BoxStream<'static, Result<Transcript>>;

/// The status is sent only once something was recognised, so that an earlier failure is an ordinary error.
pub(super) async fn response(mut transcripts: Transcripts) -> Result<Response, ApiError> {
    let first = transcripts.next().await.transpose()?.unwrap_or_default();
    let transcripts = stream::iter([Ok(first)]).chain(transcripts).boxed();
    Ok(sse::response(events(transcripts)))
}

fn events(transcripts: Transcripts) -> BoxStream<'static, Event> {
    let said = |(transcripts, mut growing): (Transcripts, Growing)| async move {
        let mut transcripts = transcripts;
        let events = match transcripts.next().await {
            Some(Ok(transcript)) => {
                growing.grow(&transcript.text).as_ref().map(sse::event).into_iter().collect()
            }
            Some(Err(error)) => return Some((vec![sse::failure(error)], None)),
            None => return Some((growing.end().iter().map(sse::event).collect(), None)),
        };
        Some((events, Some((transcripts, growing))))
    };
    stream::unfold(Some((transcripts, Growing::default())), move |state| async move { said(state?).await })
        .flat_map(stream::iter)
        .boxed()
}

/// Turns transcripts that change into a text that only grows.
#[derive(Default)]
struct Growing(StableText);

impl Growing {
    /// The text that the next transcript adds for certain.
    fn grow(&mut self, text: &str) -> Option<TextEvent> {
        self.0.hear(text, false).map(|delta| TextEvent::Delta { delta })
    }

    /// The rest of the text, and the event with the whole.
    fn end(mut self) -> Vec<TextEvent> {
        let text = self.0.last().to_owned();
        let rest = self.0.hear(&text, true).map(|delta| TextEvent::Delta { delta });
        rest.into_iter().chain([TextEvent::Done { text }]).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn deltas(transcripts: &[&str]) -> Vec<TextEvent> {
        let mut growing = Growing::default();
        let mut events: Vec<_> = transcripts.iter().filter_map(|text| growing.grow(text)).collect();
        events.extend(growing.end());
        events
    }

    fn delta(delta: &str) -> TextEvent {
        TextEvent::Delta { delta: delta.into() }
    }

    #[test]
    fn words_are_sent_once_two_transcripts_agree() {
        let events = deltas(&["two", "to be or", "to be or not", "to be or not too", "to be or not to be"]);
        let done = TextEvent::Done { text: "to be or not to be".into() };
        assert_eq!(events, [delta("to be or"), delta(" not"), delta(" to be"), done]);
    }

    #[test]
    fn one_transcript_is_one_delta() {
        let done = TextEvent::Done { text: "hello".into() };
        assert_eq!(deltas(&["hello"]), [delta("hello"), done]);
    }

    #[test]
    fn a_text_that_changes_after_it_was_sent_is_right_in_the_end() {
        let events = deltas(&["naïve one", "naïve one", "native won"]);
        assert_eq!(events, [delta("naïve one"), TextEvent::Done { text: "native won".into() }]);
    }

    proptest! {
        #[test]
        fn deltas_are_never_taken_back(
            transcripts in prop::collection::vec("(a|b|ä|one|two)( (a|b|ä|one|two)){0,5}", 1..8),
        ) {
            let texts: Vec<&str> = transcripts.iter().map(String::as_str).collect();
            let mut sent = String::new();
            for event in deltas(&texts) {
                match event {
                    TextEvent::Delta { delta } => sent.push_str(&delta),
                    TextEvent::Done { text } => {
                        prop_assert_eq!(&text, texts[texts.len() - 1]);
                        prop_assert!(!text.starts_with(&sent) || text == sent, "{} of {}", sent, text);
                    }
                }
            }
        }
    }
}
