//! Joins a reply that one engine began and another goes on with: no word twice, none lost.
//!
//! [`Hold`] sees to it that what has been said ends with a whole word; [`Seam`] finds how much of it the next engine
//! says again. Words are compared without case and punctuation: engines differ in both.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The longest word that is held back, in bytes: longer than any German word, shorter than most encoded data.
const MAX_WORD: usize = 96;
/// With this many words in a row that were said before, it is a repetition and no coincidence: Broder's shingles ("On the
/// resemblance and containment of documents", 1997) tell texts apart by runs of four words.
const CERTAIN: usize = 4;
/// How long fewer than [`CERTAIN`] words are withheld, at most: the time of four words at 150 ms a token, the pace of a slow model.
const MAX_DOUBT: Duration = Duration::from_millis(600);

/// Gives text up to the last whole word.
#[derive(Default)]
pub(super) struct Hold {
    held: String,
}

impl Hold {
    pub(super) fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let ends = |(at, c): (usize, char)| (c.is_whitespace() || is_spaceless(c)).then(|| at + c.len_utf8());
        let whole = self.held.char_indices().rev().find_map(ends).unwrap_or(0);
        let whole = if self.held.len() - whole > MAX_WORD { self.held.len() } else { whole };
        let rest = self.held.split_off(whole);
        std::mem::replace(&mut self.held, rest)
    }

    /// What is left when no more text comes.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Drops from an engine's text what was said before it began. The text may go on exactly where the other stopped, or
/// say the last words again, or all of them. The longest repetition that reaches the end of what was said counts.
pub(super) struct Seam {
    /// The words said before.
    said: Vec<String>,
    /// Punctuation that stands alone after the last of them.
    tail: VecDeque<char>,
    /// Whether what was said ends with a space.
    spaced: bool,
    /// When the first text of this engine came.
    began: Option<Instant>,
    state: SeamState,
}

enum SeamState {
    /// It is not known yet what is repeated.
    Open(Open),
    /// Only punctuation and space may still be repeated.
    Trimming,
    Joined,
}

#[derive(Default)]
struct Open {
    text: String,
    /// Bytes of `text` whose words were compared.
    compared: usize,
    words: usize,
    /// Where in what was said the repetition may begin; `None` before the first word.
    starts: Option<Vec<usize>>,
    /// The byte after the longest repetition found.
    repeated: Option<usize>,
}

impl Seam {
    /// `said` is not empty and ends with a whole word.
    pub(super) fn new(said: &str) -> Self {
        let (mut words, mut at, mut last) = (Vec::new(), 0, 0);
        while let Some(word) = Word::next(said, at, true) {
            at = word.end;
            if !word.bare.is_empty() {
                words.push(word.bare);
                last = at;
            }
        }
        Self {
            said: words,
            tail: said[last..].chars().filter(|c| !c.is_whitespace()).collect(),
            spaced: said.ends_with(char::is_whitespace),
            began: None,
            state: SeamState::Open(Open::default()),
        }
    }

    /// More of the engine's text, which came `now`; gives what is new.
    pub(super) fn push(&mut self, text: &str, now: Instant) -> String {
        let began = *self.began.get_or_insert(now);
        match &mut self.state {
            SeamState::Open(open) => {
                open.text.push_str(text);
                self.compare(false, now - began > MAX_DOUBT)
            }
            SeamState::Trimming => self.trim(text),
            SeamState::Joined => text.to_owned(),
        }
    }

    /// No more text comes; gives what was withheld of it.
    pub(super) fn finish(&mut self) -> String {
        self.compare(true, true)
    }

    fn compare(&mut self, over: bool, hurry: bool) -> String {
        let SeamState::Open(open) = &mut self.state else { return String::new() };
        let mut open_starts = true;
        while open_starts && let Some(word) = Word::next(&open.text, open.compared, over) {
            open.compared = word.end;
            if !word.bare.is_empty() {
                open_starts = open.word(&word, &self.said);
            }
        }
        let certain = open.words >= CERTAIN;
        if open_starts && (certain || !hurry) && !over {
            return String::new();
        }
        if over && open_starts && certain && open.repeated.is_none() {
            // The engine ended before it had repeated everything, so nothing is new.
            self.state = SeamState::Joined;
            return String::new();
        }
        let from = open.repeated;
        let text = open.text.split_off(from.unwrap_or(0));
        if from.is_none() {
            self.tail.clear();
        }
        self.state = SeamState::Trimming;
        self.trim(&text)
    }

    fn trim(&mut self, text: &str) -> String {
        let mut rest = text.chars();
        loop {
            let before = rest.as_str();
            match rest.next() {
                None => return String::new(),
                Some(c) if c.is_whitespace() && (self.spaced || !self.tail.is_empty()) => {}
                Some(c) if self.tail.front() == Some(&c) => _ = self.tail.pop_front(),
                Some(_) => {
                    self.state = SeamState::Joined;
                    return before.to_owned();
                }
            }
        }
    }
}

impl Open {
    /// Compares one more word; false once no further word can be a repetition.
    fn word(&mut self, word: &Word, said: &[String]) -> bool {
        let n = self.words;
        let repeats = |start: &usize| said.get(start + n) == Some(&word.bare);
        let starts = match self.starts.take() {
            Some(starts) => starts.into_iter().filter(repeats).collect(),
            None => (0..said.len()).filter(repeats).collect::<Vec<_>>(),
        };
        self.words += 1;
        let reaches_end = starts.iter().any(|start| start + self.words == said.len());
        // Chinese doubles characters for emphasis, so a single character may occur twice without being a repetition.
        if reaches_end && (self.words > 1 || !word.bare.chars().any(is_spaceless)) {
            self.repeated = Some(word.end);
        }
        let goes_on = starts.iter().any(|start| start + self.words < said.len());
        self.starts = Some(starts);
        goes_on
    }
}

/// A word without case and punctuation; empty for punctuation that stands alone.
struct Word {
    bare: String,
    /// The byte after it and its punctuation.
    end: usize,
}

impl Word {
    /// The first word from byte `from` on, unless more text could change it.
    fn next(text: &str, from: usize, over: bool) -> Option<Self> {
        let mut chars = text[from..].char_indices().skip_while(|(_, c)| c.is_whitespace());
        let (start, first) = chars.next()?;
        let end = if is_spaceless(first) {
            start + first.len_utf8()
        } else {
            match chars.find(|(_, c)| c.is_whitespace() || is_spaceless(*c)) {
                Some((end, _)) => end,
                None if over => text.len() - from,
                None => return None,
            }
        };
        let word = text[from + start..from + end].chars().filter(|c| c.is_alphanumeric());
        Some(Self { bare: word.flat_map(char::to_lowercase).collect(), end: from + end })
    }
}

/// Scripts written without spaces, by Unicode block, with their punctuation: Thai and Lao, Myanmar, Khmer, Chinese and
/// Japanese. Each character counts as a word.
fn is_spaceless(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3000..=0x30FF | 0x3400..=0x9FFF
        | 0xF900..=0xFAFF | 0xFF00..=0xFF60 | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests;
