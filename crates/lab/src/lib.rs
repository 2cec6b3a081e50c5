//! Load tests, statistics of benchmarks, performance grades, and the search for better settings. Nothing here knows an engine: load
//! tests call a server from outside, and everything else decides on numbers alone.

#![expect(clippy::disallowed_methods, reason = "measures real servers from outside")]

pub mod change_point;
pub mod compare;
pub mod grade;
pub mod load;
pub mod online;
pub mod search;
pub mod statistics;
