//! Playback: which part of the reply's audio is sent, when, and how much of it was heard.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::Resampler;
use antiphon_core::call::{OutputAudio, Pacing};
use antiphon_core::{AudioChunk, SampleRate};
use tokio::time::Instant;

/// Most audio that is made but not sent. Synthesis waits when there is more.
const MAX_QUEUED: Duration = Duration::from_secs(10);

/// The reply being played.
pub(crate) struct Playback {
    rate: SampleRate,
    pacing: Pacing,
    /// The most audio that is sent at once.
    frame: Duration,
    resampler: Option<(SampleRate, Resampler)>,
    /// Audio that was made but not sent.
    queue: VecDeque<i16>,
    /// Audio that was sent but perhaps not played yet. It is repeated when a held reply resumes.
    sent_tail: VecDeque<i16>,
    /// How many samples of this reply were sent.
    sent: u64,
    /// Up to which sample the audio only bridges a silence and is not the reply's.
    filler_until: u64,
    /// When the first sample of this reply would have been played, had it never paused.
    epoch: Option<Instant>,
    /// How many samples had been heard when the reply was held.
    held: Option<u64>,
    clauses: Vec<Clause>,
}

/// The text of a stretch of the reply's audio.
struct Clause {
    /// The index of its first sample.
    from: u64,
    text: String,
}

/// How much of a reply was heard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) audio: Duration,
    pub(crate) text: String,
}

impl Playback {
    /// `frame` is the most audio that is sent at once. Longer frames mean fewer messages; with shorter ones, clients
    /// that drop outdated frames lose less.
    pub(crate) fn new(output: OutputAudio, frame: Duration) -> Self {
        Self {
            rate: output.rate,
            pacing: output.pacing,
            frame,
            resampler: None,
            queue: VecDeque::new(),
            sent_tail: VecDeque::new(),
            sent: 0,
            filler_until: 0,
            epoch: None,
            held: None,
            clauses: Vec::new(),
        }
    }

    /// The rate of the samples that are sent.
    pub(crate) fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Begins a clause: the audio that follows speaks this text.
    pub(crate) fn clause(&mut self, text: String) {
        self.clauses.push(Clause { from: self.made(), text });
    }

    /// Adds audio that was made.
    pub(crate) fn push(&mut self, chunk: &AudioChunk) {
        if chunk.rate == self.rate {
            self.queue.extend(chunk.samples.iter());
            return;
        }
        let rate = self.rate;
        let current = self.resampler.take().filter(|(from, _)| *from == chunk.rate);
        let (from, mut resampler) = current.unwrap_or_else(|| (chunk.rate, Resampler::new(chunk.rate, rate)));
        let mut out = Vec::with_capacity(chunk.samples.len() * rate.hz() as usize / from.hz() as usize + 8);
        resampler.process(&chunk.samples, &mut out);
        self.queue.extend(&out);
        self.resampler = Some((from, resampler));
    }

    /// Adds audio that bridges a silence. None of its words counts as heard.
    pub(crate) fn fill(&mut self, chunk: &AudioChunk) {
        if self.filler_until < self.made() {
            self.clause(String::new());
        }
        self.push(chunk);
        self.filler_until = self.made();
    }

    /// Whether the next piece only bridges a silence.
    pub(crate) fn is_filler(&self) -> bool {
        self.sent < self.filler_until
    }

    /// No more audio will come: flushes the resampler.
    pub(crate) fn finish(&mut self) {
        if let Some((_, mut resampler)) = self.resampler.take() {
            let mut out = Vec::new();
            resampler.flush(&mut out);
            self.queue.extend(&out);
        }
    }

