//! Memories of persons and knowledge from documents:
//! implementations of the traits [`antiphon_core::Memories`] and [`antiphon_core::Knowledge`].

mod in_process;
mod nearest;
mod passages;

pub use in_process::{InProcessKnowledge, InProcessMemories};
pub use passages::passages;
