//! What predictions find of what is said next: `cargo bench -p antiphon-cache --bench prefetch`, with the folder of the test
//! data in `ANTIPHON_TESTDATA`.
//!
//! Each dialogue is replayed turn by turn and predicted only from those before it. A reply is kept for the very conversation
//! it was made in, as `CachedLlm` does; a prefetch is taken to cost 2 s of engines and to save 0.6 s of waiting.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints figures, and stops when anything is amiss"
)]

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use antiphon_cache::{Cache, CacheOptions, Kind, PrefetchBudget, Prefetcher};
use antiphon_core::measure::Component;
use antiphon_core::{AgentVersion, AnsweredQuestion, Prefetch, PrefetchOutcome, Prefetched};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, advance};

/// The time between two turns of a person.
const TURN: Duration = Duration::from_secs(12);
const TOOK: Duration = Duration::from_secs(2);
const SAVES: Duration = Duration::from_millis(600);
/// Calls of the synthetic service.
const CALLS: usize = 3_000;
/// The probability that a call ends after a turn.
const ENDS: f64 = 0.35;
/// The probabilities of a question's habitual followers; otherwise the next question is drawn like a first one.
const FOLLOWS: [f64; 3] = [0.4, 0.2, 0.1];

type Dialogue = Vec<String>;

fn main() -> std::io::Result<()> {
    let data = antiphon_testkit::large_testdata();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    println!(
        "{:<42} {:>6} {:>6} {:>7} {:>8} {:>9} {:>7} {:>7} {:>5}",
        "", "turns", "known", "cached", "+ ahead", "prepared", "next", "used", "on"
    );
    let hours = Duration::from_hours;
    let rows = [
        ("DSTC10, spoken tourist dialogues", dstc10(&data)?, hours(24)),
        ("LoCoMo, chat between friends", locomo(&data)?, hours(24)),
        ("banking, 1 phrasing an intent, kept 1 h", banking(&data, 1)?, hours(1)),
        ("banking, 3 phrasings an intent, kept 1 h", banking(&data, 3)?, hours(1)),
        ("banking, 10 phrasings an intent, kept 1 h", banking(&data, 10)?, hours(1)),
        ("banking, 1 phrasing an intent, kept 24 h", banking(&data, 1)?, hours(24)),
        ("banking, 3 phrasings an intent, kept 24 h", banking(&data, 3)?, hours(24)),
        ("banking, 10 phrasings an intent, kept 24 h", banking(&data, 10)?, hours(24)),
    ];
    for (name, dialogues, kept) in rows {
        let alone = runtime.block_on(Replay::new(kept, false).run(&dialogues));
        let prefetched = runtime.block_on(Replay::new(kept, true).run(&dialogues));
        println!(
            "{name:<42} {:>6} {:>5.1}% {:>6.1}% {:>7.1}% {:>9} {:>6.1}% {:>6.1}% {:>4.0}%",
            alone.turns,
            alone.share(alone.known),
            alone.share(alone.answered),
            prefetched.share(prefetched.answered),
            prefetched.prepared,
            prefetched.of_prepared(prefetched.next),
            prefetched.of_prepared(prefetched.used),
            prefetched.share(prefetched.on),
        );
    }
    println!(
        "\nknown: turns that were said before in any dialogue; cached: answered from the cache; + ahead: with predictions;"
    );
    println!(
        "next, used: of those prepared, asked at once, and by anybody; on: turns at which predictions were on"
    );
    Ok(())
}

/// The figures of a replay.
#[derive(Default)]
struct Figures {
    turns: u32,
    known: u32,
    answered: u32,
    prepared: u32,
    /// Prefetched answers that were asked for right after the same pause.
    next: u32,
    used: u32,
    on: u32,
}

impl Figures {
    fn share(&self, part: u32) -> f64 {
        100.0 * f64::from(part) / f64::from(self.turns.max(1))
    }

