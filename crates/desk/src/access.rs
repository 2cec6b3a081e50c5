//! What a route of the server asks of those who use it.

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches the server: pages, probes and metrics.
    Public,
    /// Whoever has one of the server's keys.
    Key,
    /// Whoever has a key, or a client secret: it opens calls and nothing else.
    Call,
    /// A telephone company, which signs its requests: the route checks that itself.
    Signed,
}
