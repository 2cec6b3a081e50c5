//! The facts that are compared.

use std::borrow::Cow;

use super::Guard;

/// A fact that must be in both questions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Symbol {
    pub(super) guard: Guard,
    pub(super) text: Cow<'static, str>,
}