    /// Whether more audio may be made.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < self.rate.samples_in(MAX_QUEUED)
    }

    /// The next piece to send, if it is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Vec<i16>> {
        if self.queue.is_empty() || self.held.is_some() || self.next_due().is_some_and(|due| due > now) {
            return None;
        }
        let played = self.rate.duration_of(self.sent as usize);
        // A reply that ran out of audio continues from now, because the person has heard the gap as silence.
        let epoch = self.epoch.map_or(now, |epoch| epoch.max(now.checked_sub(played).unwrap_or(epoch)));
        self.epoch = Some(epoch);
        let most = self.rate.samples_in(self.frame);
        let piece: Vec<i16> = self.queue.drain(..self.queue.len().min(most)).collect();
        self.sent += piece.len() as u64;
        if let Pacing::Server { lead } = self.pacing {
            self.sent_tail.extend(&piece);
            let excess = self.sent_tail.len().saturating_sub(self.rate.samples_in(lead + 2 * self.frame));
            self.sent_tail.drain(..excess);
        }
        Some(piece)
    }

    /// When the next piece is due; `None` when there is none or the reply is held.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.queue.is_empty() || self.held.is_some() {
            return None;
        }
        self.next_due()
    }

    fn next_due(&self) -> Option<Instant> {
        let Pacing::Server { lead } = self.pacing else { return self.epoch };
        let played = self.rate.duration_of(self.sent as usize);
        self.epoch.map(|epoch| (epoch + played).checked_sub(lead).unwrap_or(epoch))
    }

    /// When everything made so far has been played.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.epoch.map(|epoch| epoch + self.rate.duration_of(self.made() as usize))
    }

    /// How long it takes from now until so many samples that were sent last are played.
    pub(crate) fn plays_in(&self, samples: usize, now: Instant) -> Duration {
        let before = self.rate.duration_of((self.sent as usize).saturating_sub(samples));
        self.epoch.map_or(Duration::ZERO, |epoch| (epoch + before).saturating_duration_since(now))
    }

    /// Whether nothing is left to send.
    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// How much has been heard until now.
    pub(crate) fn heard(&self, now: Instant) -> Heard {
        let samples = self.heard_samples(now);
        Heard { audio: self.rate.duration_of(samples as usize), text: self.text_until(samples) }
    }

    /// The text that was heard if only `audio` of the reply was played.
    pub(crate) fn heard_until(&self, audio: Duration) -> String {
        self.text_until(self.rate.samples_in(audio) as u64)
    }

    /// The text of all audio that was made so far.
    pub(crate) fn said(&self) -> String {
        self.text_until(self.made())
    }

    /// Holds the reply where it is.
    pub(crate) fn hold(&mut self, now: Instant) {
        self.held = Some(self.heard_samples(now));
    }

    /// Continues a held reply where it stopped. What was sent but not heard is sent again.
    pub(crate) fn resume(&mut self) {
        let Some(heard) = self.held.take() else { return };
        let unheard = (self.sent.saturating_sub(heard) as usize).min(self.sent_tail.len());
        for sample in self.sent_tail.drain(self.sent_tail.len() - unheard..).rev() {
            self.queue.push_front(sample);
        }
        self.sent -= unheard as u64;
        self.epoch = None;
        if self.sent > 0 {
            // Positions keep counting, so the epoch is set as if everything before had just been played.
            self.epoch = Instant::now().checked_sub(self.rate.duration_of(self.sent as usize));
        }
    }

    /// The words in the first `share` (0 to 1) of a text. The duration of a word is assumed to be proportional to its
    /// number of letters.
    pub(crate) fn share(text: &str, share: f64) -> &str {
        &text[..words_in(text, share)]
    }

    fn made(&self) -> u64 {
        self.sent + self.queue.len() as u64
    }

    fn heard_samples(&self, now: Instant) -> u64 {
        let Some(epoch) = self.epoch else { return self.held.unwrap_or(0) };
        let played = self.rate.samples_in(now.saturating_duration_since(epoch)) as u64;
        self.held.unwrap_or(u64::MAX).min(played).min(self.sent)
    }

    /// The text of the clauses that were heard. The last one ends with the word at the given position.
    fn text_until(&self, samples: u64) -> String {
        let mut heard = String::new();
        for (n, clause) in self.clauses.iter().enumerate() {
            if samples <= clause.from {
                break;
            }
            let until = self.clauses.get(n + 1).map_or(self.made(), |next| next.from);
            let whole = (until - clause.from).max(1);
            let part = Self::share(&clause.text, (samples - clause.from) as f64 / whole as f64);
            if !heard.is_empty() && !part.is_empty() {
                heard.push(' ');
            }
            heard.push_str(part);
        }
        heard
    }
}

