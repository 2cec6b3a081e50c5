//! The state machine that takes the thoughts out of one answer, however the answer is cut into deltas.

use super::marks::{self, Beginning, Mark};

/// How many bytes of a thought are kept while it is not certain that it is one. A thought of that length is one: a spoken
/// answer is 120 tokens long, which are about 500 bytes.
const MAX_HELD: usize = 16 << 10;

/// What is known of the template of a model: does the prompt end with the mark that opens a thought, so that the answer begins in
/// the midst of it and only the closing mark is sent?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// No answer has shown it yet.
    Unknown,
    /// An answer that begins without a mark begins with what is to be said.
    Model,
    /// An answer that begins without a mark begins with a thought.
    Template,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Only space has come since the beginning of the answer or the end of a thought.
    Beginning { of_answer: bool },
    /// The answer began without a mark, and is perhaps a thought: it is held back until that is known.
    Held,
    /// What comes is to be said.
    Text { line_begins: bool },
    /// What comes is a thought, until this mark.
    Thought { close: &'static str },
}

/// The filter of one answer.
#[derive(Debug)]
pub(super) struct Filter {
    opening: Opening,
    state: State,
    /// What came and is neither passed on nor dropped.
    buffer: String,
    /// Whether the beginning of what is held was dropped because it is too long for an answer.
    spilled: bool,
    /// Whether anything was passed on.
    spoke: bool,
    /// Whether a thought was found.
    thought: bool,
    /// What the answer shows of the template.
    shows: Option<Opening>,
}

