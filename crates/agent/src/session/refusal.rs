//! Why a client's command could not be carried out.

use antiphon_core::ItemId;

/// What the client is told about a command that was not carried out.
pub(super) struct Refusal {
    /// The reason for machines, such as `item_not_found`.
    pub(super) code: &'static str,
    /// The reason for people.
    pub(super) message: String,
}

/// Refuses a command with `code` for machines and `message` for people.
pub(super) fn refuse<V>(code: &'static str, message: impl Into<String>) -> Result<V, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// Refuses a command that names an item which the conversation does not hold.
pub(super) fn no_item<V>(id: &ItemId) -> Result<V, Refusal> {
    refuse("item_not_found", format!("no item '{id}' in the conversation"))
}
