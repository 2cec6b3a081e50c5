//! Replies to questions in other words, `[cache] reply = "semantic"`: "How do I get my money back?" is answered with the kept
//! reply to "How can I get a refund?". It is off by default, and nothing outside this folder needs it: a newcomer may skip it.
//! What it gains is small (on Quora's question pairs 9 to 13 % of the paraphrases are answered from the cache), because a wrong
//! reply is worse than a slow one, so three checks must agree before a reply is given: [`guards`] compare the facts in both
//! questions, [`index`] learns how near is near enough and audits its own error, and `judge` has the language model compare
//! answers, which that is learned from. [`replies`] puts them together. `docs/caching.md` has the figures.

pub mod guards;
mod index;
mod judge;
mod replies;

pub use index::{Decision, ErrorEstimate, Neighbour, SemanticIndex, SemanticOptions};
pub use judge::EXAMINATION;
pub(crate) use replies::{Answered, Near, Sought, Trial};
pub use replies::{SemanticReplies, SemanticStatistics};
