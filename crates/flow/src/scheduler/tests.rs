use std::pin::Pin;

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::task::noop_waker_ref;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use antiphon_core::CallId;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A scheduler with this many places.
fn scheduler(places: usize) -> Arc<Scheduler> {
    let bounds = LimitBounds { min: places, max: places };
    Arc::new(Scheduler::new("llm test".into(), bounds, Arc::new(Stage::new("wait"))))
}

fn now(scheduler: &Arc<Scheduler>, priority: Priority) -> Option<Result<Permit>> {
    scheduler.acquire(priority, Share::Server).now_or_never()
}

/// Takes as many places as the priority may have; one more request must wait.
fn fill(scheduler: &Arc<Scheduler>, priority: Priority) -> Vec<Permit> {
    std::iter::from_fn(|| now(scheduler, priority).and_then(Result::ok)).collect()
}

/// Asks with this priority in a task of its own. The request is in the queue when this returns.
async fn ask(scheduler: &Arc<Scheduler>, priority: Priority) -> tokio::task::JoinHandle<Result<Permit>> {
    ask_as(scheduler, priority, Share::Server).await
}

async fn ask_as(
    scheduler: &Arc<Scheduler>,
    priority: Priority,
    share: Share,
) -> tokio::task::JoinHandle<Result<Permit>> {
    let task = tokio::spawn(scheduler.acquire(priority, share));
    tokio::task::yield_now().await;
    task
}

/// One of many callers.
fn somebody(number: usize) -> Share {
    Share::Session(CallId::new(number.to_string()))
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_much_comes_after_whoever_sends_little() {
    let scheduler = scheduler(2);
    let held = fill(&scheduler, Priority::LiveTurn);
    let (much, little) = (somebody(1), somebody(2));
    let order = Arc::new(Mutex::new(Vec::new()));
    let asked = [&much, &much, &much, &much, &little, &little];
    let tasks: Vec<_> = asked
        .into_iter()
        .map(|share| {
            let (scheduler, order, share) = (scheduler.clone(), order.clone(), share.clone());
            tokio::spawn(async move {
                let permit = scheduler.acquire(Priority::Interactive, share.clone()).await.expect("in time");
                lock(&order).push(share);
                sleep(SECOND).await;
                drop(permit);
            })
        })
        .collect();
    sleep(MS).await;
    drop(held);
    join_all(tasks).await;
    let order: Vec<_> = lock(&order).iter().map(|share| *share == little).collect();
    // An interactive request is given one of two places.
    assert_eq!(order.iter().filter(|little| **little).count(), 2);
    let last = order.iter().rposition(|little| *little).expect("some");
    assert!(last < 4, "those of whoever asked for two come among the first four: {order:?}");
}

#[tokio::test(start_paused = true)]
async fn one_caller_cannot_fill_the_queue() {
    let scheduler = scheduler(1);
    let held = fill(&scheduler, Priority::LiveTurn);
    let mut waiting = Vec::new();
    for _ in 0..CAPACITY_EACH {
        waiting.push(ask_as(&scheduler, Priority::Batch, somebody(1)).await);
    }
    let refused = scheduler.acquire(Priority::Batch, somebody(1)).await.err().expect("too many");
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::RateLimited, Some(ASK_AGAIN)));
    let other = ask_as(&scheduler, Priority::Batch, somebody(2)).await;
    // The tasks go on, and give their permits back at once.
    drop(waiting);
    drop(held);
    drop(other.await.expect("no panic").expect("its turn comes"));
}

#[tokio::test(start_paused = true)]
async fn each_priority_leaves_places_to_more_urgent_ones() {
    let scheduler = scheduler(10);
    let counts = [Priority::Batch, Priority::Extraction, Priority::Interactive, Priority::Speculation];
    let held: Vec<Vec<Permit>> = counts.into_iter().map(|priority| fill(&scheduler, priority)).collect();
    assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [5, 1, 2, 1]);
    let live = fill(&scheduler, Priority::LiveTurn);
    assert_eq!((live.len(), scheduler.in_flight()), (1, 10));
    drop((held, live));
    assert_eq!(scheduler.in_flight(), 0);
    assert_eq!(fill(&self::scheduler(1), Priority::Batch).len(), 1, "the only place");
}

