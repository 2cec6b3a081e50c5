use std::f64::consts::TAU;

use rand::Rng;

use super::*;

type Surface = fn(&[usize]) -> f64;

const NOISE: f64 = 0.05;
const SEEDS: u64 = 20;

/// Costs without noise on a space of 5 x 6 x 5 = 150 points whose last knob is a text.
const SURFACES: [(&str, Surface); 6] = [
    ("separable bowl", |p| {
        let bowl = |at: usize, best: f64, steepness: f64| 1.0 + steepness * (at as f64 - best).powi(2);
        100.0 * bowl(p[0], 3.0, 0.05) * bowl(p[1], 1.0, 0.03) * [1.0, 0.8, 0.95, 1.2, 1.1][p[2]]
    }),
    ("diagonal valley", |p| {
        let (along, across) = ((p[0] + p[1]) as f64, p[0] as f64 - p[1] as f64 * 0.8);
        100.0 + 12.0 * across.powi(2) + 4.0 * (along - 7.0).powi(2) + [10.0, 0.0, 25.0, 5.0, 40.0][p[2]]
    }),
    ("the text decides which number is best", |p| {
        let best = [0.0, 4.0, 2.0, 1.0, 3.0][p[2]];
        let floor = [110.0, 80.0, 100.0, 120.0, 95.0][p[2]];
        floor * (1.0 + 0.06 * (p[0] as f64 - best).powi(2)) * (1.0 + 0.04 * (p[1] as f64 - 3.0).abs())
    }),
    ("threads with a cliff", |p| {
        let threads = (p[0] + 1) as f64;
        let batch = (p[1] + 1) as f64;
        let contention = if threads * batch > 16.0 { f64::INFINITY } else { threads * batch };
        60.0 / threads + 30.0 / batch + 2.0 * contention + [0.0, 6.0, 3.0, 12.0, 9.0][p[2]] + 20.0
    }),
    ("one knob matters", |p| 100.0 * [1.6, 1.5, 1.0, 1.3, 1.7, 1.8][p[1]] * (1.0 + 0.004 * p[0] as f64)),
    ("neighbours tell little of each other", |p| {
        let bump = (p[0] * 7 + p[1] * 11 + p[2] * 13) % 17;
        100.0 + 3.0 * bump as f64 + 8.0 * (p[0] as f64 - 1.0).powi(2) + 5.0 * (p[1] as f64 - 4.0).powi(2)
    }),
];

fn space() -> Space {
    let numbers = |name: &str, count: u32| Knob {
        name: name.into(),
        values: (0..count).map(|value| Value::Number(f64::from(value))).collect(),
    };
    let texts = ["none", "low", "medium", "high", "full"].map(|text| Value::Text(text.into())).to_vec();
    Space {
        knobs: vec![
            numbers("threads", 5),
            numbers("batch", 6),
            Knob { name: "effort".into(), values: texts },
        ],
    }
}

/// A noisy measurement on a machine that gets 20 % slower during the search.
struct Machine {
    surface: Surface,
    rng: SmallRng,
    measured: usize,
    budget: usize,
}

impl Machine {
    fn new(surface: Surface, budget: usize, seed: u64) -> Self {
        Self { surface, rng: SmallRng::seed_from_u64(seed + 1000), measured: 0, budget }
    }

    fn measure(&mut self, point: &[usize]) -> f64 {
        self.measured += 1;
        let (a, b): (f64, f64) = (self.rng.random(), self.rng.random());
        let normal = (-2.0 * (1.0 - a).ln()).sqrt() * (TAU * b).cos();
        let drift = 1.0 + 0.2 * self.measured as f64 / self.budget as f64;
        (self.surface)(point) * drift * (NOISE * normal).exp()
    }
}

