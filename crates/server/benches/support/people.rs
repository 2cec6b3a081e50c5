//! Several people who talk to the server at once.
#![allow(dead_code, reason = "each benchmark uses its share")]

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::server::Server;
use crate::speaker::{Clip, Speaker, Turn};

/// When somebody who was refused calls again.
const CALLS_AGAIN: Duration = Duration::from_secs(1);
/// How many people talk to embedded models, which is what two cores hold.
pub(crate) const CALLS: usize = 4;

/// All turns, and how many more were never answered.
#[derive(Default)]
pub(crate) struct Turns {
    answered: Vec<Turn>,
    pub(crate) lost: usize,
}

impl Turns {
    /// The wait that this share of the turns (0 to 1) did not exceed; `None` if none was answered.
    pub(crate) fn percentile(&self, share: f64) -> Option<Duration> {
        self.percentile_of(share, |turn| Some(turn.total))
    }

    /// The same of what the server reports of one stage.
    pub(crate) fn percentile_of_stage(&self, share: f64, stage: &str) -> Option<Duration> {
        self.percentile_of(share, |turn| turn.stages.get(stage).copied())
    }

    fn percentile_of(&self, share: f64, time: impl Fn(&Turn) -> Option<Duration>) -> Option<Duration> {
        let mut times: Vec<Duration> = self.answered.iter().filter_map(time).collect();
        times.sort();
        let at = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1);
        times.get(at).copied()
    }
}

/// So many people talk at once.
pub(crate) async fn talk(server: &Arc<Server>, clips: &Arc<Vec<Clip>>, calls: usize, turns: usize) -> Turns {
    let mut people = JoinSet::new();
    for person in 0..calls {
        people.spawn(one_call(server.clone(), clips.clone(), person, turns));
    }
    let mut all = Turns::default();
    while let Some(person) = people.join_next().await {
        if let Ok(turns) = person {
            all.answered.extend(turns.answered);
            all.lost += turns.lost;
        }
    }
    all
}

/// One person takes some turns. Whoever gets no answer calls again, and so does whoever is refused, a little later.
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
            measured.answered.push(turn);
        } else {
            measured.lost += 1;
            speaker = None;
            tokio::time::sleep(CALLS_AGAIN).await;
        }
    }
    measured
}
