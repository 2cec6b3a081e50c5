//! One call of a model and its readers.
//!
//! Whichever reader is polled asks the model for more; all of them are woken when there is some. So nothing runs that
//! nobody reads, and a reader that stalls holds up no other one.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use antiphon_core::{BoxStream, ChatDelta, Error, Result, Stream};

use super::Calls;
use super::key::Key;

/// What a call keeps of what was said: the longest replies of any model, some 100,000 tokens, are not larger.
const MAX_KEPT: usize = 8 << 20;

type Piece = Result<ChatDelta>;

pub(super) struct Talk {
    key: Key,
    calls: Arc<Calls>,
    said: Mutex<Said>,
    readers: Arc<Readers>,
}

struct Said {
    /// `None` when it has ended.
    answers: Option<BoxStream<'static, Piece>>,
    pieces: VecDeque<Piece>,
    /// Of `pieces`.
    bytes: usize,
    /// Pieces before those that are kept.
    dropped: usize,
}

impl Said {
    fn keep(&mut self, piece: Piece) {
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

fn size(piece: &Piece) -> usize {
    let text = match piece {
        Ok(ChatDelta::Text(text)) => text.len(),
        Ok(ChatDelta::ToolCall { id, name, arguments, .. }) => {
            arguments.len() + id.as_ref().map_or(0, String::len) + name.as_ref().map_or(0, String::len)
        }
        Ok(ChatDelta::FromCache(_) | ChatDelta::Done { .. }) | Err(_) => 0,
    };
    size_of::<Piece>() + text
}

impl Talk {
    pub(super) fn new(answers: BoxStream<'static, Piece>, key: Key, calls: Arc<Calls>) -> Self {
        let said = Said { answers: Some(answers), pieces: VecDeque::new(), bytes: 0, dropped: 0 };
        Self { key, calls, said: Mutex::new(said), readers: Arc::default() }
    }

    /// A reader from the start; `None` if the call has ended or its start is not kept any more.
    pub(super) fn join(self: Arc<Self>) -> Option<Reader> {
        let joinable = {
            let said = self.said();
            said.answers.is_some() && said.dropped == 0
        };
        joinable.then(|| Reader::first(&self))
    }

    /// Asks the model for what nobody has read yet.
    fn more(&self, said: &mut Said, reader: u64, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
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

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.calls.remove(&self.key, self);
    }
}

/// Everything that is said, from the start.
pub(super) struct Reader {
    talk: Arc<Talk>,
    number: u64,
    /// Pieces read; `None` once it has lost the thread.
    at: Option<usize>,
}

impl Reader {
    pub(super) fn first(talk: &Arc<Talk>) -> Self {
        Self { number: talk.readers.enter(), talk: Arc::clone(talk), at: Some(0) }
    }
}

impl Stream for Reader {
    type Item = Piece;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let this = self.get_mut();
        let Some(at) = this.at else { return Poll::Ready(None) };
        let mut said = this.talk.said();
        let Some(kept) = at.checked_sub(said.dropped) else {
            this.at = None;
            let message = "the reply was read so slowly that its middle is gone; read faster or ask again";
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

impl Drop for Reader {
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
