//! Businesses that share a server.

/// The tenant of whoever names none: a server without tenants has this one.
pub const DEFAULT_TENANT: &str = "default";