#[tokio::test(start_paused = true)]
async fn the_urgent_go_first_and_equals_in_turn() {
    let scheduler = scheduler(1);
    let held = fill(&scheduler, Priority::LiveTurn);
    let order = Arc::new(Mutex::new(Vec::new()));
    let asked = [Priority::Batch, Priority::Interactive, Priority::LiveTurn, Priority::Interactive];
    let tasks = asked.into_iter().enumerate().map(|(n, priority)| {
        let (scheduler, order) = (scheduler.clone(), order.clone());
        tokio::spawn(async move {
            let permit = scheduler.acquire(priority, Share::Server).await.expect("in time");
            order.lock().expect("nobody panics").push(n);
            sleep(MS).await;
            drop(permit);
        })
    });
    let tasks: Vec<_> = tasks.collect();
    sleep(MS).await;
    assert_eq!(scheduler.waiting(Priority::Interactive), 2);
    drop(held);
    join_all(tasks).await;
    assert_eq!(*order.lock().expect("nobody panics"), [2, 1, 3, 0]);
}

/// Live turns that come at random, five in flight on average: how long each took, in order of length.
async fn live_turns(scheduler: &Arc<Scheduler>) -> Vec<Duration> {
    let mut chance = SmallRng::seed_from_u64(7);
    let mut tasks = Vec::new();
    for _ in 0..4_000 {
        // Exponential gaps make a Poisson process.
        sleep((60.0 * -chance.random_range(f64::MIN_POSITIVE..1.0).ln()) as u32 * MS).await;
        let (scheduler, service) = (scheduler.clone(), chance.random_range(200..400) * MS);
        tasks.push(tokio::spawn(async move {
            let since = Instant::now();
            let permit = scheduler.acquire(Priority::LiveTurn, Share::Server).await.expect("in time");
            sleep(service).await;
            drop(permit);
            since.elapsed()
        }));
    }
    let mut latencies: Vec<_> = join_all(tasks).await.into_iter().map(|l| l.expect("no panic")).collect();
    latencies.sort();
    latencies
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_batch_requests_leaves_live_turns_alone_and_is_answered_itself() {
    let percentile = |latencies: &[Duration]| latencies[latencies.len() * 95 / 100];
    let unloaded = percentile(&live_turns(&scheduler(16)).await);
    let scheduler = scheduler(16);
    let flood: Vec<_> = (0..1_000)
        .map(|_| {
            let scheduler = scheduler.clone();
            tokio::spawn(async move {
                let permit = scheduler.acquire(Priority::Batch, Share::Server).await?;
                sleep(2 * SECOND).await;
                drop(permit);
                Ok::<(), Error>(())
            })
        })
        .collect();
    let loaded = percentile(&live_turns(&scheduler).await);
    assert!(loaded <= unloaded.mul_f64(1.1), "{loaded:?} instead of {unloaded:?}");
    let served = join_all(flood).await.into_iter().filter(|done| matches!(done, Ok(Ok(())))).count();
    assert_eq!(served, 1_000);
    assert_eq!((scheduler.in_flight(), scheduler.waiting(Priority::Batch)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_overdue_go_first_although_live_turns_never_cease() {
    let scheduler = scheduler(2);
    let live = || {
        let scheduler = scheduler.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                let permit = scheduler.acquire(Priority::LiveTurn, Share::Server).await.expect("in time");
                sleep(300 * MS).await;
                drop(permit);
            }
        })
    };
    let busy = [live(), live(), live()];
    sleep(SECOND).await;
    let since = Instant::now();
    let permit = scheduler.acquire(Priority::Batch, Share::Server).await.expect("in time");
    let waited = since.elapsed();
    assert!(waited >= 8 * SECOND && waited < 9 * SECOND, "{waited:?}");
    drop(permit);
    for task in busy {
        task.await.expect("all were let through");
    }
}

#[tokio::test(start_paused = true)]
async fn every_wait_ends() {
    let scheduler = scheduler(1);
    let held = fill(&scheduler, Priority::LiveTurn);
    for class in Class::ALL {
        let since = Instant::now();
        let error = scheduler.acquire(class.priority(), Share::Server).await.err().expect("no place");
        assert_eq!((error.kind(), since.elapsed()), (ErrorKind::RateLimited, class.longest_wait()));
        assert_eq!(scheduler.waiting(class.priority()), 0);
    }
    let counts = scheduler.load().counts;
    assert_eq!((counts.timed_out, counts.cancelled), (5, 1));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_displaces_the_least_urgent() {
    let scheduler = scheduler(1);
    let held = fill(&scheduler, Priority::LiveTurn);
    let mut waiting = Vec::new();
    for n in 0..CAPACITY {
        let priority = if n == 0 { Priority::Extraction } else { Priority::Batch };
        waiting.push(ask_as(&scheduler, priority, somebody(n)).await);
    }
    let error = scheduler.acquire(Priority::Batch, Share::Server).await.err().expect("is full");
    assert!(error.kind() == ErrorKind::RateLimited && error.to_string().contains("queue is full"), "{error}");
    let live = ask(&scheduler, Priority::LiveTurn).await;
    let last = waiting.pop().expect("some").await.expect("no panic");
    assert!(last.err().is_some_and(|error| error.to_string().contains("queue is full")));
    let counts = scheduler.load().counts;
    assert_eq!((counts.refused, counts.displaced), (1, 1));
    drop(held);
    drop(live.await.expect("no panic").expect("in time"));
    drop(waiting.swap_remove(0).await.expect("no panic").expect("in turn"));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_the_queue() {
    let scheduler = scheduler(1);
    let held = fill(&scheduler, Priority::LiveTurn);
    let (gone, stays) = (ask(&scheduler, Priority::Batch).await, ask(&scheduler, Priority::Batch).await);
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!((scheduler.waiting(Priority::Batch), scheduler.load().counts.cancelled), (1, 2));
    drop(held);
    drop(stays.await.expect("no panic").expect("is next"));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_asks_for_a_pause_gets_it_and_is_asked_right_after() {
    let scheduler = scheduler(10);
    let refused = |s| Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(s * SECOND);
    let permit = now(&scheduler, Priority::LiveTurn).expect("free").expect("free");
    permit.failed(&refused(1), Instant::now());
    let since = Instant::now();
    let both = tokio::join!(
        scheduler.acquire(Priority::Batch, Share::Server),
        scheduler.acquire(Priority::LiveTurn, Share::Server)
    );
    assert!(both.0.is_ok() && both.1.is_ok());
    assert!(since.elapsed() >= SECOND && since.elapsed() < SECOND + 10 * MS, "{:?}", since.elapsed());
    permit.failed(&refused(30), Instant::now());
    let error = now(&scheduler, Priority::LiveTurn).expect("at once").err().expect("too long");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(30 * SECOND)));
    assert!(scheduler.acquire(Priority::Batch, Share::Server).await.is_ok());
    assert!(since.elapsed() < 32 * SECOND, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_last_requests_of_a_rate_limit_are_for_the_urgent() {
    let scheduler = scheduler(100);
    scheduler.told(RateLimit { remaining: 3, reset: 5 * SECOND, limit: Some(100) });
    let since = Instant::now();
    let batch = ask(&scheduler, Priority::Batch).await;
    assert_eq!(fill(&scheduler, Priority::LiveTurn).len(), 3);
    assert!(batch.await.expect("no panic").is_ok());
    assert!(since.elapsed() >= 5 * SECOND, "{:?}", since.elapsed());
}

type Asking = Pin<Box<dyn Future<Output = Result<Permit>> + Send>>;

/// Polls each request once; those that are let through are moved to the permits.
fn poll_all(asking: &mut Vec<Asking>, held: &mut Vec<Permit>) {
    let mut context = std::task::Context::from_waker(noop_waker_ref());
    asking.retain_mut(|future| match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(permit) => {
            held.extend(permit);
            false
        }
        std::task::Poll::Pending => true,
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is asked, given up, granted and returned in whatever order: no place is lost.
    #[test]
    fn no_permit_leaks(steps in prop::collection::vec((0_u8..6, 0_usize..5, 0_usize..16), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("starts").block_on(async {
            let scheduler = scheduler(4);
            let (mut asking, mut held) = (Vec::<Asking>::new(), Vec::new());
            for (what, class, which) in steps {
                let priority = Class::ALL[class].priority();
                match what {
                    0 | 1 => asking.push(Box::pin(scheduler.acquire(priority, Share::Server))),
                    2 if !asking.is_empty() => drop(asking.swap_remove(which % asking.len())),
                    3 if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                    4 => tokio::time::advance(which as u32 * 100 * MS).await,
                    _ => poll_all(&mut asking, &mut held),
                }
                assert!(scheduler.in_flight() <= 4);
            }
            drop((asking, held));
            assert_eq!(scheduler.in_flight(), 0);
            assert!(Class::ALL.iter().all(|class| scheduler.waiting(class.priority()) == 0));
            assert_eq!(fill(&scheduler, Priority::LiveTurn).len(), 4);
        });
    }
}