/// The byte offset at which the words in the first `share` of a text end.
fn words_in(text: &str, share: f64) -> usize {
    if share >= 1.0 {
        return text.len();
    }
    let limit = text.len() as f64 * share;
    let mut end = 0;
    for (at, _) in text.match_indices(char::is_whitespace) {
        if at as f64 > limit {
            break;
        }
        end = at;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_8000;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn server(lead: u64) -> Playback {
        Playback::new(OutputAudio { rate: RATE, pacing: Pacing::Server { lead: ms(lead) } }, ms(100))
    }

    fn audio(n: u64) -> AudioChunk {
        AudioChunk::new(RATE, (0..RATE.samples_in(ms(n))).map(|i| i as i16).collect::<Vec<_>>())
    }

    fn drain(playback: &mut Playback, now: Instant) -> Vec<i16> {
        std::iter::from_fn(|| playback.pop(now)).flatten().collect()
    }

    #[test]
    fn sends_no_further_ahead_than_its_lead() {
        let start = Instant::now();
        let mut playback = server(200);
        playback.push(&audio(1_000));
        assert_eq!(drain(&mut playback, start).len(), RATE.samples_in(ms(300)), "the piece at 200 ms is due");
        assert_eq!(playback.due(), Some(start + ms(100)));
        assert_eq!(drain(&mut playback, start + ms(100)).len(), RATE.samples_in(ms(100)));
        assert_eq!(playback.ends_at(), Some(start + ms(1_000)));
    }

    #[test]
    fn a_client_that_keeps_the_time_gets_everything_at_once() {
        let mut playback = Playback::new(OutputAudio { rate: RATE, pacing: Pacing::Client }, ms(60));
        playback.push(&audio(1_000));
        assert_eq!(playback.pop(Instant::now()).map(|piece| piece.len()), Some(RATE.samples_in(ms(60))));
        assert_eq!(drain(&mut playback, Instant::now()).len(), RATE.samples_in(ms(940)));
    }

    #[test]
    fn knows_which_words_were_heard() {
        let start = Instant::now();
        let mut playback = server(200);
        playback.clause("Hello there,".to_owned());
        playback.push(&audio(500));
        playback.clause("how are you today?".to_owned());
        playback.push(&audio(500));
        drain(&mut playback, start);
        drain(&mut playback, start + ms(300));
        drain(&mut playback, start + ms(550));
        let heard = playback.heard(start + ms(750));
        assert_eq!(heard.audio, ms(750));
        assert_eq!(heard.text, "Hello there, how are");
        assert_eq!(playback.heard_until(ms(100)), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_reply_goes_on_where_it_stopped() {
        let start = Instant::now();
        let mut playback = server(200);
        playback.push(&audio(1_000));
        let first = drain(&mut playback, start);
        tokio::time::advance(ms(150)).await;
        playback.hold(Instant::now());
        assert_eq!(playback.pop(Instant::now()), None);
        tokio::time::advance(ms(2_000)).await;
        assert_eq!(playback.heard(Instant::now()).audio, ms(150));
        playback.resume();
        let again = drain(&mut playback, Instant::now());
        assert_eq!(again[0], first[RATE.samples_in(ms(150))], "no sample lost, none repeated");
        assert_eq!(playback.heard(Instant::now() + ms(100)).audio, ms(250));
    }

    #[test]
    fn making_audio_stops_when_the_queue_is_full() {
        let mut playback = server(200);
        playback.push(&audio(9_900));
        assert!(playback.has_room());
        playback.push(&audio(200));
        assert!(!playback.has_room());
    }
}
