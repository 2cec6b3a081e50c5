//! Identities: everything in flight carries one, so that stale output can be dropped at the writer.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a server with one tenant and one agent calls both.
const ONLY: &str = "default";

/// Counts the person's turns within one call, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TurnId(pub u32);

impl TurnId {
    /// The turn after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps an identity made elsewhere.
            pub fn new(id: impl Into<Arc<str>>) -> Self {
                Self(id.into())
            }

            /// The identity as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self::new(id)
            }
        }

        impl From<&$name> for Arc<str> {
            fn from(id: &$name) -> Self {
                Self::clone(&id.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A business or household that shares the server with others.
    TenantId
);
text_id!(
    /// One agent of a tenant.
    AgentId
);
text_id!(
    /// Stands for an API key in logs, metrics and call records, and tells nothing of the key itself.
    KeyId
);
text_id!(
    /// One call, in every log line and span. Unique in time and between servers.
    CallId
);
text_id!(
    /// One item of a conversation: a message, a tool call or its output.
    ItemId
);
text_id!(
    /// One reply of the agent, OpenAI's "response".
    ReplyId
);

impl TenantId {
    /// The tenant of a server that has only one.
    pub fn only() -> Self {
        Self::new(ONLY)
    }
}

impl AgentId {
    /// The agent of a tenant that has only one.
    pub fn only() -> Self {
        Self::new(ONLY)
    }
}
