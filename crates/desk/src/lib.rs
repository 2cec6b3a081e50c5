//! The desk: every call is answered here, whichever door it came in by.
//!
//! A door (a transport) understands a handshake and reports a [`Caller`](antiphon_core::Caller). The desk does what
//! is the same for all doors: it checks the key ([`Keys`]), admits the call ([`Calls`]), asks the [`Directory`] which
//! agent of which tenant answers, fixes the call's [`Identity`](antiphon_core::Identity), and runs the call to its
//! end ([`Desk::take`]).

mod access;
mod admission;
mod desk;
mod directory;
mod keys;
mod pace;
mod quota;
mod seldom;
mod short_lived;
mod strain;
mod timed;

pub use access::Access;
pub use admission::{Busy, CallGuard, Calls};
pub use desk::{Connected, Desk, Line};
pub use directory::{Answer, Directory, OneAgent};
pub use keys::{Entrant, Keys, Unauthorized, is_local_origin, presented_key};
pub use quota::{Exhausted, Part, Quota};
pub use seldom::Seldom;
pub use short_lived::{PREFIX as SHORT_LIVED_PREFIX, ShortLived, ShortLivedGrant, ShortLivedTerms};
pub use strain::FRAME;
