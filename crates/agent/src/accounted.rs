//! Charging a call for the time its task is at work.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use antiphon_core::measure::account::{Account, Worker};

/// What a call's own task is called in profiles.
static SESSION: LazyLock<Worker> = LazyLock::new(|| Worker::new("session"));

/// A future whose work is charged to an account.
pub(crate) struct Accounted<F> {
    account: Arc<Account>,
    /// Boxed once a call, so that it can be polled in place.
    work: Pin<Box<F>>,
}

impl<F> Accounted<F> {
    pub(crate) fn new(account: Arc<Account>, work: F) -> Self {
        Self { account, work: Box::pin(work) }
    }
}

impl<F: Future> Future for Accounted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _working = SESSION.begin_for(Some(Arc::clone(&self.account)));
        let began = Instant::now();
        let polled = self.work.as_mut().poll(cx);
        self.account.charge(began.elapsed());
        polled
    }
}
