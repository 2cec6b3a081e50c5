use std::collections::HashMap as Map;

use antiphon_core::ErrorKind;
use antiphon_core::measure::Component;
use futures_util::future::{join_all, pending};
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;

const MS: Duration = Duration::from_millis(1);
/// Items from here on have no key, so they are never shared.
const UNIQUE: u32 = 1_000;
/// Items that make their whole batch fail in some way.
const PANIC: u32 = 500;
const SHORT: u32 = 501;
const FOREVER: u32 = 502;
/// An item that fails without affecting others.
const ERROR: u32 = 503;

/// An operation that takes 20 ms plus 1 ms an item and answers ten times the item. Items of the same million form a group.
#[derive(Clone)]
struct Tenfold {
    limits: Limits,
    batches: Arc<Mutex<Vec<Vec<u32>>>>,
    /// Every run holds a clone, by which running ones are counted.
    alive: Arc<()>,
}

impl Tenfold {
    fn new(limits: Limits) -> Self {
        Self { limits, batches: Arc::default(), alive: Arc::new(()) }
    }

    fn batches(&self) -> Vec<Vec<u32>> {
        self.batches.lock().expect("not poisoned").clone()
    }
}

impl Operation for Tenfold {
    type Item = u32;
    type Output = u32;
    type Key = u32;

    fn name(&self) -> &'static str {
        "tenfold"
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn key(&self, item: &u32) -> Option<u32> {
        (*item < UNIQUE).then_some(*item)
    }

    fn group(&self, item: &u32) -> u64 {
        (item / 1_000_000).into()
    }

    fn run(&self, items: Vec<u32>, _: Priority) -> BoxFuture<'static, Vec<Result<u32>>> {
        self.batches.lock().expect("not poisoned").push(items.clone());
        let alive = self.alive.clone();
        Box::pin(async move {
            sleep(20 * MS + MS * items.len() as u32).await;
            assert!(!items.contains(&PANIC), "asked to");
            if items.contains(&FOREVER) {
                pending::<()>().await;
            }
            drop(alive);
            let answers =
                items.iter().map(|n| if *n == ERROR { Err(Error::invalid("bad")) } else { Ok(n * 10) });
            answers.skip(usize::from(items.contains(&SHORT))).collect()
        })
    }
}

fn batcher(limits: Limits) -> (Batcher<Tenfold>, Tenfold) {
    let operation = Tenfold::new(limits);
    (Batcher::new(operation.clone()), operation)
}

