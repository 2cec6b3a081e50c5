use antiphon_core::measure::{Histogram, Level};

use super::*;

const TICK: u64 = 10;

/// A server whose measurements are made up, in virtual time.
struct Server {
    alerts: Alerts,
    now: u64,
    changes: Vec<Alert>,
}

struct Queue;

impl Component for Queue {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn levels(&self) -> Vec<Level> {
        vec![Level::new("waiting", 0.0, "jobs").with_limit(100.0)]
    }
}

impl Server {
    fn new() -> Self {
        Self { alerts: Alerts::default(), now: 1_000_000, changes: Vec::new() }
    }

    fn run(&mut self, minutes: u64, ms: impl Fn(u64) -> u64, errors: u64, levels: &[(Key, f64)]) {
        for tick in 0..minutes * 60 / TICK {
            let histogram = Histogram::default();
            (0..20).for_each(|n| histogram.record(Duration::from_millis(ms(tick) + n % 3)));
            let spans = Spans { spans: histogram.snapshot(), errors };
            let period = Period {
                at: self.now,
                length: Duration::from_secs(TICK),
                stages: [(Key::new("stt", "run"), spans)].into(),
                levels: levels.iter().cloned().collect(),
            };
            self.now += TICK;
            self.changes.extend(self.alerts.judge(&period, &[Arc::new(Queue)]));
        }
    }

    fn told(&mut self) -> Vec<(Rule, AlertState)> {
        self.changes.drain(..).map(|alert| (alert.rule, alert.state)).collect()
    }
}

#[test]
fn a_stage_that_becomes_slower_than_it_was_fires_once_and_ends_once() {
    let mut server = Server::new();
    server.run(120, |_| 100, 0, &[]);
    assert_eq!(server.told(), [], "as ever");
    server.run(30, |_| 300, 0, &[]);
    let fired = server.changes[0].clone();
    assert_eq!(server.told(), [(Rule::Latency, AlertState::Firing)]);
    assert_eq!((fired.subject.as_str(), fired.unit.as_str()), ("stt run", "ms"));
    assert!((fired.threshold / 150.0 - 1.0).abs() < 0.05, "{fired:?}");
    assert!(fired.message.contains("baseline of 10"), "{}", fired.message);
    server.run(30, |_| 100, 0, &[]);
    assert_eq!(server.told(), [(Rule::Latency, AlertState::Resolved)]);
    let kept: Vec<&Alert> = server.alerts.latest().collect();
    assert!(kept.len() == 1 && kept[0].until.is_some_and(|until| until > kept[0].since));
}

#[test]
fn what_goes_up_and_down_does_not_flap() {
    let mut server = Server::new();
    server.run(120, |_| 100, 0, &[]);
    // In every two minutes, twenty seconds are bad.
    server.run(60, |tick| if tick % 12 < 2 { 105 } else { 100 }, 0, &[]);
    assert_eq!(server.told(), []);
    // Three minutes are bad and three are well, in turn: that is one alert, which continues.
    server.run(60, |tick| if (tick / 18) % 2 == 0 { 400 } else { 100 }, 0, &[]);
    assert_eq!(server.told(), [(Rule::Latency, AlertState::Firing)]);
}

#[test]
fn without_a_baseline_nothing_is_slow_and_a_new_normal_is_accepted_after_a_day() {
    let mut server = Server::new();
    server.run(30, |tick| if tick < 90 { 10 } else { 1_000 }, 0, &[]);
    assert_eq!(server.told(), []);
    let mut server = Server::new();
    server.run(120, |_| 100, 0, &[]);
    server.run(25 * 60, |_| 300, 0, &[]);
    assert_eq!(server.told(), [(Rule::Latency, AlertState::Firing), (Rule::Latency, AlertState::Resolved)]);
    server.run(120, |_| 300, 0, &[]);
    assert_eq!(server.told(), [], "300 ms is normal now");
}

#[test]
fn failures_full_queues_and_flapping_breakers_fire() {
    let mut server = Server::new();
    server.run(10, |_| 10, 4, &[]);
    assert_eq!(server.told(), [(Rule::Errors, AlertState::Firing)]);
    assert_eq!(server.alerts.firing(Rule::Errors), 1);
    server.run(20, |_| 10, 0, &[]);
    assert_eq!(server.told(), [(Rule::Errors, AlertState::Resolved)]);
    let queue = Key::new("pool", "waiting");
    server.run(2, |_| 10, 0, &[(queue.clone(), 90.0)]);
    assert_eq!(server.told(), [(Rule::Queue, AlertState::Firing)]);
    server.run(10, |_| 10, 0, &[(queue, 10.0)]);
    assert_eq!(server.told(), [(Rule::Queue, AlertState::Resolved)]);
    let breaker = Key::new("breaker", "llm openai");
    for n in 0..30 {
        let before = server.now;
        let period = Period {
            at: before,
            length: Duration::from_secs(TICK),
            levels: [(breaker.clone(), f64::from(n % 2) * 2.0)].into(),
            ..Period::default()
        };
        server.now += TICK;
        server.changes.extend(server.alerts.judge(&period, &[]));
    }
    assert_eq!(server.told(), [(Rule::Breaker, AlertState::Firing)]);
    assert_eq!(server.alerts.firing(Rule::Breaker), 1);
}

#[test]
fn what_is_learnt_from_history_counts() {
    let mut server = Server::new();
    let histogram = Histogram::default();
    (0..30).for_each(|_| histogram.record(Duration::from_millis(50)));
    let spans = Spans { spans: histogram.snapshot(), errors: 0 };
    let minute = Period {
        at: 0,
        length: Duration::from_mins(1),
        stages: [(Key::new("stt", "run"), spans)].into(),
        ..Period::default()
    };
    server.alerts.learn(std::iter::repeat_n(&minute, 100));
    server.run(2, |_| 200, 0, &[]);
    assert_eq!(server.told(), [(Rule::Latency, AlertState::Firing)]);
}
