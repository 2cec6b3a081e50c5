//! Work that a task of its own does for a call.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use antiphon_core::BoxFuture;
use antiphon_core::measure::account::{Account, Worker};

/// What such work is called in profiles.
static FLOW: LazyLock<Worker> = LazyLock::new(|| Worker::new("flow"));

/// A future of whose work whoever it asks for more knows the call it is for.
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
