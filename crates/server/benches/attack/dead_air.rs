//! Section C, no dead air: the language model misbehaves while four people talk to the server. A line tells how long one of them
//! waited for the first sample of a reply at most, how long one heard nothing within a reply, and what was said in the worst turn.

mod endings;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::people::CALLS;
use crate::server::Server;
use crate::speaker::{Clip, HeardTurn, Speaker};
use crate::upstream::{Behaviour, Upstream};
use crate::{Attack, Bench, milliseconds};

/// Turns that each person takes.
const TURNS: usize = 2;
/// How long a person listens to a reply: longer than the server waits for a model that says nothing. Whoever has heard nothing by
/// then has lost the turn.
const LISTENS: Duration = Duration::from_secs(25);
/// What is embedded is the voice, so that clauses last as long as they do in calls. Replies are not cached, what the agent says by
/// itself is.
const SETTINGS: &str = r#"
[turn]
engine = "silence"
[stt]
engine = "sim"
[embed]
engine = "sim"
[memory]
enabled = false
[cache]
reply = "off"
disk = false
[telemetry]
log = "error"
"#;
/// How much of a reply is shown, in characters of its beginning and of its end.
const SHOWN_BEGINNING: usize = 30;
const SHOWN_END: usize = 50;

/// What could make a caller hear nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadAir {
    /// The language model misbehaves.
    Model(Behaviour),
    /// A client closes its WebSocket, and waits for the answer.
    Close,
    /// Somebody presses keys in one go.
    Keys,
}

impl Attack for DeadAir {
    const SECTION: &str = "C";
    const TITLE: &str = "no dead air: the language model misbehaves while four people talk to the server";
    const HEADER: &[&str] =
        &["attack", "worst wait ms", "longest silence ms", "turns lost", "in the worst turn"];
    const ALL: &[Self] = &[
        Self::Model(Behaviour::Answers),
        Self::Model(Behaviour::BreaksOff),
        Self::Model(Behaviour::StallsBefore),
        Self::Model(Behaviour::StallsWithin),
        Self::Model(Behaviour::SaysNothing),
        Self::Model(Behaviour::Drips),
        Self::Model(Behaviour::NeverEnds),
        Self::Model(Behaviour::LongWord),
        Self::Model(Behaviour::Refuses),
        Self::Model(Behaviour::Fails),
        Self::Model(Behaviour::Thinks),
        Self::Close,
        Self::Keys,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Model(Behaviour::Answers | Behaviour::RevealsPin) => "a model that answers",
            Self::Model(Behaviour::BreaksOff) => "a model that breaks off in a sentence",
            Self::Model(Behaviour::StallsBefore) => "a model that stalls before the first word",
            Self::Model(Behaviour::StallsWithin) => "a model that stalls in a sentence",
            Self::Model(Behaviour::SaysNothing) => "a model that answers nothing",
            Self::Model(Behaviour::Drips) => "a model that says a word a second",
            Self::Model(Behaviour::NeverEnds) => "a model that never ends",
            Self::Model(Behaviour::LongWord) => "a model that writes no space",
            Self::Model(Behaviour::Refuses) => "a model that refuses connections",
            Self::Model(Behaviour::Fails) => "a model that answers 500",
            Self::Model(Behaviour::Thinks) => "a model that thinks aloud",
            Self::Close => "a WebSocket's Close",
            Self::Keys => "4821# pressed in one go",
        }
    }

    async fn row(self, bench: &Bench) -> anyhow::Result<Vec<String>> {
        let happened = match self {
            Self::Model(behaviour) => return misbehaving(behaviour, bench).await,
            Self::Close => endings::close(bench).await?,
            Self::Keys => endings::keys(bench).await?,
        };
        Ok([vec!["-".to_owned(); 3], vec![happened]].concat())
    }
}

/// Four people talk to a server whose language model behaves like this.
async fn misbehaving(behaviour: Behaviour, bench: &Bench) -> anyhow::Result<Vec<String>> {
    let upstream = Upstream::start(behaviour).await?;
    let settings = format!("[llm]\n{}{SETTINGS}", upstream.engine());
    let server = Arc::new(Server::start_apart(&bench.program, &settings)?);
    let mut people = JoinSet::new();
    for person in 0..CALLS {
        people.spawn(one_call(server.clone(), bench.clips.clone(), person));
    }
    let turns: Vec<Option<HeardTurn>> = people.join_all().await.into_iter().flatten().collect();
    let heard = || turns.iter().flatten();
    let worst = turns.iter().max_by_key(|turn| badness(turn.as_ref()));
    let mut shown = worst.map(|turn| in_words(turn.as_ref())).unwrap_or_default();
    if behaviour == Behaviour::NeverEnds {
        shown = format!("{shown}, {} words were taken", upstream.most_words());
    }
    Ok(vec![
        milliseconds(heard().filter_map(|turn| turn.wait).max()),
        milliseconds(heard().filter(|turn| turn.wait.is_some()).map(|turn| turn.silence).max()),
        turns.iter().filter(|turn| is_lost(turn.as_ref())).count().to_string(),
        shown,
    ])
}

/// The turns of one person. Whoever is hung up on has lost the turn, and calls again.
async fn one_call(server: Arc<Server>, clips: Arc<Vec<Clip>>, person: usize) -> Vec<Option<HeardTurn>> {
    let (mut turns, mut speaker) = (Vec::new(), None);
    for clip in clips.iter().cycle().skip(person * TURNS).take(TURNS) {
        if speaker.is_none() {
            speaker = Speaker::connect(&server.socket("/talk/ws")).await.ok();
        }
        let turn = match &mut speaker {
            Some(speaker) => speaker.hear_out(clip, LISTENS).await.ok(),
            None => None,
        };
        if turn.is_none() {
            speaker = None;
        }
        turns.push(turn);
    }
    turns
}

fn is_lost(turn: Option<&HeardTurn>) -> bool {
    turn.is_none_or(|turn| turn.wait.is_none())
}

/// Turns in order of how bad they were: lost ones are the worst, then those with the longest time in which nothing was heard.
fn badness(turn: Option<&HeardTurn>) -> (bool, Duration) {
    let silence = turn.map_or(Duration::ZERO, |turn| turn.wait.unwrap_or_default().max(turn.silence));
    (is_lost(turn), silence)
}

/// What was heard in a turn.
fn in_words(turn: Option<&HeardTurn>) -> String {
    let Some(turn) = turn else { return "was hung up on".to_owned() };
    if turn.wait.is_none() {
        return format!("heard nothing for {} s", LISTENS.as_secs());
    }
    let words = abbreviated(&turn.said);
    if turn.finished {
        format!("heard \"{words}\"")
    } else {
        format!("heard \"{words}\", and it was not over after {} s", LISTENS.as_secs())
    }
}

/// The beginning and the end of a text.
fn abbreviated(text: &str) -> String {
    let text: Vec<char> = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.len() <= SHOWN_BEGINNING + SHOWN_END {
        return text.into_iter().collect();
    }
    let (beginning, end) = (&text[..SHOWN_BEGINNING], &text[text.len() - SHOWN_END..]);
    beginning.iter().chain(&[' ', '…', ' ']).chain(end).collect()
}
