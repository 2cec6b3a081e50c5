//! One call of an engine and its readers.
//!
//! Whichever reader is polled asks the engine for more; all of them are woken when there is some. So nothing runs that
//! nobody reads, and a reader that stalls holds up no other one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use antiphon_core::{BoxStream, Error, Result, Stream};

use super::Calls;

/// What a call keeps of what was said: the longest replies of any model, some 100,000 tokens, are not larger, and no
/// clause takes the minute and a half that this is of speech at 48 kHz.
const MAX_KEPT: usize = 8 << 20;

/// A part of an answer, of which each reader gets a clone.
pub trait Piece: Clone + Send + 'static {
    /// Bytes it takes beside its own.
    fn heap(&self) -> usize;
}

pub(super) struct Talk<K: Eq + Hash, T> {
    key: K,
    calls: Arc<Calls<K, T>>,
    said: Mutex<Said<T>>,
    readers: Arc<Readers>,
}

struct Said<T> {
    /// `None` when it has ended.
    answers: Option<BoxStream<'static, Result<T>>>,
    pieces: VecDeque<Result<T>>,
    /// Of `pieces`.
    bytes: usize,
    /// Pieces before those that are kept.
    dropped: usize,
}

impl<T: Piece> Said<T> {
    fn keep(&mut self, piece: Result<T>) {
        self.bytes += size(&piece);
        self.pieces.push_back(piece);
        while self.bytes > MAX_KEPT
            && let Some(oldest) = self.pieces.pop_front()
        {
            self.bytes -= size(&oldest);
            self.dropped += 1;
        }
    }
}

fn size<T: Piece>(piece: &Result<T>) -> usize {
    size_of::<Result<T>>() + piece.as_ref().map_or(0, T::heap)
}

impl<K: Eq + Hash, T: Piece> Talk<K, T> {
    pub(super) fn new(answers: BoxStream<'static, Result<T>>, key: K, calls: Arc<Calls<K, T>>) -> Self {
        let said = Said { answers: Some(answers), pieces: VecDeque::new(), bytes: 0, dropped: 0 };
        Self { key, calls, said: Mutex::new(said), readers: Arc::default() }
    }

    /// A reader from the start; `None` if the call has ended or its start is not kept any more.
    pub(super) fn join(self: Arc<Self>) -> Option<Reader<K, T>> {
        let joinable = {
            let said = self.said();
            said.answers.is_some() && said.dropped == 0
        };
        joinable.then(|| Reader::first(&self))
    }

    /// Asks the engine for what nobody has read yet.
    fn more(&self, said: &mut Said<T>, reader: u64, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Some(answers) = &mut said.answers else { return Poll::Ready(None) };
        self.readers.wait(reader, cx.waker());
        let waker = Waker::from(Arc::clone(&self.readers));
        let piece = ready!(answers.as_mut().poll_next(&mut Context::from_waker(&waker)));
        match &piece {
            Some(piece) => said.keep(piece.clone()),
            None => said.answers = None,
        }
        if matches!(piece, Some(Err(_))) {
            said.answers = None;
        }
        self.readers.leave(reader);
        self.readers.wake_by_ref();
        Poll::Ready(piece)
    }

    fn said(&self) -> MutexGuard<'_, Said<T>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, T> Drop for Talk<K, T> {
    fn drop(&mut self) {
        self.calls.remove(&self.key, self);
    }
}

/// Everything that is said, from the start.
pub struct Reader<K: Eq + Hash, T> {
    talk: Arc<Talk<K, T>>,
    number: u64,
    /// Pieces read; `None` once it has lost the thread.
    at: Option<usize>,
}

impl<K: Eq + Hash, T> Reader<K, T> {
    pub(super) fn first(talk: &Arc<Talk<K, T>>) -> Self {
        Self { number: talk.readers.enter(), talk: Arc::clone(talk), at: Some(0) }
    }
}

impl<K: Eq + Hash, T: Piece> Stream for Reader<K, T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = self.get_mut();
        let Some(at) = this.at else { return Poll::Ready(None) };
        let mut said = this.talk.said();
        let Some(kept) = at.checked_sub(said.dropped) else {
            this.at = None;
            let message = "the answer was read so slowly that its middle is gone; read faster or ask again";
            return Poll::Ready(Some(Err(Error::unavailable(message))));
        };
        let piece = match said.pieces.get(kept) {
            Some(piece) => Some(piece.clone()),
            None => ready!(this.talk.more(&mut said, this.number, cx)),
        };
        this.at = Some(at + usize::from(piece.is_some()));
        Poll::Ready(piece)
    }
}

impl<K: Eq + Hash, T> Drop for Reader<K, T> {
    fn drop(&mut self) {
        self.talk.readers.leave(self.number);
    }
}

/// Whom to wake when more is said.
#[derive(Default)]
struct Readers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    numbers: u64,
    wakers: HashMap<u64, Waker>,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> u64 {
        let mut waiting = self.lock();
        waiting.numbers += 1;
        waiting.numbers
    }

    fn wait(&self, reader: u64, waker: &Waker) {
        self.lock().wakers.insert(reader, waker.clone());
    }

    fn leave(&self, reader: u64) {
        self.lock().wakers.remove(&reader);
    }
}

impl Wake for Readers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = std::mem::take(&mut self.lock().wakers);
        wakers.into_values().for_each(Waker::wake);
    }
}
