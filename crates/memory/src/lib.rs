//! Memories and knowledge: what a companion or a business remembers. The seam is [`Memory`]; stores come behind it.

pub use antiphon_core::{Memory, Recollection};
