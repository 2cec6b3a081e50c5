//! Whole days of calls, with a cache that keeps each answer of each conversation for an hour.

use std::collections::HashMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const PATHS: usize = 50;
const TURN: Duration = Duration::from_secs(10);
const BETWEEN_CALLS: Duration = Duration::from_secs(20);
const KEPT: Duration = Duration::from_hours(1);

/// Fifty ways through a call of three or four questions. They share openings, as real ones do.
fn paths() -> Vec<Vec<String>> {
    let word = |n: usize| ["card", "account", "loan", "transfer", "statement"][n % 5];
    (0..PATHS)
        .map(|n| {
            let mut path = vec![
                format!("how do I open the {}", word(n)),
                format!("what does the {} cost {}", word(n), ["at home", "abroad"][n / 5 % 2]),
                format!("who signs for {} {}", word(n), ["me", "us", "them"][n / 10 % 3]),
            ];
            if n % 3 == 0 {
                path.push(format!("can I cancel {} paper", ["with", "without"][n / 25 % 2]));
            }
            path
        })
        .collect()
}

/// Path `n` is taken in proportion to 1/(n+1).
fn zipf(rng: &mut SmallRng) -> usize {
    let weight = |n: usize| 1.0 / (n + 1) as f64;
    let mut left = rng.random_range(0.0..(0..PATHS).map(weight).sum());
    (0..PATHS)
        .find(|&n| {
            left -= weight(n);
            left <= 0.0
        })
        .unwrap_or_default()
}

/// A service that is called.
struct Service {
    place: Place,
    /// Until when the answer at each point of a conversation is kept.
    kept: HashMap<String, Instant>,
    calls: usize,
    turns: usize,
    /// Turns whose answer was there, and those where it was there because it had just been prepared.
    answered: usize,
    foreseen: usize,
}

impl Service {
    fn new() -> Self {
        let place = place(ForesightBudget::default());
        Self { place, kept: HashMap::new(), calls: 0, turns: 0, answered: 0, foreseen: 0 }
    }

    /// Keeps the answer; whether it was there.
    fn keep(&mut self, said: &[String], next: &str) -> bool {
        let key = format!("{}|{next}", said.join("|"));
        let now = Instant::now();
        let until = self.kept.entry(key).or_insert(now);
        let there = now < *until;
        *until = if there { *until } else { now + KEPT };
        there
    }

    async fn call(&mut self, path: &[String]) {
        self.calls += 1;
        let (agent, by) = (agent("bank"), self.calls.to_string());
        for (at, text) in path.iter().enumerate() {
            let said = &path[..at];
            let before = said.last().map(String::as_str);
            let (mut already, mut made) = (Vec::new(), Vec::new());
            while let Some(next) = self.place.foresight.next(&agent, before, &already) {
                let there = self.keep(said, &next);
                let (took, outcome) = if there {
                    (Duration::ZERO, PreparationOutcome::Found)
                } else {
                    made.push(next.clone());
                    (2 * SECOND, DEAR)
                };
                self.place.foresight.prepared(&agent, &Preparation { question: &next, took, outcome });
                already.push(next);
            }
            tokio::time::advance(TURN).await;
            let from_cache = self.keep(said, text);
            self.turns += 1;
            self.answered += usize::from(from_cache);
            self.foreseen += usize::from(made.iter().any(|made| **made == **text));
            self.place.foresight.learn(&agent, &Said { by: &by, before, text, from_cache });
        }
        tokio::time::advance(BETWEEN_CALLS).await;
    }

    /// Since the last time: the shares of turns answered at once and foreseen, and of preparations that were used.
    fn figures(&mut self) -> [f64; 3] {
        let turns = self.turns as f64;
        let figures =
            [self.answered as f64 / turns, self.foreseen as f64 / turns, self.place.level("hit rate")];
        (self.turns, self.answered, self.foreseen) = (0, 0, 0);
        figures
    }
}

#[tokio::test(start_paused = true)]
async fn habits_are_foreseen() {
    let (paths, mut rng) = (paths(), SmallRng::seed_from_u64(1));
    let mut service = Service::new();
    for _ in 0..200 {
        service.call(&paths[zipf(&mut rng)]).await;
    }
    service.figures();
    for _ in 0..1_000 {
        service.call(&paths[zipf(&mut rng)]).await;
    }
    let [answered, foreseen, hit_rate] = service.figures();
    let (prepared, used) = (service.place.counter("prepared"), service.place.counter("prepared and used"));
    println!(
        "answered {answered:.3}, foreseen {foreseen:.3}; {used} of {prepared} used, lately {hit_rate:.2}"
    );
    assert!(false);
}

#[tokio::test(start_paused = true)]
async fn without_habits_hardly_anything_is_prepared() {
    let mut rng = SmallRng::seed_from_u64(2);
    let mut service = Service::new();
    for _ in 0..1_000 {
        let path: Vec<String> =
            (0..3).map(|_| format!("what about {}", "x".repeat(rng.random_range(1..100)))).collect();
        service.call(&path).await;
    }
    let prepared = service.place.counter("prepared");
    assert!(prepared < 30, "{prepared}");
}

#[tokio::test(start_paused = true)]
async fn when_habits_change_predictions_go_off_and_come_back() {
    let (paths, mut rng) = (paths(), SmallRng::seed_from_u64(3));
    let mut service = Service::new();
    for _ in 0..1_000 {
        service.call(&paths[zipf(&mut rng)]).await;
    }
    println!(
        "{:?} on {} prepared {}",
        service.figures(),
        service.place.level("on"),
        service.place.counter("prepared")
    );
    let questions: Vec<&String> = paths.iter().flatten().collect();
    let mut off = 0;
    for n in 0..1_000 {
        let path: Vec<String> =
            (0..3).map(|_| questions[rng.random_range(0..questions.len())].clone()).collect();
        service.call(&path).await;
        off += usize::from(service.place.level("on") == 0.0);
        if n % 100 == 0 {
            println!(
                "{:?} on {} prepared {}",
                service.figures(),
                service.place.level("on"),
                service.place.counter("prepared")
            );
        }
    }
    println!("off {off}");
    for n in 0..2_000 {
        service.call(&paths[zipf(&mut rng)]).await;
        if n % 200 == 0 {
            println!(
                "{:?} on {} prepared {}",
                service.figures(),
                service.place.level("on"),
                service.place.counter("prepared")
            );
        }
    }
    assert!(false);
}
