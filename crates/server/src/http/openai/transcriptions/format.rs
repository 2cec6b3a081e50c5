//! The formats in which a transcription is returned.

use std::fmt::Write as _;

use antiphon_core::Segment;
use serde::Serialize;
use utoipa::ToSchema;

use super::Understood;
use super::options::Options;

/// The text without timestamps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Plain {
    text: String,
    usage: TranscriptionUsage,
}

#[derive(Debug, Serialize, ToSchema)]
struct TranscriptionUsage {
    #[serde(rename = "type")]
    kind: &'static str,
    seconds: f64,
}

/// The text with timestamps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Verbose {
    task: &'static str,
    /// The language of the request or the only one that the engine knows, as in ISO 639-1 but for `english`; else `unknown`.
    language: String,
    duration: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<VerboseSegment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<Word>>,
    usage: TranscriptionUsage,
}

/// A segment of speech. Fields that only Whisper can fill (tokens and probabilities) are empty or zero.
#[derive(Debug, Serialize, ToSchema)]
struct VerboseSegment {
    id: usize,
    seek: u32,
    start: f64,
    end: f64,
    text: String,
    tokens: [u32; 0],
    temperature: f32,
    avg_logprob: f32,
    compression_ratio: f32,
    no_speech_prob: f32,
}

/// A word with its times in seconds. They are interpolated within the segment by the number of letters, which is
/// accurate to a few tenths of a second in fluent speech.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Word {
    #[serde(rename = "word")]
    text: String,
    start: f64,
    end: f64,
}

impl TranscriptionUsage {
    fn of(understood: &Understood) -> Self {
        Self { kind: "duration", seconds: understood.duration_s }
    }
}

impl Plain {
    pub(super) fn new(understood: &Understood) -> Self {
        Self { text: understood.transcript.text.clone(), usage: TranscriptionUsage::of(understood) }
    }
}

impl Verbose {
    pub(super) fn new(understood: &Understood, options: &Options) -> Self {
        let segments = understood.segments();
        Self {
            task: "transcribe",
            language: match options.language.as_deref() {
                Some("en") => "english".to_owned(),
                Some(other) => other.to_owned(),
                None => "unknown".to_owned(),
            },
            duration: understood.duration_s,
            text: understood.transcript.text.clone(),
            words: options.words.then(|| segments.iter().flat_map(words).collect()),
            segments: options.segments.then(|| verbose(segments)),
            usage: TranscriptionUsage::of(understood),
        }
    }
}

impl Understood {
    /// The engine's segments. Without any, the whole text is one segment.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let transcript = &self.transcript;
        if transcript.segments.is_empty() && !transcript.text.is_empty() {
            let end_s = self.duration_s as f32;
            return vec![Segment { start_s: 0.0, end_s, text: transcript.text.clone() }];
        }
        transcript.segments.clone()
    }
}

fn verbose(segments: Vec<Segment>) -> Vec<VerboseSegment> {
    let verbose = |(id, segment): (usize, Segment)| VerboseSegment {
        id,
        seek: 0,
        start: f64::from(segment.start_s),
        end: f64::from(segment.end_s),
        text: segment.text,
        tokens: [],
        temperature: 0.0,
        avg_logprob: 0.0,
        compression_ratio: 0.0,
        no_speech_prob: 0.0,
    };
    segments.into_iter().enumerate().map(verbose).collect()
}

fn words(segment: &Segment) -> Vec<Word> {
    let letters = |word: &str| word.chars().count() as f64;
    let total: f64 = segment.text.split_whitespace().map(letters).sum();
    let (start, length) = (f64::from(segment.start_s), f64::from(segment.end_s - segment.start_s));
    let mut before = 0.0;
    let word = |word: &str| {
        let begin = start + length * before / total;
        before += letters(word);
        Word { text: word.to_owned(), start: begin, end: start + length * before / total }
    };
    segment.text.split_whitespace().map(word).collect()
}

/// The segments as SubRip: numbered cues, with commas in the times.
pub(super) fn srt(segments: &[Segment]) -> String {
    let mut text = String::new();
    for (index, segment) in segments.iter().enumerate() {
        let (start, end) = (clock(segment.start_s, ','), clock(segment.end_s, ','));
        // Writing to a String cannot fail.
        let _ = write!(text, "{}\n{start} --> {end}\n{}\n\n", index + 1, cue(&segment.text));
    }
    text
}

/// The segments as WebVTT: a header, and cues with points in the times.
pub(super) fn vtt(segments: &[Segment]) -> String {
    let mut text = "WEBVTT\n\n".to_owned();
    for segment in segments {
        let (start, end) = (clock(segment.start_s, '.'), clock(segment.end_s, '.'));
        // Writing to a String cannot fail.
        let _ = write!(text, "{start} --> {end}\n{}\n\n", cue(&segment.text));
    }
    text
}

/// The text of a cue, without what would break the format: an empty line would end the cue, and an arrow would be
/// read as a time.
fn cue(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("-->", "->")
}

/// A time as hours, minutes, seconds and milliseconds.
fn clock(seconds: f32, point: char) -> String {
    let ms = (f64::from(seconds) * 1_000.0).round() as u64;
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{h:02}:{m:02}:{s:02}{point}{:03}", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start_s: f32, end_s: f32, text: &str) -> Segment {
        Segment { start_s, end_s, text: text.into() }
    }

    #[test]
    fn subtitles_have_their_times_and_texts() {
        let segments = [segment(0.0, 1.5, "Hello,\n\nyou."), segment(3_661.25, 3_662.0, "a --> b")];
        assert_eq!(
            srt(&segments),
            "1\n00:00:00,000 --> 00:00:01,500\nHello, you.\n\n2\n01:01:01,250 --> 01:01:02,000\na -> b\n\n"
        );
        assert_eq!(
            vtt(&segments),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello, you.\n\n01:01:01.250 --> 01:01:02.000\na -> b\n\n"
        );
    }

    #[test]
    fn words_share_the_time_of_their_segment_by_length() {
        let words = words(&segment(1.0, 2.0, "to be  alone"));
        let times: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.start, word.end)).collect();
        assert_eq!(times[0].0, "to");
        assert!((times[0].2 - (1.0 + 2.0 / 9.0)).abs() < 1e-6);
        assert_eq!(times[0].2, times[1].1);
        assert!((times[2].2 - 2.0).abs() < 1e-6);
        assert_eq!(super::words(&segment(0.0, 1.0, " ")), []);
    }
}
