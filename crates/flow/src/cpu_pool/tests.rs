use std::sync::{Mutex, mpsc};
use std::time::Duration;

use antiphon_core::ErrorKind;
use futures_util::future::join_all;

use super::*;

const ONE: Bounds = Bounds { min: 1, max: 1 };

/// A pool of one thread.
fn pool() -> CpuPool {
    CpuPool::new(ONE).expect("threads")
}

/// Keeps a thread until the sender is dropped. Resolves when it has begun.
async fn block(pool: &CpuPool) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<()>>) {
    let (release, gate) = mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let job = pool.run(Priority::LiveTurn, move || {
        let _ = begun.send(());
        let _ = gate.recv();
        Ok(())
    });
    let job = tokio::spawn(job);
    begins.await.expect("begins");
    (release, job)
}

fn level(pool: &CpuPool, name: &str) -> f64 {
    pool.component().levels().iter().find(|level| level.name == name).expect("known").value
}

#[tokio::test]
async fn the_most_urgent_goes_first_and_what_nobody_wants_not_at_all() {
    let pool = pool();
    let (release, _first) = block(&pool).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let job = |name: &'static str, priority| {
        let order = Arc::clone(&order);
        pool.run(priority, move || {
            order.lock().expect("not poisoned").push(name);
            Ok(())
        })
    };
    let (batch, unwanted) = (job("batch", Priority::Batch), job("unwanted", Priority::LiveTurn));
    let (turn, guess) = (job("turn", Priority::LiveTurn), job("guess", Priority::Speculation));
    drop(unwanted);
    assert_eq!(level(&pool, "cpu waiting"), 3.0);
    drop(release);
    assert!(join_all([batch, turn, guess]).await.iter().all(Result::is_ok));
    assert_eq!(*order.lock().expect("not poisoned"), ["turn", "guess", "batch"]);
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_thread_goes_on() {
    let pool = pool();
    let failed = pool.run::<()>(Priority::LiveTurn, || panic!("asked to")).await;
    assert_eq!(failed.expect_err("panicked").kind(), ErrorKind::Internal);
    assert_eq!(pool.run(Priority::LiveTurn, || Ok(3)).await, Ok(3));
}

#[tokio::test]
async fn too_much_is_refused_at_once() {
    let pool = pool();
    let (_release, _first) = block(&pool).await;
    let waiting: Vec<_> = (0..1_024).map(|_| pool.run(Priority::LiveTurn, || Ok(()))).collect();
    let refused = pool.run(Priority::LiveTurn, || Ok(())).await;
    assert_eq!(refused.expect_err("full").kind(), ErrorKind::Unavailable);
    drop(waiting);
    assert_eq!(level(&pool, "cpu waiting"), 0.0);
}

#[tokio::test]
async fn work_that_waits_too_long_gets_another_thread() {
    let pool = CpuPool::new(Bounds { min: 1, max: 2 }).expect("threads");
    let (_release, _first) = block(&pool).await;
    assert_eq!(pool.run(Priority::LiveTurn, || Ok(4)).await, Ok(4));
    let stages = pool.component();
    let waits = stages.stages().iter().find(|stage| stage.name() == "cpu wait").map(|s| s.spans().snapshot());
    assert_eq!(waits.expect("measured").count(), 2);
}

#[tokio::test]
async fn dropping_it_ends_the_threads_and_fails_what_waits() {
    let pool = pool();
    let threads = Arc::downgrade(&pool.0);
    let (release, first) = block(&pool).await;
    let waiting = pool.run(Priority::LiveTurn, || Ok(()));
    drop(pool);
    assert_eq!(waiting.await.expect_err("stopped").kind(), ErrorKind::Unavailable);
    drop(release);
    assert_eq!(first.await.expect("ends"), Ok(()));
    while threads.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