fn count(batcher: &Batcher<Tenfold>, what: &str) -> u64 {
    let name = format!("tenfold {what}");
    batcher.statistics().counters().iter().find(|counter| counter.name == name).expect("known").value
}

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_takes_as_long_as_without() {
    let (batcher, _) = batcher(Limits { window: 50 * MS, max_runs: 2, ..Limits::default() });
    for n in 0..10 {
        let began = Instant::now();
        assert_eq!(batcher.run(n, Priority::LiveTurn).await, Ok(n * 10));
        assert_eq!(began.elapsed(), 21 * MS);
    }
    let waits = batcher.statistics().stages()[0].spans().snapshot();
    assert_eq!((waits.count(), waits.max()), (10, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn load_makes_batches_and_at_least_five_times_fewer_calls() {
    let (batcher, _) = batcher(Limits::default());
    let callers = (0..200).map(|n| {
        let batcher = batcher.clone();
        async move {
            for turn in 0..5 {
                sleep(MS * (n % 50)).await;
                let item = UNIQUE + n * 5 + turn;
                assert_eq!(batcher.run(item, Priority::LiveTurn).await, Ok(item * 10));
            }
        }
    });
    join_all(callers).await;
    let sizes = batcher.statistics().sizes();
    assert_eq!(sizes.iter().zip(1..).map(|(batches, size)| batches * size).sum::<u64>(), 1_000);
    assert!(count(&batcher, "calls") <= 200, "{} calls", count(&batcher, "calls"));
}

#[tokio::test(start_paused = true)]
async fn the_same_is_asked_once_before_and_while_it_runs() {
    let (batcher, operation) = batcher(Limits::default());
    let first = [batcher.run(1, Priority::LiveTurn), batcher.run(1, Priority::LiveTurn)];
    let second = [batcher.run(2, Priority::LiveTurn), batcher.run(2, Priority::LiveTurn)];
    sleep(10 * MS).await;
    let third = batcher.run(1, Priority::LiveTurn);
    let unlike = [batcher.run(UNIQUE, Priority::LiveTurn), batcher.run(UNIQUE, Priority::LiveTurn)];
    let answers = join_all(first.into_iter().chain([third]).chain(second).chain(unlike)).await;
    assert_eq!(answers, [10, 10, 10, 20, 20, 10_000, 10_000].map(Ok));
    assert_eq!(operation.batches(), [vec![1], vec![2, UNIQUE, UNIQUE]]);
    assert_eq!((count(&batcher, "items"), count(&batcher, "shared")), (7, 3));
    assert_eq!(batcher.run(1, Priority::LiveTurn).await, Ok(10), "anew");
    assert_eq!(operation.batches().len(), 3);
}

/// Items that wait behind one that runs, in the order in which they are served in batches of one.
async fn served(waiting: &[(u32, Priority)]) -> Vec<u32> {
    let (batcher, operation) = batcher(Limits { max_batch: 1, ..Limits::default() });
    let mut tickets = vec![batcher.run(999, Priority::LiveTurn)];
    tickets.extend(waiting.iter().map(|(item, priority)| batcher.run(*item, *priority)));
    assert!(join_all(tickets).await.iter().all(Result::is_ok));
    operation.batches().concat().split_off(1)
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_goes_first_and_a_joiner_hurries_what_it_joins() {
    let waiting = [
        (1, Priority::Batch),
        (2, Priority::Extraction),
        (3, Priority::LiveTurn),
        (4, Priority::Interactive),
        (1, Priority::Speculation),
    ];
    assert_eq!(served(&waiting).await, [3, 1, 4, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_can_wait_does_not_wait_for_ever() {
    let (batcher, operation) = batcher(Limits { max_batch: 1, ..Limits::default() });
    let patient = |batcher: Batcher<Tenfold>| async move { batcher.run(1, Priority::Batch).await };
    let mut urgent = vec![batcher.run(2_000, Priority::LiveTurn)];
    let patient = tokio::spawn(patient(batcher.clone()));
    // From now on twice as many items come as can be served.
    for n in 1..1_800 {
        urgent.push(batcher.run(2_000 + n, Priority::LiveTurn));
        sleep(10 * MS).await;
    }
    assert!(patient.is_finished(), "ahead of what came 8 s later");
    let before = operation.batches().concat().iter().position(|n| *n == 1).expect("served");
    assert!((700..900).contains(&before), "{before}");
}

#[tokio::test(start_paused = true)]
async fn only_similar_items_go_together() {
    let (batcher, operation) = batcher(Limits::default());
    let items = [0, 1, 1_000_001, 2, 1_000_002, 3];
    let tickets = items.map(|n| batcher.run(n, Priority::LiveTurn));
    assert!(join_all(tickets).await.iter().all(Result::is_ok));
    assert_eq!(operation.batches(), [vec![0], vec![1, 2, 3], vec![1_000_001, 1_000_002]]);
}

#[tokio::test(start_paused = true)]
async fn each_item_has_its_own_error_and_a_bug_fails_its_batch_only() {
    let (batcher, _) = batcher(Limits::default());
    let run = |n| batcher.run(n, Priority::LiveTurn);
    let first = run(0);
    let answers = join_all([run(1), run(ERROR), run(2)]).await;
    assert_eq!(answers[0], Ok(10));
    assert_eq!(answers[1].as_ref().expect_err("its own").kind(), ErrorKind::Invalid);
    assert_eq!((answers[2].clone(), first.await), (Ok(20), Ok(0)));
    for bug in [PANIC, SHORT] {
        let good = run(3);
        let answers = join_all([run(bug), run(4)]).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|e| e.kind() == ErrorKind::Internal)));
        assert_eq!((good.await, run(5).await), (Ok(30), Ok(50)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_is_not_done() {
    let (batcher, operation) = batcher(Limits::default());
    let runs = batcher.run(FOREVER, Priority::LiveTurn);
    let (unwanted, shared) = (batcher.run(1, Priority::LiveTurn), batcher.run(2, Priority::LiveTurn));
    let wanted = batcher.run(2, Priority::LiveTurn);
    drop((unwanted, shared));
    sleep(100 * MS).await;
    assert_eq!(batcher.statistics().levels()[0].value, 1.0);
    drop(runs);
    assert_eq!(wanted.await, Ok(20));
    assert_eq!(operation.batches(), [vec![FOREVER], vec![2]]);
    assert_eq!(count(&batcher, "cancelled"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_on_while_anybody_waits_for_any_of_it() {
    let (batcher, operation) = batcher(Limits::default());
    let mut tickets = batcher.run_all(vec![1, 2], Priority::LiveTurn);
    let last = tickets.pop().expect("two");
    tokio::task::yield_now().await;
    drop(tickets);
    assert_eq!(last.await, Ok(20));
    let tickets = batcher.run_all(vec![3, FOREVER], Priority::LiveTurn);
    sleep(10 * MS).await;
    assert_eq!(Arc::strong_count(&operation.alive), 3, "the run's, the batcher's and the one here");
    drop(tickets);
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&operation.alive), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_the_batcher_and_its_callers_are_gone() {
    let (batcher, operation) = batcher(Limits::default());
    let inner = Arc::downgrade(&batcher.0);
    let tickets = [1, FOREVER, 2].map(|n| batcher.run(n, Priority::LiveTurn));
    drop(batcher);
    assert_eq!(tickets.into_iter().next().expect("first").await, Ok(10));
    tokio::task::yield_now().await;
    assert_eq!((inner.strong_count(), Arc::strong_count(&operation.alive)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn too_much_is_refused_at_once_but_not_what_is_asked_already() {
    let (batcher, _) = batcher(Limits { max_waiting: 2, ..Limits::default() });
    let tickets = [0, 1, 2, 3, 2].map(|n| batcher.run(n, Priority::LiveTurn));
    let answers = join_all(tickets).await;
    assert_eq!(answers[3].as_ref().expect_err("full").kind(), ErrorKind::Unavailable);
    assert_eq!(answers[4], Ok(20));
    assert_eq!(batcher.statistics().stages()[0].errors(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_stops_tells_whoever_waits() {
    let (batcher, _) = batcher(Limits { max_batch: 1, ..Limits::default() });
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let other = other.expect("a runtime");
    let tickets: Vec<_> = {
        let _inside = other.enter();
        let items = std::iter::once(FOREVER).chain(UNIQUE..UNIQUE + 2_000);
        items.map(|n| batcher.run(n, Priority::LiveTurn)).collect()
    };
    other.shutdown_background();
    let refused = |answer: &Result<u32>| answer.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unavailable);
    assert!(join_all(tickets).await.iter().all(refused));
}

#[tokio::test(start_paused = true)]
async fn with_several_runs_items_wait_for_company_as_long_as_they_may() {
    let limits = Limits { max_runs: 2, window: 10 * MS, max_batch: 3, ..Limits::default() };
    let (batcher, operation) = batcher(limits);
    let run = |n| batcher.run(n, Priority::LiveTurn);
    let began = Instant::now();
    let mut tickets = vec![run(0), run(1)];
    sleep(5 * MS).await;
    tickets.push(run(2));
    assert_eq!(operation.batches(), [vec![0]]);
    assert_eq!(join_all(tickets).await, [0, 10, 20].map(Ok));
    assert_eq!(began.elapsed(), 10 * MS + 22 * MS);
    let full = [0, 1, 2, 3].map(run);
    tokio::task::yield_now().await;
    assert_eq!(operation.batches().len(), 4, "a full batch waits for nobody");
    assert!(join_all(full).await.iter().all(Result::is_ok));
}

#[test]
fn the_largest_batch_can_be_set_meanwhile() {
    let (batcher, _) = batcher(Limits { max_batch: 40, ..Limits::default() });
    let statistics = batcher.statistics();
    let tunable = statistics.tunables().remove(0);
    assert_eq!((tunable.key.as_ref(), tunable.max, tunable.live), ("tenfold.max_batch", 40.0, true));
    assert!(statistics.set(&tunable.name, 7.0));
    assert!(!statistics.set(&tunable.name, 41.0));
    assert!(!statistics.set("max_batch", 7.0));
    assert_eq!(statistics.tunables()[0].value, 7.0);
}

/// The items of a run, and how to end it.
type ToldRun = (Vec<u32>, oneshot::Sender<()>);

/// An operation whose runs end when the test says so.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<ToldRun>>>);

impl Operation for Told {
    type Item = u32;
    type Output = u32;
    type Key = u32;

    fn name(&self) -> &'static str {
        "told"
    }

    fn limits(&self) -> Limits {
        Limits { max_batch: 4, max_runs: 2, window: 5 * MS, ..Limits::default() }
    }

    fn key(&self, item: &u32) -> Option<u32> {
        (*item < 8).then_some(*item)
    }

    fn group(&self, item: &u32) -> u64 {
        (item % 2).into()
    }

    fn run(&self, items: Vec<u32>, _: Priority) -> BoxFuture<'static, Vec<Result<u32>>> {
        let (end, ends) = oneshot::channel();
        self.0.lock().expect("not poisoned").push((items.clone(), end));
        Box::pin(async move {
            let _ = ends.await;
            items.into_iter().map(|n| Ok(n * 10)).collect()
        })
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Arrive(u32, Priority),
    Drop(usize),
    End(usize),
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let priorities = [
        Priority::LiveTurn,
        Priority::Speculation,
        Priority::Interactive,
        Priority::Extraction,
        Priority::Batch,
    ];
    prop_oneof![
        4 => (0_u32..16, 0_usize..5).prop_map(move |(n, p)| Happening::Arrive(n, priorities[p])),
        2 => any::<usize>().prop_map(Happening::Drop),
        2 => any::<usize>().prop_map(Happening::End),
        1 => (0_u64..10).prop_map(Happening::Pass),
    ]
}

proptest! {
    #[test]
    fn whoever_stays_gets_its_own_answer(happenings in prop::collection::vec(happening(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async move {
            let told = Told::default();
            let batcher = Batcher::new(told.clone());
            let mut callers: Map<usize, (u32, Ticket<Told>)> = Map::new();
            let nth = |callers: &Map<usize, _>, n: usize| {
                let mut ids: Vec<_> = callers.keys().copied().collect();
                ids.sort_unstable();
                (!ids.is_empty()).then(|| ids[n % ids.len()])
            };
            for (id, happening) in happenings.into_iter().enumerate() {
                match happening {
                    Happening::Arrive(n, priority) => {
                        callers.insert(id, (n, batcher.run(n, priority)));
                    }
                    Happening::Drop(n) => {
                        nth(&callers, n).and_then(|id| callers.remove(&id));
                    }
                    Happening::End(n) => {
                        let mut runs = told.0.lock().expect("not poisoned");
                        if !runs.is_empty() {
                            let at = n % runs.len();
                            let _ = runs.swap_remove(at).1.send(());
                        }
                    }
                    Happening::Pass(ms) => sleep(Duration::from_millis(ms)).await,
                }
                tokio::task::yield_now().await;
                let mut runs = told.0.lock().expect("not poisoned");
                runs.retain(|(_, end)| !end.is_closed());
                assert!(runs.len() <= 2, "as many as may run");
                for (items, _) in &*runs {
                    assert!(items.len() <= 4 && items.iter().all(|n| n % 2 == items[0] % 2));
                }
            }
            let end_all = tokio::spawn(async move {
                loop {
                    told.0.lock().expect("not poisoned").clear();
                    sleep(MS).await;
                }
            });
            for (n, ticket) in callers.into_values() {
                assert_eq!(ticket.await, Ok(n * 10));
            }
            end_all.abort();
            let inner = Arc::downgrade(&batcher.0);
            assert!(lock(&batcher.0.state).queue.waiting() == 0);
            drop(batcher);
            tokio::task::yield_now().await;
            assert_eq!(inner.strong_count(), 0, "nothing is left");
        });
    }
}
