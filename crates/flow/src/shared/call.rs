//! Calls of an engine in flight, which further identical requests may join.
//!
//! Whichever reader of a call is polled asks the engine for more; all of them are woken when there is some. So no task runs on
//! its own, and a reader that stalls holds up no other one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};

use antiphon_core::{BoxStream, Error, Priority, Result, Stream, lock};

use super::readers::Readers;

/// How much of an answer a call keeps for readers that join late, in bytes. The longest replies of any model, some 100,000
/// tokens, are not larger, and no clause takes the minute and a half that this is of speech at 48 kHz.
const MAX_KEPT: usize = 8 << 20;

/// A piece of an answer. Each reader gets a clone of it.
pub trait Piece: Clone + Send + 'static {
    /// Bytes it takes on the heap.
    fn heap(&self) -> usize;
}

/// The calls in flight, by what was asked for.
pub struct SharedCalls<K: Eq + Hash, T>(Mutex<HashMap<K, InFlight<K, T>>>);

struct InFlight<K: Eq + Hash, T> {
    call: Weak<Call<K, T>>,
    priority: Priority,
}

impl<K: Eq + Hash, T> Default for SharedCalls<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, T: Piece> SharedCalls<K, T> {
    /// Joins a call for the same key. `None` if there is none that is at least as urgent, has not ended, and still keeps
    /// the start of its answer.
    pub fn join(&self, key: &K, priority: Priority) -> Option<SharedReader<K, T>> {
        // The lock is released before the call is used, because the last owner of a call takes the lock when it drops it.
        let call = lock(&self.0).get(key).filter(|call| call.priority <= priority)?.call.upgrade();
        call?.join()
    }

    /// Begins a call, which others may join from now on.
    pub fn begin(
        self: &Arc<Self>,
        key: K,
        priority: Priority,
        answers: BoxStream<'static, Result<T>>,
    ) -> SharedReader<K, T> {
        let call = Arc::new(Call::new(answers, key.clone(), Arc::clone(self)));
        let reader = SharedReader::first(&call);
        lock(&self.0).insert(key, InFlight { call: Arc::downgrade(&call), priority });
        reader
    }
}

impl<K: Eq + Hash, T> SharedCalls<K, T> {
    /// Whether no call is in flight.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Forgets `call`. A later one under the same key stays.
    fn remove(&self, key: &K, call: *const Call<K, T>) {
        let mut calls = lock(&self.0);
        if calls.get(key).is_some_and(|known| std::ptr::eq(known.call.as_ptr(), call)) {
            calls.remove(key);
        }
    }
}

/// One call of an engine and its readers.
struct Call<K: Eq + Hash, T> {
    key: K,
    calls: Arc<SharedCalls<K, T>>,
    progress: Mutex<Progress<T>>,
    readers: Arc<Readers>,
}

/// What the engine has answered so far.
struct Progress<T> {
    /// `None` when the answer has ended.
    answers: Option<BoxStream<'static, Result<T>>>,
    pieces: VecDeque<Result<T>>,
    /// Bytes that `pieces` take.
    bytes: usize,
    /// Pieces that came before those in `pieces` and are not kept any more.
    dropped: usize,
}

impl<T: Piece> Progress<T> {
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

impl<K: Eq + Hash, T: Piece> Call<K, T> {
    fn new(answers: BoxStream<'static, Result<T>>, key: K, calls: Arc<SharedCalls<K, T>>) -> Self {
        let progress = Progress { answers: Some(answers), pieces: VecDeque::new(), bytes: 0, dropped: 0 };
        Self { key, calls, progress: Mutex::new(progress), readers: Arc::default() }
    }

    /// A reader from the start; `None` if the call has ended or its start is not kept any more.
    fn join(self: Arc<Self>) -> Option<SharedReader<K, T>> {
        let joinable = {
            let progress = lock(&self.progress);
            progress.answers.is_some() && progress.dropped == 0
        };
        joinable.then(|| SharedReader::first(&self))
    }

    /// Asks the engine for a piece that nobody has read yet.
    fn more(&self, progress: &mut Progress<T>, reader: u64, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Some(answers) = &mut progress.answers else { return Poll::Ready(None) };
        self.readers.wait(reader, cx.waker());
        let waker = Waker::from(Arc::clone(&self.readers));
        let piece = ready!(answers.as_mut().poll_next(&mut Context::from_waker(&waker)));
        match &piece {
            Some(piece) => progress.keep(piece.clone()),
            None => progress.answers = None,
        }
        if matches!(piece, Some(Err(_))) {
            progress.answers = None;
        }
        self.readers.leave(reader);
        self.readers.wake_by_ref();
        Poll::Ready(piece)
    }
}

impl<K: Eq + Hash, T> Drop for Call<K, T> {
    fn drop(&mut self) {
        self.calls.remove(&self.key, self);
    }
}

/// Reads the whole answer of a call, from its start. The call is cancelled when its last reader is dropped.
pub struct SharedReader<K: Eq + Hash, T> {
    call: Arc<Call<K, T>>,
    number: u64,
    /// How many pieces were read; `None` once it was too slow and pieces it had not read are gone.
    at: Option<usize>,
}

impl<K: Eq + Hash, T> SharedReader<K, T> {
    fn first(call: &Arc<Call<K, T>>) -> Self {
        Self { number: call.readers.enter(), call: Arc::clone(call), at: Some(0) }
    }
}

impl<K: Eq + Hash, T: Piece> Stream for SharedReader<K, T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = self.get_mut();
        let Some(at) = this.at else { return Poll::Ready(None) };
        let mut progress = lock(&this.call.progress);
        let Some(kept) = at.checked_sub(progress.dropped) else {
            this.at = None;
            let message = "the answer was read so slowly that its middle is gone; read faster or ask again";
            return Poll::Ready(Some(Err(Error::unavailable(message))));
        };
        let piece = match progress.pieces.get(kept) {
            Some(piece) => Some(piece.clone()),
            None => ready!(this.call.more(&mut progress, this.number, cx)),
        };
        this.at = Some(at + usize::from(piece.is_some()));
        Poll::Ready(piece)
    }
}

impl<K: Eq + Hash, T> Drop for SharedReader<K, T> {
    fn drop(&mut self) {
        self.call.readers.leave(self.number);
    }
}