/// The true cost of what the search finds.
fn model_search(surface: Surface, budget: usize, seed: u64) -> f64 {
    let mut machine = Machine::new(surface, budget, seed);
    let mut search = Search::new(space(), vec![4, 2, 3], budget, seed).unwrap();
    while let Some(point) = search.next() {
        search.tell(machine.measure(&point));
    }
    assert_eq!(machine.measured, budget);
    surface(search.best().unwrap().0)
}

/// The true cost of the point that looked the cheapest of as many different ones as the budget allows.
fn random_search(surface: Surface, budget: usize, seed: u64) -> f64 {
    let mut machine = Machine::new(surface, budget, seed);
    let mut points: Vec<Point> = space().all().collect();
    points.shuffle(&mut SmallRng::seed_from_u64(seed));
    let costs: Vec<(f64, Point)> =
        points.into_iter().take(budget).map(|point| (machine.measure(&point), point)).collect();
    surface(&costs.iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1)
}

/// The cost of the true optimum.
fn grid(surface: Surface) -> f64 {
    space().all().map(|point| surface(&point)).min_by(f64::total_cmp).unwrap()
}

/// How often a search ends within 5 % of the optimum, and its mean cost over the optimum's.
fn results(search: fn(Surface, usize, u64) -> f64, surface: Surface, budget: usize) -> (usize, f64) {
    let optimum = grid(surface);
    let costs: Vec<f64> = (0..SEEDS).map(|seed| search(surface, budget, seed) / optimum).collect();
    (costs.iter().filter(|cost| **cost <= 1.05).count(), costs.iter().sum::<f64>() / costs.len() as f64)
}

#[test]
fn half_the_measurements_of_a_grid_find_its_optimum() {
    for (name, surface) in SURFACES {
        let (near, mean) = results(model_search, surface, space().size() / 2);
        let (random_near, random_mean) = results(random_search, surface, space().size() / 2);
        let seen = format!("{name}: {near}, mean {mean}; random {random_near}, mean {random_mean}");
        assert!(near >= 19, "{seen}");
        // Within 1 % of the optimum there is nothing left to win.
        assert!(near >= random_near && mean <= random_mean.max(1.01), "{seen}");
    }
}

#[test]
fn a_quarter_of_them_beats_random_search() {
    let mean = |search: fn(Surface, usize, u64) -> f64| {
        let means = SURFACES.map(|(_, surface)| results(search, surface, space().size() / 4).1);
        means.iter().sum::<f64>() / means.len() as f64
    };
    let (model, random) = (mean(model_search), mean(random_search));
    // What it costs over the optimum, at most half of what random search costs over it.
    assert!(model - 1.0 < (random - 1.0) / 2.0, "{model} and {random}");
}

/// Runs a search whose costs come without noise, and returns its points.
fn run(search: &mut Search, cost: impl Fn(&[usize]) -> f64) -> Vec<Point> {
    let mut points = Vec::new();
    while let Some(point) = search.next() {
        search.tell(cost(&point));
        points.push(point);
    }
    points
}

#[test]
fn first_changes_of_the_start_then_new_points_then_repeats() {
    let start = vec![4, 2, 3];
    let mut search = Search::new(space(), start.clone(), 75, 1).unwrap();
    let points = run(&mut search, SURFACES[0].1);
    assert_eq!(points[0], start);
    let one_change = |point: &&Point| point.iter().zip(&start).filter(|(a, b)| a != b).count() == 1;
    assert!(points[..15].iter().filter(one_change).count() >= 7);
    // Batches of two follow the first 15 while more than 15 are left.
    let (new, repeats) = points.split_at(61);
    assert_eq!(new.iter().collect::<BTreeSet<_>>().len(), 61);
    assert!(repeats.iter().all(|point| new.contains(point)));
    assert_eq!(search.next(), None);
}

