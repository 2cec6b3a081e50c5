//! The task that owns a WebSocket. It passes each message to its clause, and no clause waits for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use antiphon_core::{Result, SampleRate};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::command::{Activity, Command};
use super::context::Sink;
use super::wire::{self, Event};
use crate::remote::socket::{Frame, Socket};
use crate::remote::{Pcm, Remote};

/// How long a connection may be idle. Cartesia closes it after five minutes. It is closed a little earlier here, so
/// that no clause is sent on a connection that is being closed.
const IDLE: Duration = Duration::from_secs(290);

/// Opens a connection and owns it until it ends.
pub(super) async fn own(
    remote: Remote,
    rate: SampleRate,
    mut commands: mpsc::Receiver<Command>,
    activity: Arc<Activity>,
) {
    let ended = match Socket::connect(&remote, wire::PATH).await {
        Err(error) => Err(error),
        Ok(socket) => {
            activity.connections.fetch_add(1, Ordering::Relaxed);
            let contexts = HashMap::new();
            let mut owner = Owner { socket, remote, rate, contexts, heard: Instant::now(), activity };
            let ended = owner.serve(&mut commands).await;
            // Closed before the clauses fail, so that a clause that is tried again gets a new connection.
            commands.close();
            if let Err(error) = &ended {
                for (_, context) in owner.contexts.drain() {
                    context.sink.end(Err(error.clone()));
                }
            }
            ended
        }
    };
    // Clauses that were requested in the meantime get the same error.
    commands.close();
    while let Some(command) = commands.recv().await {
        if let (Command::Begin { sink, .. }, Err(error)) = (command, &ended) {
            sink.end(Err(error.clone()));
        }
    }
}

/// An open connection and its clauses.
struct Owner {
    socket: Socket,
    remote: Remote,
    rate: SampleRate,
    contexts: HashMap<String, Context>,
    /// When the latest message came, or when the first clause was requested after a time without any.
    heard: Instant,
    activity: Arc<Activity>,
}

/// A clause that is being spoken.
struct Context {
    sink: Sink,
    pcm: Pcm,
    /// When its latest message came, or when it was requested.
    since: Instant,
    /// How long its next message may take from then on.
    bound: Duration,
    _counted: Counted,
}

/// Counts a clause while it is being spoken.
struct Counted(Arc<Activity>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.clauses.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Owner {
    /// Runs until nobody needs the connection any more, or it fails.
    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<()> {
        let mut closing = false;
        while !(closing && self.contexts.is_empty()) {
            let due = self.due();
            tokio::select! {
                // Messages that have arrived are read before a clause is considered late.
                biased;
                command = commands.recv(), if !closing => match command {
                    Some(Command::Begin { id, message, sink }) => self.begin(id, message, sink).await?,
                    Some(Command::Cancel { id }) => self.cancel(&id).await?,
                    None => closing = true,
                },
                frame = self.socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => self.hear(&text).await?,
                    Some(Ok(Frame::Binary(_))) => return Err(self.remote.protocol("a binary message")),
                    Some(Err(error)) => return Err(error),
                    None => return Err(self.remote.broke_off()),
                },
                () = sleep_until(due) => {
                    if self.contexts.is_empty() {
                        // Commands that were sent before this moment are still received.
                        commands.close();
                        self.heard = Instant::now();
                    } else {
                        self.expire().await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// When the first clause becomes late, or the connection has been idle for too long.
    fn due(&self) -> Instant {
        let due = self.contexts.values().map(|context| context.since + context.bound).min();
        due.unwrap_or(self.heard + IDLE)
    }

    async fn begin(&mut self, id: String, message: String, sink: Sink) -> Result<()> {
        if sink.is_unwanted() {
            return Ok(());
        }
        let since = Instant::now();
        if self.contexts.is_empty() {
            self.heard = since;
        }
        self.activity.clauses.fetch_add(1, Ordering::Relaxed);
        let context = Context {
            sink,
            pcm: Pcm::new(&self.remote, self.rate),
            since,
            bound: self.remote.bounds().first,
            _counted: Counted(self.activity.clone()),
        };
        self.contexts.insert(id, context);
        self.socket.send_text(message).await
    }

    /// Cancels a clause at the server.
    async fn cancel(&mut self, id: &str) -> Result<()> {
        if self.contexts.remove(id).is_none() {
            return Ok(());
        }
        self.activity.cancelled.fetch_add(1, Ordering::Relaxed);
        self.socket.send_text(wire::cancel(id)).await
    }

    /// Reads a message. One that cannot be parsed fails all clauses, because its clause is unknown.
    async fn hear(&mut self, text: &str) -> Result<()> {
        let wire::Answer { id, event } = wire::answer(&self.remote, text)?;
        self.heard = Instant::now();
        let Some(id) = id else {
            return if let Event::Failed(error) = event { Err(error) } else { Ok(()) };
        };
        // Audio of a cancelled clause may still come for a while.
        let Some(context) = self.contexts.get_mut(&id) else { return Ok(()) };
        context.since = self.heard;
        context.bound = self.remote.bounds().between;
        let taken = match event {
            Event::Audio(audio) => {
                context.pcm.push_base64(&audio).and_then(|samples| context.sink.push(&samples))
            }
            Event::Done => {
                self.finish(&id);
                return Ok(());
            }
            Event::Failed(error) => {
                context.sink.end(Err(error));
                self.contexts.remove(&id);
                return Ok(());
            }
            Event::Other => return Ok(()),
        };
        if let Err(error) = taken {
            context.sink.end(Err(error));
            self.cancel(&id).await?;
        }
        Ok(())
    }

    fn finish(&mut self, id: &str) {
        if let Some(Context { sink, pcm, .. }) = self.contexts.remove(id) {
            sink.end(pcm.end().and_then(|rest| sink.push(&rest)));
        }
    }

    /// Fails the clauses that are late, or the whole connection when no message at all came since a
    /// late one was requested.
    async fn expire(&mut self) -> Result<()> {
        let now = Instant::now();
        let late = |context: &Context| context.since + context.bound <= now;
        let ids: Vec<String> =
            self.contexts.iter().filter(|(_, context)| late(context)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let Some(Context { sink, since, bound, .. }) = self.contexts.get(&id) else { continue };
            let error = self.remote.late(*bound);
            if self.heard <= *since {
                return Err(error);
            }
            sink.end(Err(error));
            self.cancel(&id).await?;
        }
        Ok(())
    }
}
