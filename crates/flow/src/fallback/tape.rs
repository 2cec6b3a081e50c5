//! The input of a transcription, kept so that another engine can be given it from the start.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use antiphon_core::{SampleRate, Stream, SttInput, lock};

/// Samples a second of the input.
const HZ: usize = SampleRate::HZ_16000.hz() as usize;
/// The longest utterance that is kept, in samples: a minute, which takes 2 MB. Few are longer, and of those nothing is kept.
const MAX_KEPT: usize = 60 * HZ;
/// How much may wait for the engine before the input waits, too, in samples.
const MAX_UNREAD: usize = 5 * HZ;
/// How many pieces of audio and flushes are kept: a minute in pieces of 4 ms.
const MAX_ITEMS: usize = 16_384;

/// The input so far. One engine reads it at a time.
#[derive(Default)]
pub(super) struct Tape(Mutex<TapeState>);

#[derive(Default)]
struct TapeState {
    /// `None` is a flush that has been answered.
    items: VecDeque<Option<SttInput>>,
    samples: usize,
    /// Items from the front that the reader has taken.
    read: usize,
    unread_samples: usize,
    /// The utterance was too long to be kept: what is read is gone.
    torn: bool,
    over: bool,
    /// The reader's number; earlier ones are given nothing more.
    reader: usize,
    waiting_reader: Option<Waker>,
    waiting_writer: Option<Waker>,
}

impl Tape {
    /// Ready once there is room for more input.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.unread_samples < MAX_UNREAD && state.items.len() - state.read < MAX_ITEMS {
            return Poll::Ready(());
        }
        state.waiting_writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// More input; `None` ends it.
    pub(super) fn push(&self, input: Option<SttInput>) {
        let mut state = lock(&self.0);
        match input {
            Some(input) => state.push(input),
            None => state.over = true,
        }
        wake(&mut state.waiting_reader);
    }

    /// The first flush has been answered: it is not asked again.
    pub(super) fn answered(&self) {
        let mut state = lock(&self.0);
        let read = state.read;
        let mut taken = state.items.iter_mut().take(read);
        if let Some(flush) = taken.find(|item| matches!(item, Some(SttInput::Flush))) {
            *flush = None;
        }
    }

    /// Whether another engine can be given everything.
    pub(super) fn is_whole(&self) -> bool {
        !lock(&self.0).torn
    }

    /// Reads everything from the start, and what is still to come. An earlier reader is given nothing more.
    pub(super) fn read(self: &Arc<Self>) -> Reader {
        let mut state = lock(&self.0);
        state.reader += 1;
        state.read = 0;
        state.unread_samples = state.samples;
        Reader { tape: self.clone(), number: state.reader }
    }
}

impl TapeState {
    fn push(&mut self, input: SttInput) {
        if let SttInput::Audio(samples) = &input {
            self.samples += samples.len();
            self.unread_samples += samples.len();
        }
        self.items.push_back(Some(input));
        if self.samples > MAX_KEPT || self.items.len() > MAX_ITEMS {
            self.torn = true;
            self.items.drain(..self.read);
            self.read = 0;
        }
    }

    fn next(&mut self) -> Option<SttInput> {
        loop {
            let item = if self.torn {
                self.items.pop_front()?
            } else {
                let item = self.items.get(self.read)?.clone();
                self.read += 1;
                item
            };
            if let Some(SttInput::Audio(samples)) = &item {
                self.unread_samples -= samples.len();
            }
            if item.is_some() {
                return item;
            }
        }
    }
}

fn wake(waiting: &mut Option<Waker>) {
    if let Some(waker) = waiting.take() {
        waker.wake();
    }
}

/// What one engine reads: the tape from its beginning, and what is added to it.
pub(super) struct Reader {
    tape: Arc<Tape>,
    number: usize,
}

impl Stream for Reader {
    type Item = SttInput;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SttInput>> {
        let mut state = lock(&self.tape.0);
        if state.reader != self.number {
            return Poll::Ready(None);
        }
        if let Some(input) = state.next() {
            wake(&mut state.waiting_writer);
            return Poll::Ready(Some(input));
        }
        if state.over {
            return Poll::Ready(None);
        }
        state.waiting_reader = Some(cx.waker().clone());
        Poll::Pending
    }
}
