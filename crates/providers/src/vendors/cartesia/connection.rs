//! Sends clauses to the WebSocket that they all share. A task owns it while it is open. When it was closed by an error
//! or for idleness, the next clause starts another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use antiphon_core::measure::{Component, Counter, Level};
use antiphon_core::{AudioChunk, Result, SampleRate, Stream, lock};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::command::{Activity, Command};
use super::{context, owner};
use crate::remote::Remote;

/// Commands that may wait while the connection is opened or written to: more calls than one connection can speak for.
const MOST_COMMANDS: usize = 256;

/// The current connection, or the next one.
pub(super) struct Connections {
    remote: Remote,
    rate: SampleRate,
    /// The commands to the task that owns the connection.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    activity: Arc<Activity>,
}

impl Component for Connections {
    fn name(&self) -> &'static str {
        "cartesia"
    }

    fn counters(&self) -> Vec<Counter> {
        let counter =
            |name: &'static str, value: &AtomicU64| Counter::new(name, value.load(Ordering::Relaxed));
        vec![
            counter("connections", &self.activity.connections),
            counter("cancelled", &self.activity.cancelled),
        ]
    }

    fn levels(&self) -> Vec<Level> {
        let value = self.activity.clauses.load(Ordering::Relaxed) as f64;
        vec![Level::new("being said", value, "clauses")]
    }
}

impl Connections {
    pub(super) fn new(remote: Remote, rate: SampleRate) -> Self {
        Self { remote, rate, commands: Mutex::default(), activity: Arc::default() }
    }

    /// Begins to speak a clause; returns its audio.
    pub(super) async fn begin(
        &self,
        id: String,
        message: String,
    ) -> Result<impl Stream<Item = Result<AudioChunk>> + use<>> {
        let bound = self.remote.bounds().connect;
        // A connection may end before it takes the command. Then the second attempt opens a new one.
        for _ in 0..2 {
            let commands = self.commands();
            let cancel = {
                let (commands, id) = (commands.clone(), id.clone());
                // When too many commands wait, the connection finds out with the next audio.
                move || drop(commands.try_send(Command::Cancel { id }))
            };
            let (sink, audio) = context::open(self.rate, self.remote.broke_off(), cancel);
            let begin = Command::Begin { id: id.clone(), message: message.clone(), sink };
            match timeout(bound, commands.send(begin)).await {
                Ok(Ok(())) => return Ok(audio),
                Ok(Err(_)) => {}
                Err(_) => return Err(self.remote.late(bound)),
            }
        }
        Err(self.remote.broke_off())
    }

    /// The commands to the open connection, or to a new one.
    fn commands(&self) -> mpsc::Sender<Command> {
        let mut current = lock(&self.commands);
        if let Some(commands) = current.as_ref().filter(|commands| !commands.is_closed()) {
            return commands.clone();
        }
        let (sender, receiver) = mpsc::channel(MOST_COMMANDS);
        let (remote, rate) = (self.remote.clone(), self.rate);
        tokio::spawn(owner::own(remote, rate, receiver, self.activity.clone()));
        *current = Some(sender.clone());
        sender
    }
}
