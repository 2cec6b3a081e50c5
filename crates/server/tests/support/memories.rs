//! Memories that tell whose they were asked for.
#![allow(dead_code, reason = "each test program uses its share")]

use std::sync::{Arc, Mutex};

use antiphon_core::{BoxFuture, Memories, Memory, PersonId, Recollection, Result, Search, TenantId};
use futures_util::FutureExt;

/// Memories that keep nothing but whose they were asked for.
#[derive(Default)]
pub(crate) struct AskedFor(Mutex<Vec<String>>);

impl AskedFor {
    /// The persons, in the order of their calls.
    pub(crate) fn persons(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }
}

impl Memories for AskedFor {
    fn of(&self, _: &TenantId, person: &PersonId) -> Arc<dyn Memory> {
        self.0.lock().expect("not poisoned").push(person.as_str().to_owned());
        Arc::new(Nothing)
    }
}

/// The memory of somebody of whom nothing is remembered.
struct Nothing;

impl Memory for Nothing {
    fn remember(&self, _: String, _: String) -> BoxFuture<'static, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn recall(&self, _: Search) -> BoxFuture<'static, Result<Vec<Recollection>>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn profile(&self, _: usize) -> BoxFuture<'static, Result<Vec<String>>> {
        async { Ok(Vec::new()) }.boxed()
    }
}
