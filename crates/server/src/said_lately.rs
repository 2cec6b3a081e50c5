//! What agents said lately, by the ids of their messages.
//!
//! Responses are not stored, but some clients (the AI SDK) refer at once to the message that they just got instead of sending it
//! again. So what was said is kept for a while, a bounded amount of it, for whoever was told it and nobody else.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use antiphon_core::{Requester, lock};
use tokio::time::Instant;

/// For how long a message is kept: as long as somebody may take to answer in writing.
const LONGEST: Duration = Duration::from_hours(1);
/// Bytes that are kept in all, and for one requester.
const MOST: usize = 8 << 20;
const MOST_EACH: usize = 512 << 10;
/// Messages that are kept for one requester: nobody crowds out what others were told.
const MOST_MESSAGES_EACH: usize = 256;
/// Messages that are kept in all. All of them are looked through, which takes some 10 us.
const MOST_MESSAGES: usize = 4_096;

/// What agents said in writing within the last hour, as far as there is room.
#[derive(Default)]
pub(crate) struct SaidLately(Mutex<Messages>);

#[derive(Default)]
struct Messages {
    /// The oldest first.
    queue: VecDeque<KeptMessage>,
    bytes: usize,
}

struct KeptMessage {
    whose: Requester,
    id: String,
    text: String,
    at: Instant,
}

impl SaidLately {
    /// Keeps what somebody was told.
    pub(crate) fn keep(&self, whose: &Requester, id: &str, text: &str) {
        if text.len() <= MOST_EACH {
            let message = KeptMessage {
                whose: whose.clone(),
                id: id.to_owned(),
                text: text.to_owned(),
                at: Instant::now(),
            };
            lock(&self.0).add(message);
        }
    }

    /// What this requester was told under this id.
    pub(crate) fn find(&self, whose: &Requester, id: &str) -> Option<String> {
        let mut messages = lock(&self.0);
        messages.forget_old();
        let found = messages.queue.iter().find(|message| message.id == id && message.whose == *whose);
        found.map(|message| message.text.clone())
    }
}

impl Messages {
    fn add(&mut self, message: KeptMessage) {
        self.forget_old();
        let own = |kept: &KeptMessage| kept.whose == message.whose;
        let owned = || self.queue.iter().filter(|kept| own(kept)).map(|kept| kept.text.len());
        let (mut count, mut bytes) = (owned().count(), owned().sum::<usize>());
        while bytes + message.text.len() > MOST_EACH || count >= MOST_MESSAGES_EACH {
            let Some(at) = self.queue.iter().position(own) else { break };
            bytes -= self.remove(at);
            count -= 1;
        }
        self.bytes += message.text.len();
        self.queue.push_back(message);
        while self.bytes > MOST || self.queue.len() > MOST_MESSAGES {
            self.remove(0);
        }
    }

    fn forget_old(&mut self) {
        while self.queue.front().is_some_and(|message| message.at.elapsed() > LONGEST) {
            self.remove(0);
        }
    }

    /// Forgets a message; gives its length in bytes.
    fn remove(&mut self, at: usize) -> usize {
        let length = self.queue.remove(at).map_or(0, |message| message.text.len());
        self.bytes -= length;
        length
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use antiphon_core::{Share, TenantId};

    use super::*;

    fn somebody(last: u8) -> Requester {
        let share = Share::Address(Ipv4Addr::new(10, 0, 0, last).into());
        Requester { tenant: TenantId::only(), share, is_for_person: false }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_found_by_whom_it_was_said_to_for_a_while() {
        let kept = SaidLately::default();
        kept.keep(&somebody(1), "msg_1", "Hello.");
        assert_eq!(kept.find(&somebody(1), "msg_1").as_deref(), Some("Hello."));
        assert_eq!(kept.find(&somebody(2), "msg_1"), None, "it was said to somebody else");
        tokio::time::advance(LONGEST + Duration::from_secs(1)).await;
        assert_eq!(kept.find(&somebody(1), "msg_1"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_for_each_and_in_all() {
        let kept = SaidLately::default();
        let long = "a".repeat(MOST_EACH / 2);
        kept.keep(&somebody(0), "other", "Hello.");
        for id in ["1", "2", "3"] {
            kept.keep(&somebody(1), id, &long);
        }
        let found = |id: &str| kept.find(&somebody(1), id).is_some();
        assert_eq!((found("1"), found("2"), found("3")), (false, true, true));
        assert!(kept.find(&somebody(0), "other").is_some(), "nobody else lost anything");
        for n in 0..2 * MOST_MESSAGES {
            kept.keep(&somebody(1), &n.to_string(), "Hi.");
        }
        assert!(kept.find(&somebody(0), "other").is_some(), "short messages crowd nobody out either");
        for last in 2..=255 {
            kept.keep(&somebody(last), "4", &long);
        }
        let messages = lock(&kept.0);
        assert!(messages.bytes <= MOST && messages.queue.len() == MOST / long.len());
        assert_eq!(messages.bytes, messages.queue.iter().map(|message| message.text.len()).sum::<usize>());
    }
}
