//! How calls end: the goodbye of a server that stops, and the last messages.

use std::future::poll_fn;
use std::time::Duration;

use antiphon_core::call::Outbound;
use antiphon_core::dialog::Input;
use antiphon_core::{CallControl, CallEnd, HangUpReason, ReplyStatus};
use tokio::time::timeout;

use super::Session;
use super::begin::PendingReply;

/// How long the last messages, and the other side's answer to the close message, may take.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

impl Session {
    /// Ends the call because the server stops. The person hears the goodbye before, if `within` leaves time for it.
    pub(super) async fn farewell(&mut self, within: Duration) -> CallEnd {
        let goodbye = self.config.sayings.goodbye.clone();
        let silent = goodbye.trim().is_empty() || self.config.listening.transcribe_only;
        if !silent && !within.is_zero() {
            if !self.is_leaving() {
                self.stop_reply(ReplyStatus::Cancelled);
                self.input(Input::ReplyFinished);
                let goodbye = PendingReply::saying(self.turn(), goodbye);
                self.want(goodbye.then(CallControl::HangUp(HangUpReason::Draining)));
            }
            if let Ok(end) = timeout(within, self.live()).await {
                return end;
            }
        }
        self.hang_up(HangUpReason::Draining)
    }

    /// Whether the agent is saying goodbye already.
    fn is_leaving(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| matches!(reply.then, Some(CallControl::HangUp(_))))
    }

    /// Ends the call from the server's side.
    pub(super) fn hang_up(&mut self, reason: HangUpReason) -> CallEnd {
        self.transport.send(Outbound::Control(CallControl::HangUp(reason)));
        CallEnd::Server(reason)
    }

    /// Gives the last messages a moment to be sent, and the other side one to answer that the call is over.
    pub(super) async fn flush_last(&mut self) {
        let flushed = poll_fn(|cx| self.transport.poll_flush(cx));
        // The call is over whether or not they were sent.
        let _ = timeout(LAST_MESSAGES, flushed).await;
    }
}
