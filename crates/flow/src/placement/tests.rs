use std::sync::{Mutex, mpsc};
use std::time::Duration;

use antiphon_core::ErrorKind;
use futures_util::future::join_all;

use super::*;

const ONE: Bounds = Bounds { min: 1, max: 1 };

/// One thread of each kind.
fn placement() -> Placement {
    Placement::new(ONE, ONE).expect("threads")
}

/// Keeps a thread until the sender is dropped. Resolves when it has begun.
async fn block(placement: &Placement, kind: Kind) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<()>>) {
    let (release, gate) = mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let job = placement.run(kind, Priority::LiveTurn, move || {
        let _ = begun.send(());
        let _ = gate.recv();
        Ok(())
    });
    let job = tokio::spawn(job);
    begins.await.expect("begins");
    (release, job)
}

fn level(placement: &Placement, name: &str) -> f64 {
    placement.component().levels().iter().find(|level| level.name == name).expect("known").value
}

#[tokio::test]
async fn a_kind_that_has_too_much_to_do_holds_up_no_other() {
    let placement = placement();
    let (release, first) = block(&placement, Kind::Cpu).await;
    let slow: Vec<_> = (0..100).map(|_| placement.run(Kind::Cpu, Priority::LiveTurn, || Ok(()))).collect();
    assert_eq!(placement.run(Kind::Model, Priority::Batch, || Ok(1)).await, Ok(1));
    assert_eq!(placement.io(async { Ok(2) }).await, Ok(2));
    assert_eq!((level(&placement, "cpu busy"), level(&placement, "cpu waiting")), (1.0, 100.0));
    drop(release);
    assert!(join_all(slow).await.iter().all(Result::is_ok));
    assert_eq!(first.await.expect("ends"), Ok(()));
}

#[tokio::test]
async fn the_most_urgent_goes_first_and_what_nobody_wants_not_at_all() {
    let placement = placement();
    let (release, _first) = block(&placement, Kind::Cpu).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let job = |name: &'static str, priority| {
        let order = Arc::clone(&order);
        placement.run(Kind::Cpu, priority, move || {
            order.lock().expect("not poisoned").push(name);
            Ok(())
        })
    };
    let (batch, unwanted) = (job("batch", Priority::Batch), job("unwanted", Priority::LiveTurn));
    let (turn, guess) = (job("turn", Priority::LiveTurn), job("guess", Priority::Speculation));
    drop(unwanted);
    assert_eq!(level(&placement, "cpu waiting"), 3.0);
    drop(release);
    assert!(join_all([batch, turn, guess]).await.iter().all(Result::is_ok));
    assert_eq!(*order.lock().expect("not poisoned"), ["turn", "guess", "batch"]);
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_thread_goes_on() {
    let placement = placement();
    let failed = placement.run::<()>(Kind::Cpu, Priority::LiveTurn, || panic!("asked to")).await;
    assert_eq!(failed.expect_err("panicked").kind(), ErrorKind::Internal);
    assert_eq!(placement.run(Kind::Cpu, Priority::LiveTurn, || Ok(3)).await, Ok(3));
    let failed = placement.io::<()>(async { panic!("asked to") }).await;
    assert_eq!(failed.expect_err("panicked").kind(), ErrorKind::Internal);
    assert_eq!(level(&placement, "io busy"), 0.0);
}

#[tokio::test]
async fn too_much_is_refused_at_once() {
    let placement = placement();
    let (_release, _first) = block(&placement, Kind::Cpu).await;
    let waiting: Vec<_> =
        (0..1_024).map(|_| placement.run(Kind::Cpu, Priority::LiveTurn, || Ok(()))).collect();
    let refused = placement.run(Kind::Cpu, Priority::LiveTurn, || Ok(())).await;
    assert_eq!(refused.expect_err("full").kind(), ErrorKind::Unavailable);
    drop(waiting);
    assert_eq!(level(&placement, "cpu waiting"), 0.0);
    let tasks: Vec<_> = (0..MAX_IO).map(|_| placement.io(std::future::pending::<Result<()>>())).collect();
    assert_eq!(placement.io(async { Ok(()) }).await.expect_err("full").kind(), ErrorKind::Unavailable);
    drop(tasks);
}

#[tokio::test]
async fn work_that_waits_too_long_gets_another_thread() {
    let placement = Placement::new(Bounds { min: 1, max: 2 }, ONE).expect("threads");
    let (_release, _first) = block(&placement, Kind::Cpu).await;
    assert_eq!(placement.run(Kind::Cpu, Priority::LiveTurn, || Ok(4)).await, Ok(4));
    let stages = placement.component();
    let waits = stages.stages().iter().find(|stage| stage.name() == "cpu wait").map(|s| s.spans().snapshot());
    assert_eq!(waits.expect("measured").count(), 2);
}

#[tokio::test]
async fn dropping_it_ends_the_threads_and_fails_what_waits() {
    let placement = placement();
    let pool = Arc::downgrade(&placement.0.cpu);
    let (release, first) = block(&placement, Kind::Cpu).await;
    let waiting = placement.run(Kind::Cpu, Priority::LiveTurn, || Ok(()));
    drop(placement);
    assert_eq!(waiting.await.expect_err("stopped").kind(), ErrorKind::Unavailable);
    drop(release);
    assert_eq!(first.await.expect("ends"), Ok(()));
    while pool.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_task_of_io_cancels_it() {
    let placement = placement();
    let task = placement.io(std::future::pending::<Result<()>>());
    tokio::task::yield_now().await;
    assert_eq!(level(&placement, "io busy"), 1.0);
    drop(task);
    tokio::task::yield_now().await;
    assert_eq!(level(&placement, "io busy"), 0.0);
}
