//! The task that owns a WebSocket: what comes is handed to its clause, and no clause waits for another.

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

/// Cartesia closes a connection that has been silent for five minutes. This one leaves a little earlier, so that no
/// clause is sent into a closing door.
const IDLE: Duration = Duration::from_secs(290);

/// Makes a connection and owns it until it ends.
pub(super) async fn own(
    remote: Remote,
    key: String,
    rate: SampleRate,
    mut commands: mpsc::Receiver<Command>,
    activity: Arc<Activity>,
) {
    let ended = match Socket::connect(&remote, wire::PATH, &[(wire::KEY, key)]).await {
        Err(error) => Err(error),
        Ok(socket) => {
            activity.connections.fetch_add(1, Ordering::Relaxed);
            let contexts = HashMap::new();
            let mut owner = Owner { socket, remote, rate, contexts, heard: Instant::now(), activity };
            let ended = owner.serve(&mut commands).await;
            // Before the clauses are told, so that whoever then asks again asks a new connection.
            commands.close();
            if let Err(error) = &ended {
                for (_, context) in owner.contexts.drain() {
                    context.sink.end(Err(error.clone()));
                }
            }
            ended
        }
    };
    // Whoever asked in the meantime is told the same.
    commands.close();
    while let Some(command) = commands.recv().await {
        if let (Command::Begin { sink, .. }, Err(error)) = (command, &ended) {
            sink.end(Err(error.clone()));
        }
    }
}

struct Owner {
    socket: Socket,
    remote: Remote,
    rate: SampleRate,
    contexts: HashMap<String, Context>,
    /// When the server last said anything, or was asked for anything while nothing was being said.
    heard: Instant,
    activity: Arc<Activity>,
}

/// A clause that is being said.
struct Context {
    sink: Sink,
    pcm: Pcm,
    /// When the server last said something of it, or was asked for it.
    since: Instant,
    /// How long it may be silent from then on.
    bound: Duration,
    _counted: Counted,
}

/// Counts a clause while it is being said.
struct Counted(Arc<Activity>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.clauses.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Owner {
    /// Until nobody needs the connection any more, or it fails.
    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<()> {
        let mut closing = false;
        while !(closing && self.contexts.is_empty()) {
            let due = self.due();
            tokio::select! {
                // What has come is heard before anything is called late.
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
                        // What was sent in this moment is still received, and said.
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

    /// When something must have come, or the connection is idle.
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

    /// Tells the server that a clause is no longer wanted.
    async fn cancel(&mut self, id: &str) -> Result<()> {
        if self.contexts.remove(id).is_none() {
            return Ok(());
        }
        self.activity.cancelled.fetch_add(1, Ordering::Relaxed);
        self.socket.send_text(wire::cancel(id)).await
    }

    /// A message came. One that cannot be read fails all clauses: nobody knows whose it is.
    async fn hear(&mut self, text: &str) -> Result<()> {
        let wire::Answer { id, event } = wire::answer(&self.remote, text)?;
        self.heard = Instant::now();
        let Some(id) = id else {
            return if let Event::Failed(error) = event { Err(error) } else { Ok(()) };
        };
        // What was cancelled may still come for a while.
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

    /// Fails the clauses of which nothing came in time; and the connection, when nothing at all came.
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
