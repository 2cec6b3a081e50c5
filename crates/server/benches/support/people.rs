//! Several people who talk to the server at once.
#![allow(dead_code, reason = "each benchmark uses its share")]

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::server::Server;
use crate::speaker::{Clip, Speaker};

/// How many people talk.
pub(crate) const CALLS: usize = 4;

/// The waits of all turns, and how many were never answered.
#[derive(Default)]
pub(crate) struct Turns {
    waits: Vec<Duration>,
    pub(crate) lost: usize,
}

impl Turns {
    /// The wait that this share of the turns (0 to 1) did not exceed; `None` if none was answered.
    pub(crate) fn percentile(&self, share: f64) -> Option<Duration> {
        let mut waits = self.waits.clone();
        waits.sort();
        let at = ((waits.len() as f64 * share).ceil() as usize).saturating_sub(1);
        waits.get(at).copied()
    }
}

/// Several people talk at once.
pub(crate) async fn talk(server: &Arc<Server>, clips: &Arc<Vec<Clip>>, turns: usize) -> Turns {
    let mut people = JoinSet::new();
    for person in 0..CALLS {
        people.spawn(one_call(server.clone(), clips.clone(), person, turns));
    }
    let mut all = Turns::default();
    while let Some(person) = people.join_next().await {
        if let Ok(turns) = person {
            all.waits.extend(turns.waits);
            all.lost += turns.lost;
        }
    }
    all
}

/// One person takes some turns. Whoever gets no answer calls again.
async fn one_call(server: Arc<Server>, clips: Arc<Vec<Clip>>, person: usize, turns: usize) -> Turns {
    let mut measured = Turns::default();
    let mut speaker = None;
    for clip in clips.iter().cycle().skip(person * turns).take(turns) {
        if speaker.is_none() {
            speaker = Speaker::connect(&server.socket("/talk/ws")).await.ok();
        }
        let turn = match &mut speaker {
            Some(speaker) => speaker.turn(clip).await.ok(),
            None => None,
        };
        if let Some(turn) = turn {
            measured.waits.push(turn.total);
        } else {
            measured.lost += 1;
            speaker = None;
        }
    }
    measured
}