    fn of_prepared(&self, part: u32) -> f64 {
        100.0 * f64::from(part) / f64::from(self.prepared.max(1))
    }
}

/// A simulated service and its cache.
struct Replay {
    prefetch: Option<Prefetcher>,
    agent: AgentVersion,
    /// The time until which the answer at each point of a conversation is kept.
    answers: HashMap<String, Instant>,
    kept: Duration,
    said: HashSet<String>,
    figures: Figures,
}

impl Replay {
    fn new(kept: Duration, prefetches: bool) -> Self {
        let cache = |kind| {
            let options = CacheOptions { kind, max_bytes: 64 << 20, ttl: kept };
            Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)))
        };
        let prefetch = prefetches.then(|| {
            let (replies, speech) = (cache(Kind::Reply), cache(Kind::Speech));
            Prefetcher::new(PrefetchBudget::default(), replies, speech, Arc::new(|| true))
        });
        Self {
            prefetch,
            agent: AgentVersion::new("tenant".into(), ""),
            answers: HashMap::new(),
            kept,
            said: HashSet::new(),
            figures: Figures::default(),
        }
    }

    async fn run(mut self, dialogues: &[Dialogue]) -> Figures {
        for (n, dialogue) in dialogues.iter().enumerate() {
            let mut so_far = String::new();
            for (at, text) in dialogue.iter().enumerate() {
                let before = at.checked_sub(1).map(|at| dialogue[at].as_str());
                let made = self.prefetch_all(&so_far, before);
                advance(TURN).await;
                self.turn(&mut so_far, (&n.to_string(), before, text), &made);
            }
            advance(TURN * 2).await;
        }
        let used =
            |prefetch: &Prefetcher| prefetch.counters().into_iter().find(|it| it.name == "prepared and used");
        self.figures.used = self.prefetch.as_ref().and_then(used).map_or(0, |used| used.value as u32);
        self.figures
    }

    fn prefetch_all(&mut self, so_far: &str, before: Option<&str>) -> Vec<String> {
        let Some(prefetch) = self.prefetch.take() else { return Vec::new() };
        let (mut already, mut made) = (Vec::new(), Vec::new());
        while let Some(next) = prefetch.next(&self.agent, before, &already) {
            let (took, outcome) = if self.keep(so_far, &next) {
                (Duration::ZERO, PrefetchOutcome::Found)
            } else {
                made.push(words(&next));
                (TOOK, PrefetchOutcome::Made { saves: SAVES, clauses: 3 })
            };
            prefetch
                .finished(&self.agent, &Prefetched { question: &next, after: hash(so_far), took, outcome });
            already.push(next);
        }
        self.prefetch = Some(prefetch);
        self.figures.prepared += made.len() as u32;
        made
    }

    fn turn(&mut self, so_far: &mut String, said: (&str, Option<&str>, &str), made: &[String]) {
        let (by, before, text) = said;
        let from_cache = self.keep(so_far, text);
        self.figures.turns += 1;
        self.figures.answered += u32::from(from_cache);
        self.figures.next += u32::from(made.contains(&words(text)));
        self.figures.known += u32::from(!self.said.insert(words(text)));
        if let Some(prefetch) = &self.prefetch {
            prefetch
                .learn(&self.agent, &AnsweredQuestion { by, before, after: hash(so_far), text, from_cache });
            let on = prefetch.levels().iter().any(|level| level.name == "on" && level.value == 1.0);
            self.figures.on += u32::from(on);
        }
        so_far.push_str(&words(text));
        so_far.push('|');
    }

    /// Keeps an answer; true if it was kept already.
    fn keep(&mut self, so_far: &str, next: &str) -> bool {
        let now = Instant::now();
        let until = self.answers.entry(format!("{so_far}{}", words(next))).or_insert(now);
        let there = now < *until;
        if !there {
            *until = now + self.kept;
        }
        there
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The words of a text in lower case, without punctuation.
fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// What tourists said to an agent on the telephone, as it was recognised. The corpus holds the beginnings of some dialogues as
/// dialogues of their own: those are left out.
fn dstc10(data: &std::path::Path) -> std::io::Result<Vec<Dialogue>> {
    let file = std::fs::read_to_string(data.join("knowledge_dstc10/dialogues.jsonl"))?;
    let said = |line: &str| {
        let dialogue: Value = serde_json::from_str(line).expect("a dialogue a line");
        let turns = dialogue["turns"].as_array().expect("turns").iter();
        turns.filter(|turn| turn["speaker"] == "U").map(|turn| text(turn).to_owned()).collect()
    };
    let all: Vec<Dialogue> = file.lines().map(said).collect();
    let begins_another = |one: &Dialogue| all.iter().any(|other| other != one && other.starts_with(one));
    Ok(all.iter().filter(|one| !begins_another(one)).cloned().collect())
}

/// What the first of two friends wrote, each time a dialogue.
fn locomo(data: &std::path::Path) -> std::io::Result<Vec<Dialogue>> {
    let mut dialogues = Vec::new();
    for name in ["26", "41", "43", "47", "49"] {
        let file = std::fs::read_to_string(data.join(format!("memory_locomo/{name}.json")))?;
        let file: Value = serde_json::from_str(&file).expect("JSON");
        let sessions = (1..).map_while(|n| file[format!("session_{n}")].as_array());
        dialogues.extend(sessions.map(|turns| {
            let mine = turns.iter().filter(|turn| turn["speaker"] == file["speaker_a"]);
            mine.map(|turn| text(turn).to_owned()).collect()
        }));
    }
    Ok(dialogues)
}

fn text(turn: &Value) -> &str {
    turn["text"].as_str().expect("a text")
}

/// Customers of a bank: intents by Zipf's law, each with as many phrasings, again by Zipf's law, and habitual followers.
fn banking(data: &std::path::Path, phrasings: usize) -> std::io::Result<Vec<Dialogue>> {
    let file = std::fs::read_to_string(data.join("banking_questions/questions.csv"))?;
    let mut intents: Vec<(String, Vec<String>)> = Vec::new();
    for line in file.lines().skip(1) {
        let Some((text, intent)) = line.rsplit_once(',') else { continue };
        let text = text.trim_matches('"').to_owned();
        match intents.iter_mut().find(|(known, _)| known == intent) {
            Some((_, texts)) if texts.len() < phrasings => texts.push(text),
            Some(_) => {}
            None => intents.push((intent.to_owned(), vec![text])),
        }
    }
    let mut rng = SmallRng::seed_from_u64(7);
    let followers: Vec<[usize; 3]> =
        intents.iter().map(|_| [(); 3].map(|()| rng.random_range(0..intents.len()))).collect();
    let call = |_| {
        let (mut dialogue, mut intent) = (Vec::new(), zipf(&mut rng, intents.len()));
        loop {
            let texts = &intents[intent].1;
            dialogue.push(texts[zipf(&mut rng, texts.len())].clone());
            if rng.random_bool(ENDS) {
                return dialogue;
            }
            intent = follower(&mut rng, &followers[intent], intents.len());
        }
    };
    Ok((0..CALLS).map(call).collect())
}

fn follower(rng: &mut SmallRng, followers: &[usize; 3], intents: usize) -> usize {
    let mut left = rng.random_range(0.0..1.0);
    for (follower, probability) in followers.iter().zip(FOLLOWS) {
        left -= probability;
        if left < 0.0 {
            return *follower;
        }
    }
    zipf(rng, intents)
}

/// Draws one of `n`, the k-th with a probability proportional to 1/k.
fn zipf(rng: &mut SmallRng, n: usize) -> usize {
    let weight = |k: usize| 1.0 / (k + 1) as f64;
    let mut left = rng.random_range(0.0..(0..n).map(weight).sum());
    for k in 0..n {
        left -= weight(k);
        if left < 0.0 {
            return k;
        }
    }
    n - 1
}