impl Filter {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            opening,
            state: State::Beginning { of_answer: true },
            buffer: String::new(),
            spilled: false,
            spoke: false,
            thought: false,
            shows: None,
        }
    }

    /// Takes more of the answer, and returns what of it is certainly to be said.
    pub(super) fn push(&mut self, text: &str) -> String {
        self.buffer.push_str(text);
        let mut said = String::new();
        while self.step(&mut said) {}
        self.note(&said);
        said
    }

    /// Whether text is held back although no mark has begun.
    pub(super) fn is_holding(&self) -> bool {
        self.state == State::Held
    }

    /// What is held back is no thought, or nobody can wait until it is known. Returns it.
    pub(super) fn release(&mut self) -> String {
        if self.state == State::Held {
            self.state = State::Text { line_begins: true };
        }
        self.push("")
    }

    /// No more text comes. Returns what is left to be said; `cut` says that the model would have written more.
    pub(super) fn end(&mut self, cut: bool) -> String {
        let is_thought =
            self.state == State::Held && self.opening == Opening::Template && (cut || self.spilled);
        if is_thought {
            self.buffer.clear();
        }
        let mut said = self.release();
        if !matches!(self.state, State::Thought { .. }) {
            said.push_str(&std::mem::take(&mut self.buffer));
        }
        self.buffer.clear();
        self.note(&said);
        if self.spoke && !self.thought && !cut && self.shows.is_none() {
            self.shows = Some(Opening::Model);
        }
        self.state = State::Beginning { of_answer: false };
        said
    }

    /// What the answer has shown of the template, if anything. It is told once.
    pub(super) fn take_shown(&mut self) -> Option<Opening> {
        self.shows.take()
    }

    fn note(&mut self, said: &str) {
        self.spoke |= !said.trim().is_empty();
    }

    /// Does the next thing. Returns whether there may be more to do before more text comes.
    fn step(&mut self, said: &mut String) -> bool {
        match self.state {
            State::Beginning { of_answer } => self.begin(of_answer),
            State::Held => self.hold(),
            State::Text { line_begins } => self.speak(line_begins, said),
            State::Thought { close } => self.think(close),
        }
    }

    /// Drops the space before what is to be said, and looks for a mark there.
    fn begin(&mut self, of_answer: bool) -> bool {
        let space = self.buffer.len() - self.buffer.trim_start().len();
        self.buffer.drain(..space);
        if self.buffer.is_empty() {
            return false;
        }
        let begins =
            if of_answer { marks::first_opening(&self.buffer) } else { marks::opening(&self.buffer) };
        match begins {
            Beginning::Is(mark) => self.open(mark),
            Beginning::Unknown => return false,
            Beginning::Text if of_answer && self.opening != Opening::Model => self.state = State::Held,
            Beginning::Text => self.state = State::Text { line_begins: true },
        }
        true
    }

    /// Waits for the mark that says that all before it was a thought.
    fn hold(&mut self) -> bool {
        match next_mark(&self.buffer, true) {
            Some((at, Found::Close(length))) => {
                let is_thought = !self.buffer[..at].trim().is_empty();
                self.close(at + length, is_thought);
            }
            // The model opens its thoughts itself, so that this one had another beginning.
            Some((_, Found::Open(_))) => self.state = State::Text { line_begins: true },
            _ if self.buffer.len() <= MAX_HELD => return false,
            _ if self.opening == Opening::Template => {
                keep_last(&mut self.buffer, MAX_HELD / 2);
                self.spilled = true;
                return false;
            }
            _ => self.state = State::Text { line_begins: true },
        }
        true
    }

    /// Passes on the text up to the next mark.
    fn speak(&mut self, line_begins: bool, said: &mut String) -> bool {
        let found = next_mark(&self.buffer, line_begins);
        let until = found.map_or(self.buffer.len(), |(at, _)| at);
        let text: String = self.buffer.drain(..until).collect();
        self.state = State::Text { line_begins: begins_line(&text, line_begins) };
        self.note(&text);
        said.push_str(&text);
        match found {
            Some((_, Found::Open(mark))) => self.open(mark),
            Some((_, Found::Close(length))) => {
                // The thought was passed on, because nothing showed that it was one. The next answer will be held.
                self.close(length, self.spoke);
            }
            Some((_, Found::Unknown)) | None => return false,
        }
        true
    }

    /// Drops the thought up to the mark that closes it.
    fn think(&mut self, close: &'static str) -> bool {
        if let Some(at) = self.buffer.find(close) {
            self.buffer.drain(..at + close.len());
            self.state = State::Beginning { of_answer: false };
            true
        } else {
            keep_last(&mut self.buffer, close.len() - 1);
            false
        }
    }

    fn open(&mut self, mark: Mark) {
        self.thought = true;
        self.buffer.drain(..mark.open.len());
        self.state = State::Thought { close: mark.close };
    }

    /// A thought that the model did not open has ended; `until` is where its closing mark ends.
    fn close(&mut self, until: usize, is_thought: bool) {
        if is_thought && !self.thought {
            self.shows = Some(Opening::Template);
            self.thought = true;
        }
        self.buffer.drain(..until);
        self.state = State::Beginning { of_answer: false };
    }
}

#[derive(Clone, Copy, Debug)]
enum Found {
    Open(Mark),
    /// A mark of this length.
    Close(usize),
    /// The end of the text, which may become a mark.
    Unknown,
}

/// The first mark in a text, and where it begins.
fn next_mark(text: &str, mut line_begins: bool) -> Option<(usize, Found)> {
    for (at, c) in text.char_indices() {
        if marks::may_begin(c) {
            let rest = &text[at..];
            let (opens, closes) = (marks::opening(rest), marks::closing(rest));
            match (opens, closes) {
                (Beginning::Is(mark), _) if line_begins => return Some((at, Found::Open(mark))),
                (_, Beginning::Is(length)) => return Some((at, Found::Close(length))),
                (Beginning::Unknown, _) if line_begins => return Some((at, Found::Unknown)),
                (_, Beginning::Unknown) => return Some((at, Found::Unknown)),
                _ => {}
            }
        }
        line_begins = c == '\n' || (line_begins && c.is_whitespace());
    }
    None
}

/// Whether what follows `text` begins a line.
fn begins_line(text: &str, line_begins: bool) -> bool {
    let line = text.rsplit_once('\n').map(|(_, line)| line);
    line.map_or(line_begins && text.trim().is_empty(), |line| line.trim().is_empty())
}

/// Drops all but about the last `bytes` of a text.
fn keep_last(text: &mut String, bytes: usize) {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    text.drain(..from);
}
