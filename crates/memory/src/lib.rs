//! Memories and knowledge: what a companion or a business remembers.
