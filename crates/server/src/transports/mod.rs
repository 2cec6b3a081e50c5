//! The protocols a call may come in by, one folder each.

pub(crate) mod file;
pub(crate) mod microphone;
pub(crate) mod realtime;
mod socket;
pub(crate) mod talk;
pub(crate) mod turns;
pub(crate) mod twilio;
