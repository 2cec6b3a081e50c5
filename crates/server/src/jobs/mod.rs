//! Background jobs of the server, which run beside calls and requests from its start to its end.

pub(crate) mod caching;
pub(crate) mod reporting;
pub(crate) mod strain;
