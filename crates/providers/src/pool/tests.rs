use std::sync::mpsc;

use super::*;

type Seen = Arc<Mutex<Vec<Vec<&'static str>>>>;

/// A pool of one thread whose first job waits until the sender is dropped, so that others queue up.
fn blocked() -> (ModelPool, Operation<&'static str, &'static str>, mpsc::Sender<()>, Seen) {
    let pool = ModelPool::new(1).expect("threads");
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let operation = pool.operation(
        "test",
        3,
        || Ok(()),
        move |(), inputs: Vec<&'static str>| {
            if inputs.contains(&"gate") {
                let _ = lock(&gate).recv();
            } else {
                lock(&log).push(inputs.clone());
            }
            assert!(!inputs.contains(&"panic"), "asked to");
            Ok(inputs)
        },
    );
    let operation = operation.expect("opens");
    (pool, operation, release, seen)
}

/// Waits until threads have taken so many jobs: those that are queued after it are in no batch with them.
async fn until_begun(operation: &Operation<&'static str, &'static str>, jobs: u64) {
    while operation.activity.wait.spans().snapshot().count() < jobs {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_it_does_is_measured() {
    let (pool, operation, release, _) = blocked();
    drop(release);
    operation.run("a", Priority::LiveTurn).await.expect("done");
    operation.run("panic", Priority::LiveTurn).await.expect_err("asked to");
    let components = pool.components();
    let [shared, test] = &components[..] else { panic!("the pool and one operation") };
    assert_eq!((shared.name(), shared.tunables()[0].value as usize), ("pool", 1));
    let [wait, run] = test.stages()[..] else { panic!("two stages") };
    assert_eq!((wait.spans().snapshot().count(), run.spans().snapshot().count(), run.errors()), (2, 2, 1));
    assert!(test.counters().iter().any(|counter| counter.name == "jobs" && counter.value == 2));
}

#[tokio::test]
async fn other_jobs_let_live_turns_pass_but_not_for_ever() {
    let (pool, operation, release, _) = blocked();
    drop(release);
    let _live = pool.live_work().begin();
    let began = Instant::now();
    operation.run("while a live turn is worked for", Priority::Interactive).await.expect("done");
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
}

#[tokio::test]
async fn urgent_jobs_go_first_and_equals_go_together() {
    let (_pool, operation, release, seen) = blocked();
    let gate = operation.run("gate", Priority::LiveTurn);
    until_begun(&operation, 1).await;
    let jobs = [
        operation.run("b", Priority::LiveTurn),
        operation.run("c", Priority::LiveTurn),
        operation.run("d", Priority::Speculation),
        operation.run("e", Priority::LiveTurn),
        operation.run("f", Priority::LiveTurn),
    ];
    drop(release);
    gate.await.expect("answered");
    for job in jobs {
        job.await.expect("answered");
    }
    assert_eq!(*lock(&seen), [vec!["b", "c", "e"], vec!["f"], vec!["d"]]);
}

#[tokio::test]
async fn other_work_has_a_thread_of_its_own_while_calls_are_under_way() {
    let (pool, operation, release, seen) = blocked();
    let gate = operation.run("gate", Priority::LiveTurn);
    let others = ["a", "b", "c", "d", "e", "f"].map(|job| operation.run(job, Priority::Batch));
    for job in others {
        job.await.expect("answered although the ordinary thread is busy");
    }
    assert!(lock(&seen).iter().all(|batch| batch.len() <= MAX_BACKGROUND_BATCH), "a live turn waits little");
    assert!(pool.live_work().is_running());
    drop(release);
    gate.await.expect("answered");
    assert!(!pool.live_work().is_running());
}

#[tokio::test]
async fn a_job_that_turns_out_to_be_less_urgent_while_it_waits_gives_way() {
    let (pool, operation, release, seen) = blocked();
    let gates = [operation.run("gate", Priority::LiveTurn), operation.run("gate", Priority::Batch)];
    until_begun(&operation, 2).await;
    let deferred = Deferred::default();
    let recorded = ["recorded", "too"]
        .map(|job| operation.run_unless_deferred(job, Priority::LiveTurn, deferred.clone()));
    let live = operation.run("live", Priority::LiveTurn);
    deferred.set(true);
    drop(release);
    live.await.expect("answered");
    for job in recorded.into_iter().chain(gates) {
        job.await.expect("answered");
    }
    assert!(lock(&seen).contains(&vec!["live"]), "alone: {seen:?}");
    assert_eq!(pool.waiting(), 0);
    assert!(!pool.live_work().is_running());
}

#[tokio::test]
async fn a_job_nobody_waits_for_is_not_done() {
    let (_pool, operation, release, seen) = blocked();
    let gate = operation.run("gate", Priority::LiveTurn);
    until_begun(&operation, 1).await;
    drop(operation.run("unwanted", Priority::LiveTurn));
    let wanted = operation.run("wanted", Priority::LiveTurn);
    drop(release);
    gate.await.expect("answered");
    wanted.await.expect("answered");
    assert_eq!(*lock(&seen), [vec!["wanted"]]);
}

#[tokio::test]
async fn a_panic_fails_its_job_and_no_other() {
    let (_pool, operation, _release, _) = blocked();
    let failed = operation.run("panic", Priority::LiveTurn).await.expect_err("panicked");
    assert_eq!(failed.kind(), ErrorKind::Internal);
    assert_eq!(operation.run("next", Priority::LiveTurn).await.expect("answered"), "next");
}

#[tokio::test]
async fn too_many_jobs_are_refused_at_once() {
    let (_pool, operation, _release, _) = blocked();
    let jobs: Vec<_> = (0..MAX_WAITING + 4).map(|_| operation.run("gate", Priority::LiveTurn)).collect();
    let last = jobs.into_iter().next_back().expect("some").await;
    assert_eq!(last.expect_err("refused").kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn work_that_can_wait_fills_no_queue_of_calls() {
    let (pool, operation, release, _) = blocked();
    let gates = [operation.run("gate", Priority::LiveTurn), operation.run("gate", Priority::Batch)];
    until_begun(&operation, 2).await;
    let others: Vec<_> = (0..=MAX_WAITING).map(|_| operation.run("other", Priority::Interactive)).collect();
    let live = operation.run("live", Priority::LiveTurn);
    drop(release);
    for gate in gates {
        gate.await.expect("answered");
    }
    live.await.expect("answered");
    let answers = futures_util::future::join_all(others).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1, "one too many");
    assert_eq!(pool.waiting(), 0);
}

#[tokio::test]
async fn jobs_that_come_faster_than_they_are_done_leave_nothing_behind() {
    let (pool, operation, release, seen) = blocked();
    let gates = [operation.run("gate", Priority::LiveTurn), operation.run("gate", Priority::Batch)];
    until_begun(&operation, 2).await;
    // Whoever asked for these has gone, one more is done, and they had their turns with it.
    drop((0..100).map(|_| operation.run("given up", Priority::Extraction)).collect::<Vec<_>>());
    let late = operation.run("late", Priority::Batch);
    drop(release);
    for gate in gates {
        gate.await.expect("answered");
    }
    late.await.expect("answered");
    assert_eq!((pool.waiting(), lock(&seen).len()), (0, 1));
}

#[tokio::test]
async fn stopping_the_pool_answers_whoever_waits() {
    let (pool, operation, release, _) = blocked();
    let gate = operation.run("gate", Priority::LiveTurn);
    until_begun(&operation, 1).await;
    let waiting = operation.run("late", Priority::LiveTurn);
    lock(&pool.shared.ready).stopping = true;
    drop(release);
    drop(pool);
    drop(operation);
    gate.await.expect("was running");
    assert_eq!(waiting.await.expect_err("stopped").kind(), ErrorKind::Unavailable);
}