#[test]
fn budgets_are_kept_however_small_or_large() {
    for budget in [0, 1, 2, 3, 5, 8, 13, 75, 149, 300] {
        let mut search = Search::new(space(), vec![0, 0, 0], budget, 3).unwrap();
        assert_eq!(run(&mut search, SURFACES[0].1).len(), budget);
        assert_eq!(search.best().is_some(), budget > 0);
    }
    let mut search = Search::new(Space::default(), vec![], 50, 3).unwrap();
    assert_eq!(run(&mut search, |_| 1.0).len(), 50);
    assert_eq!(search.best(), Some((&vec![], 1.0)));
}

#[test]
fn equal_seeds_give_equal_searches() {
    let points = |seed| run(&mut Search::new(space(), vec![0, 0, 0], 60, seed).unwrap(), SURFACES[1].1);
    assert_eq!(points(5), points(5));
    assert_ne!(points(5), points(6));
}

#[test]
fn a_start_that_is_best_stays() {
    let start = vec![3, 1, 1];
    let mut search = Search::new(space(), start.clone(), 75, 2).unwrap();
    run(&mut search, SURFACES[0].1);
    assert_eq!(search.best(), Some((&start, 1.0)));
}

#[test]
fn failures_lose() {
    let failing = |point: &[usize]| if point[0] < 3 { f64::NAN } else { 10.0 + point[1] as f64 };
    let mut search = Search::new(space(), vec![0, 5, 0], 75, 2).unwrap();
    run(&mut search, failing);
    let (best, ratio) = search.best().unwrap();
    assert!(best[0] >= 3 && best[1] == 0 && ratio <= 1.0, "{best:?} {ratio}");

    let mut hopeless = Search::new(space(), vec![0, 5, 0], 75, 2).unwrap();
    run(&mut hopeless, |_| f64::INFINITY);
    assert_eq!(hopeless.best(), None);

    let mut untold = Search::new(space(), vec![0, 5, 0], 75, 2).unwrap();
    assert!(untold.by_ref().count() <= 75);
    assert_eq!(untold.best(), None);
}

#[test]
fn a_search_that_cannot_start_says_why() {
    let error = |space, start| Search::new(space, start, 10, 0).unwrap_err().to_string();
    assert_eq!(
        error(space(), vec![0, 0]),
        "the start has 2 values for 3 knobs: give one index for each knob"
    );
    assert_eq!(
        error(space(), vec![0, 6, 0]),
        "the start's value 6 of the knob `batch` does not exist: it has 6, counted from 0"
    );
    let mut empty = space();
    empty.knobs[2].values.clear();
    assert_eq!(empty.size(), 0);
    assert_eq!(empty.all().count(), 0);
    assert_eq!(empty.random(&mut SmallRng::seed_from_u64(0)), None);
    assert_eq!(
        error(empty, vec![0, 0, 0]),
        "the knob `effort` has no values: give it at least one, or leave it out"
    );
}

#[test]
fn a_space_lists_each_point_once() {
    let all: Vec<Point> = space().all().collect();
    assert_eq!((all.len(), space().size()), (150, 150));
    assert_eq!((&all[0], &all[1], &all[149]), (&vec![0, 0, 0], &vec![0, 0, 1], &vec![4, 5, 4]));
    assert!(all.is_sorted_by(|a, b| a < b));
    let mut rng = SmallRng::seed_from_u64(0);
    assert!((0..100).all(|_| all.contains(&space().random(&mut rng).unwrap())));
}

#[test]
fn values_read_and_write_as_plain_json() {
    let knob = Knob { name: "x".into(), values: vec![Value::Number(0.5), Value::Text("low".into())] };
    let json = serde_json::to_string(&knob).unwrap();
    assert_eq!(json, r#"{"name":"x","values":[0.5,"low"]}"#);
    assert_eq!(serde_json::from_str::<Knob>(&json).unwrap(), knob);
    assert_eq!(serde_json::from_str::<Value>("4").unwrap(), Value::Number(4.0));
    assert_eq!(format!("{} {}", Value::Number(4.0), knob.values[1]), "4 low");
}
