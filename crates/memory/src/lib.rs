//! Memories and knowledge: what a companion or a business remembers, behind the seams [`antiphon_core::Memories`] and
//! [`antiphon_core::Knowledge`].

mod in_process;
mod nearest;
mod passages;

pub use in_process::{InProcessKnowledge, InProcessMemories};
pub use passages::passages;
