//! The laboratory: load tests, the statistics of benchmarks, and the search for better settings.

#![expect(clippy::disallowed_methods, reason = "measures real servers from outside")]

pub mod change_point;
pub mod compare;
pub mod grade;
pub mod load;
pub mod online;
pub mod search;
pub mod statistics;
