//! Charges a call's account for the time in which its task works.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use antiphon_core::measure::account::{Account, Worker, Working};

/// The name of a call's own task in profiles.
static SESSION: LazyLock<Worker> = LazyLock::new(|| Worker::new("session"));

/// A future whose work is charged to an account.
pub(crate) struct Accounted<F> {
    account: Arc<Account>,
    /// The work itself, boxed once for each call so that it can be polled in place.
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
        let charging = Charging::begin(&self.account);
        let polled = self.work.as_mut().poll(cx);
        charging.end(&self.account);
        polled
    }
}

/// One stretch of work. Its beginning and its end are separate functions, so that a profile shows what
/// charging costs.
struct Charging {
    _working: Working,
    began: Instant,
}

impl Charging {
    #[expect(
        clippy::disallowed_methods,
        reason = "charges real time, also while a test's clock stands still"
    )]
    #[inline(never)]
    fn begin(account: &Arc<Account>) -> Self {
        Self { _working: SESSION.begin_for(Some(Arc::clone(account))), began: Instant::now() }
    }

    #[inline(never)]
    fn end(self, account: &Account) {
        account.charge(self.began.elapsed());
    }
}
