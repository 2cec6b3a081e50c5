//! Speech and language engines behind the core traits.
//!
//! [`local`] runs models on this machine, [`vendors`] speaks to services over the network, and [`scripted`] stands in
//! for both in tests and load tests. What the engines share lies beside them: [`pool`] runs models on a bounded set of
//! threads, [`remote`] is the way to a vendor's server, and [`speech_text`] turns written text into words to say.

mod background_thread;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod live_work;
pub mod local;
mod loudness;
pub mod pool;
pub mod remote;
pub mod scripted;
#[cfg(test)]
mod spec;
pub mod speech_text;
pub mod vendors;
