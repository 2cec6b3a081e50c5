//! One conversation: the session pipeline from audio in to audio out.
