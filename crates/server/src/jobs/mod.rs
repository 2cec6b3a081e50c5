//! What the server does beside calls and requests, from its start to its end.

pub(crate) mod caching;
pub(crate) mod reporting;
