//! Access rules of the server's routes: which credentials a request must carry.

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches the server: pages, probes and metrics.
    Public,
    /// Whoever presents one of the server's keys.
    Key,
    /// Whoever presents a key or a client secret. A client secret opens calls and nothing else.
    Call,
    /// A telephone company, which signs its requests. The route itself checks the signature.
    Signed,
}
