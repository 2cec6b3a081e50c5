//! Work that a separate task does on behalf of a call, and that is charged to it.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use antiphon_core::BoxFuture;
use antiphon_core::measure::account::{Account, Worker};

/// The name of such work in profiles.
static FLOW: LazyLock<Worker> = LazyLock::new(|| Worker::new("flow"));

/// A future whose work is charged to the account of the call it is done for: whenever it is polled, the thread carries it.
pub(crate) struct OnBehalf<T> {
    pub(crate) account: Option<Arc<Account>>,
    pub(crate) work: BoxFuture<'static, T>,
}

impl<T> Future for OnBehalf<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let _working = FLOW.begin_for(self.account.clone());
        self.work.as_mut().poll(cx)
    }
}
