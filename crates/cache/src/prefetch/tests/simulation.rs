//! Whole days of calls, with a cache that keeps the answer at each point of a conversation for a while.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const PATHS: usize = 50;
const TURN: Duration = Duration::from_secs(10);
const BETWEEN_CALLS: Duration = Duration::from_secs(20);
const KEPT: Duration = Duration::from_mins(15);

/// Fifty ways through a call of three or four questions. They share openings, as real ones do.
fn paths() -> Vec<Vec<String>> {
    let word = |n: usize| ["card", "account", "loan", "transfer", "statement"][n % 5];
    (0..PATHS)
        .map(|n| {
            let mut path = vec![
                format!("how do I open the {}", word(n)),
                format!("what does the {} cost {}", word(n), ["at home", "abroad"][n / 5 % 2]),
                format!("who signs for {} {}", word(n), ["me", "us", "them", "you", "her"][n / 10]),
            ];
            if n % 3 == 0 {
                path.push("can I cancel without paper".to_owned());
            }
            path
        })
        .collect()
}

/// Path `n` is taken in proportion to 1/(n+1).
fn zipf(rng: &mut SmallRng) -> usize {
    let weight = |n: usize| 1.0 / (n + 1) as f64;
    let mut left = rng.random_range(0.0..(0..PATHS).map(weight).sum());
    let at_it = |n: &usize| {
        left -= weight(*n);
        left <= 0.0
    };
    (0..PATHS).find(at_it).unwrap_or_default()
}

/// A simulated service with its cache and the counts of its calls.
struct Service {
    place: Place,
    prefetches: bool,
    /// The time until which each answer is kept.
    answers: HashMap<(u64, String), Instant>,
    calls: usize,
    turns: usize,
    answered: usize,
}

impl Service {
    fn new(prefetches: bool) -> Self {
        let place = place(PrefetchBudget::default());
        Self { place, prefetches, answers: HashMap::new(), calls: 0, turns: 0, answered: 0 }
    }

    async fn calls(&mut self, paths: impl Iterator<Item = &Vec<String>>) {
        for path in paths {
            self.call(path).await;
        }
    }

    async fn call(&mut self, path: &[String]) {
        self.calls += 1;
        let (agent, by) = (agent("bank"), self.calls.to_string());
        for (at, text) in path.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| path[at].as_str());
            let mut hasher = DefaultHasher::new();
            path[..at].hash(&mut hasher);
            let after = hasher.finish();
            if self.prefetches {
                self.prefetch(&agent, before, after);
            }
            tokio::time::advance(TURN).await;
            let from_cache = self.keep(after, text);
            self.turns += 1;
            self.answered += usize::from(from_cache);
            self.place
                .prefetcher
                .learn(&agent, &AnsweredQuestion { by: &by, before, after, text, from_cache });
        }
        tokio::time::advance(BETWEEN_CALLS).await;
    }

    fn prefetch(&mut self, agent: &AgentVersion, before: Option<&str>, after: u64) {
        let mut already = Vec::new();
        while let Some(next) = self.place.prefetcher.next(agent, before, &already) {
            let (took, outcome) = if self.keep(after, &next) {
                (Duration::ZERO, PrefetchOutcome::Found)
            } else {
                (2 * SECOND, DEAR)
            };
            self.place.prefetcher.finished(agent, &Prefetched { question: &next, after, took, outcome });
            already.push(next);
        }
    }

    /// Keeps the answer. True if it was kept already.
    fn keep(&mut self, after: u64, next: &str) -> bool {
        let now = Instant::now();
        let until = self.answers.entry((after, next.to_owned())).or_insert(now);
        let there = now < *until;
        if !there {
            *until = now + KEPT;
        }
        there
    }

    /// The share of turns whose answer was there.
    fn answered(&self) -> f64 {
        self.answered as f64 / self.turns as f64
    }

    /// The share of prefetched answers that were used.
    fn hit_rate(&self) -> f64 {
        self.place.counter("prepared and used") as f64 / self.place.counter("prepared") as f64
    }

    fn is_on(&self) -> bool {
        self.place.level("on") == 1.0
    }
}

#[tokio::test(start_paused = true)]
async fn habits_are_predicted() {
    let (paths, mut rng) = (paths(), SmallRng::seed_from_u64(1));
    let taken: Vec<&Vec<String>> = (0..1_000).map(|_| &paths[zipf(&mut rng)]).collect();
    let (mut alone, mut prefetched) = (Service::new(false), Service::new(true));
    alone.calls(taken.iter().copied()).await;
    prefetched.calls(taken.into_iter()).await;
    let (without, with, hit_rate) = (alone.answered(), prefetched.answered(), prefetched.hit_rate());
    println!("answered at once: {without:.3}, with predictions {with:.3}; {hit_rate:.2} of them used");
    assert!(with > without + 0.1 && hit_rate > 0.5, "{without} {with} {hit_rate}");
    assert!(prefetched.is_on());
}

#[tokio::test(start_paused = true)]
async fn without_habits_little_is_prefetched_and_that_ends() {
    let mut rng = SmallRng::seed_from_u64(2);
    let mut question = || format!("what about {}", "x".repeat(rng.random_range(1..100)));
    let calls: Vec<Vec<String>> = (0..1_000).map(|_| [(); 3].map(|()| question()).to_vec()).collect();
    let mut service = Service::new(true);
    service.calls(calls.iter()).await;
    let [prepared, refused] = ["prepared", "skipped as not paying"].map(|name| service.place.counter(name));
    println!("{prepared} prepared for 3,000 turns, {refused} refused");
    assert!(prepared < 100 && refused > 0, "{prepared} {refused}");
}

#[tokio::test(start_paused = true)]
async fn when_habits_change_predictions_go_off_and_come_back() {
    let (paths, mut rng) = (paths(), SmallRng::seed_from_u64(3));
    let mut service = Service::new(true);
    for _ in 0..500 {
        service.call(&paths[zipf(&mut rng)]).await;
    }
    assert!(service.is_on());
    let questions: Vec<&String> = paths.iter().flatten().collect();
    let mut rested = 0;
    for _ in 0..500 {
        let path = [(); 3].map(|()| questions[rng.random_range(0..questions.len())].clone());
        service.call(&path).await;
        rested += u32::from(!service.is_on());
    }
    assert!(rested > 300, "{rested} of 500 calls");
    for _ in 0..1_000 {
        service.call(&paths[zipf(&mut rng)]).await;
    }
    println!("rested in {rested} of 500 calls; in all {:.2} used", service.hit_rate());
    assert!(service.is_on() && service.hit_rate() > 0.5, "{}", service.hit_rate());
}
