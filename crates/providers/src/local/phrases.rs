//! From a text to the phrases that an embedded voice says one after the other.
//!
//! What one synthesis takes of memory and time grows with the length of its speech. A text does not tell how long that is: a word
//! that nobody can pronounce is spelled, and the name of a "w" alone has eight phonemes. So a sentence with too many of them for its
//! speed is said in phrases.

use std::future::Future;

use antiphon_core::{BoxStream, Result, SpeechRequest};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::speech_text::{normalise, sentences};

/// The lowest and the highest speed: the bounds of OpenAI's interface.
const SPEEDS: (f32, f32) = (0.25, 4.0);
/// Sentences of one request that are synthesised at the same time: the next one while the first is played.
const AHEAD: usize = 2;

/// The marks inside a sentence at which a speaker breathes.
const BREATHS: [char; 4] = [',', ';', ':', '—'];

/// The speed that a request asks for, within what a voice can do.
pub(super) fn speed(request: &SpeechRequest) -> f32 {
    (request.speed * request.style.pace()).clamp(SPEEDS.0, SPEEDS.1)
}

/// What a voice is to say next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// A sentence, whose phonemes are not known yet.
    Sentence(String),
    /// What a synthesis has left of a sentence.
    Phonemes(String),
}

/// What a synthesis has made of a script.
#[derive(Debug)]
pub(super) struct Synthesis {
    pub(super) samples: Vec<i16>,
    /// The phonemes that were too many for one synthesis; empty when all is said.
    pub(super) rest: String,
}

/// Speaks a text phrase by phrase. `say` starts a synthesis.
pub(super) fn speak<F>(
    text: &str,
    say: impl Fn(Script) -> F + Clone + Send + 'static,
) -> BoxStream<'static, Result<Vec<i16>>>
where
    F: Future<Output = Result<Synthesis>> + Send + 'static,
{
    let first = say.clone();
    stream::iter(sentences(&normalise(text)))
        .map(move |sentence| first(Script::Sentence(sentence)))
        .buffered(AHEAD)
        .map_ok(move |synthesis| to_its_end(synthesis, say.clone()))
        .try_flatten()
        .try_filter(|samples| std::future::ready(!samples.is_empty()))
        .boxed()
}

/// The audio of a sentence whose first phrase is said, one phrase after the other.
fn to_its_end<F>(
    first: Synthesis,
    say: impl Fn(Script) -> F + Send + 'static,
) -> BoxStream<'static, Result<Vec<i16>>>
where
    F: Future<Output = Result<Synthesis>> + Send + 'static,
{
    let left = stream::try_unfold((first.rest, say), |(rest, say)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let Synthesis { samples, rest } = say(Script::Phonemes(rest)).await?;
        Ok(Some((samples, (rest, say))))
    });
    stream::iter([Ok(first.samples)]).chain(left).boxed()
}

/// How many phonemes one synthesis may say at this speed, so that it is no longer than `most` of them are at the usual speed.
pub(super) fn longest(most: usize, speed: f32) -> usize {
    (most as f32 * speed.min(1.0)) as usize
}

/// Cuts off what one synthesis may say: at most `longest` phonemes, of whole words if there is a space among them. A comma and the like
/// in the second half of them is where a speaker would breathe, so the phrase ends there.
pub(super) fn cut(phonemes: &str, longest: usize) -> (&str, &str) {
    let Some((end, _)) = phonemes.char_indices().nth(longest) else { return (phonemes, "") };
    let (fitting, rest) = phonemes.split_at(end);
    let half = phonemes.char_indices().nth(longest / 2).map_or(end, |(half, _)| half);
    let at = match fitting.rmatch_indices(BREATHS).next() {
        Some((breath, mark)) if breath >= half => breath + mark.len(),
        _ if rest.starts_with(' ') => end,
        _ => fitting.rfind(' ').filter(|&space| space > 0).unwrap_or(end),
    };
    let (now, rest) = phonemes.split_at(at);
    // The space between two phrases belongs to neither.
    (now, rest.strip_prefix(' ').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use antiphon_core::{Error, lock};
    use proptest::prelude::*;

    use super::*;

    /// Says three letters at a time, one sample each.
    fn say(script: Script) -> Synthesis {
        let (Script::Sentence(text) | Script::Phonemes(text)) = script;
        let (said, rest) = cut(&text, 3);
        Synthesis { samples: vec![0; said.len()], rest: rest.to_owned() }
    }

    #[tokio::test]
    async fn a_sentence_that_is_too_long_is_said_in_phrases() {
        let said: Vec<Vec<i16>> =
            speak("abcdefgh ij", |script| async { Ok(say(script)) }).try_collect().await.expect("works");
        assert_eq!(said.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 2, 2]);
    }

    #[tokio::test]
    async fn a_phrase_that_fails_ends_the_speech() {
        let asked = Arc::<Mutex<Vec<Script>>>::default();
        let seen = asked.clone();
        let fails = move |script: Script| {
            lock(&seen).push(script.clone());
            async move {
                match script {
                    Script::Sentence(_) => Ok(say(script)),
                    Script::Phonemes(_) => Err(Error::internal("broken")),
                }
            }
        };
        let said: Vec<Result<Vec<i16>>> = speak("abcdefgh", fails).collect().await;
        assert!(matches!(&said[..], [Ok(_), Err(_)]), "{said:?}");
        assert_eq!(lock(&asked).len(), 2, "nothing is asked for behind it");
    }

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(cut("one two", 7), ("one two", ""));
        assert_eq!(cut("one two", 6), ("one", "two"));
        assert_eq!(cut("one two", 3), ("one", "two"));
        assert_eq!(cut("one, two three", 11), ("one, two", "three"), "the comma is too early");
        assert_eq!(cut("one two— three", 13), ("one two—", "three"));
        assert_eq!(cut("ˈɛˈɛˈɛ", 3), ("ˈɛˈ", "ɛˈɛ"));
    }

    #[test]
    fn slow_speech_has_fewer_phonemes_and_fast_speech_no_more() {
        assert_eq!([0.25, 1.0, 4.0].map(|speed| longest(400, speed)), [100, 400, 400]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_every_phrase_is_short(text in "[a-zˈɛ ]{0,80}", longest in 1_usize..20) {
            let (mut said, mut rest) = (Vec::new(), text.as_str());
            while !rest.is_empty() {
                let (phrase, left) = cut(rest, longest);
                prop_assert!(phrase.chars().count() <= longest && left.len() < rest.len());
                said.push(phrase);
                rest = left;
            }
            prop_assert_eq!(said.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
