//! The conversation: what was said and heard, in order.

use std::time::Duration;

use antiphon_core::call::Place;
use antiphon_core::{ConversationItem, ItemContent, ItemId, ItemStatus, Part};

/// Most items that are kept; the oldest are dropped. At two items a turn this is more than an hour of conversation.
const MAX_ITEMS: usize = 1_000;
/// Most bytes that are kept, text and names: ten hours of conversation, and more than the longest context of a model.
const MAX_BYTES: usize = 1 << 20;
/// Longest item that a client may add, in bytes of text and names. Longer ones would displace too much of the conversation.
pub(crate) const LONGEST_GIVEN: usize = TEXT_GIVEN + (1 << 10);
/// The text of it, in bytes. The rest of [`LONGEST_GIVEN`] is for names.
pub(crate) const TEXT_GIVEN: usize = 64 << 10;

/// The items of one conversation.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    item: ConversationItem,
    /// How long the item's audio is, if it has any.
    audio: Duration,
    /// Whether the model reads the item although the client is not shown it.
    hidden: bool,
}

impl History {
    /// Inserts an item and returns the one before it. Fails if the item that [`Place::After`] names does not exist.
    pub(crate) fn insert(&mut self, item: ConversationItem, place: &Place) -> Result<Option<ItemId>, ItemId> {
        let at = match place {
            Place::Last => self.entries.len(),
            Place::First => 0,
            Place::After(id) => self.position(id).ok_or_else(|| id.clone())? + 1,
        };
        let id = item.id.clone();
        self.entries.insert(at, Entry { item, audio: Duration::ZERO, hidden: false });
        self.bound();
        Ok(self.previous(&id))
    }

    /// Appends an item that the client is not shown.
    pub(crate) fn push_hidden(&mut self, item: ConversationItem) {
        self.entries.push(Entry { item, audio: Duration::ZERO, hidden: true });
        self.bound();
    }

    /// Drops the oldest items. A tool's result is dropped together with its call, because models refuse one without
    /// the other.
    fn bound(&mut self) {
        let mut bytes: usize = self.entries.iter().map(|entry| entry.item.held_bytes()).sum();
        let (mut forgotten, items) = (0, self.entries.len());
        for entry in &self.entries {
            if items - forgotten <= MAX_ITEMS && bytes <= MAX_BYTES {
                break;
            }
            bytes -= entry.item.held_bytes();
            forgotten += 1;
        }
        let calls: Vec<String> =
            self.entries.drain(..forgotten).filter_map(|entry| call_id(entry.item)).collect();
        if !calls.is_empty() {
            self.entries.retain(|entry| match &entry.item.content {
                ItemContent::ToolOutput { call_id, .. } => !calls.contains(call_id),
                _ => true,
            });
        }
    }

    /// Appends an item and returns the one before it.
    pub(crate) fn push(&mut self, item: ConversationItem) -> Option<ItemId> {
        self.insert(item, &Place::Last).unwrap_or_default()
    }

    /// The id of the last item that the client knows.
    pub(crate) fn last(&self) -> Option<ItemId> {
        last_shown(&self.entries)
    }

    /// The item before this one, as the client sees them.
    pub(crate) fn previous(&self, id: &ItemId) -> Option<ItemId> {
        last_shown(&self.entries[..self.position(id)?])
    }

    /// The item with this id; `None` if the conversation has none such.
    pub(crate) fn get(&self, id: &ItemId) -> Option<&ConversationItem> {
        self.position(id).map(|at| &self.entries[at].item)
    }

    /// Replaces an item that was still growing. An item that the client has truncated keeps the text that was heard.
    pub(crate) fn update(&mut self, item: ConversationItem) {
        if let Some(kept) = self.get_mut(&item.id).filter(|kept| kept.status == ItemStatus::InProgress) {
            *kept = item;
        }
    }

    /// Moves an item behind the hidden ones that follow it, because the rest of its text will be said after them.
    pub(crate) fn move_past_hidden(&mut self, id: &ItemId) {
        let Some(at) = self.position(id) else { return };
        let hidden = self.entries[at + 1..].iter().take_while(|entry| entry.hidden).count();
        self.entries[at..=at + hidden].rotate_left(1);
    }

    /// The item, to change.
    pub(crate) fn get_mut(&mut self, id: &ItemId) -> Option<&mut ConversationItem> {
        self.position(id).map(|at| &mut self.entries[at].item)
    }

    pub(crate) fn remove(&mut self, id: &ItemId) -> Option<ConversationItem> {
        self.position(id).map(|at| self.entries.remove(at).item)
    }

    /// All items, oldest first.
    pub(crate) fn items(&self) -> impl Iterator<Item = &ConversationItem> {
        self.entries.iter().map(|e| &e.item)
    }

    /// Adds `by` to the length of the item's audio.
    pub(crate) fn extend_audio(&mut self, id: &ItemId, by: Duration) {
        if let Some(at) = self.position(id) {
            self.entries[at].audio += by;
        }
    }

    /// How long the item's audio is.
    pub(crate) fn audio(&self, id: &ItemId) -> Option<Duration> {
        self.position(id).map(|at| self.entries[at].audio)
    }

    /// Reduces the item to what was heard: its text becomes `heard`.
    pub(crate) fn truncate(&mut self, id: &ItemId, heard: String) {
        let Some(item) = self.get_mut(id) else { return };
        item.status = ItemStatus::Incomplete;
        if let ItemContent::Message { parts, .. } = &mut item.content
            && let Some(part) = parts.first_mut()
        {
            *part = match part {
                Part::Text(_) => Part::Text(heard),
                Part::Audio { .. } => Part::Audio { transcript: Some(heard) },
            };
        }
    }

    fn position(&self, id: &ItemId) -> Option<usize> {
        // The item in question is nearly always one of the latest.
        self.entries.iter().rposition(|e| e.item.id == *id)
    }
}

/// The id of the tool call that this item is, if it is one.
fn call_id(item: ConversationItem) -> Option<String> {
    match item.content {
        ItemContent::ToolCall(call) => Some(call.id),
        _ => None,
    }
}

fn last_shown(entries: &[Entry]) -> Option<ItemId> {
    entries.iter().rfind(|entry| !entry.hidden).map(|entry| entry.item.id.clone())
}

#[cfg(test)]
mod tests {
    use antiphon_core::{Role, ToolCall};

    use super::*;

    fn message(id: &str, text: &str) -> ConversationItem {
        let part = Part::Audio { transcript: Some(text.to_owned()) };
        ConversationItem::message(ItemId::new(id), Role::Assistant, part)
    }

    fn ids(history: &History) -> Vec<&str> {
        history.items().map(|i| i.id.as_str()).collect()
    }

    #[test]
    fn items_go_where_they_are_asked_to() {
        let mut history = History::default();
        assert_eq!(history.push(message("b", "")), None);
        assert_eq!(history.push(message("d", "")), Some(ItemId::new("b")));
        assert_eq!(history.insert(message("a", ""), &Place::First), Ok(None));
        let after = Place::After(ItemId::new("b"));
        assert_eq!(history.insert(message("c", ""), &after), Ok(Some(ItemId::new("b"))));
        assert_eq!(ids(&history), ["a", "b", "c", "d"]);
        let nowhere = Place::After(ItemId::new("x"));
        assert_eq!(history.insert(message("e", ""), &nowhere), Err(ItemId::new("x")));
    }

    #[test]
    fn a_truncated_item_holds_what_was_heard() {
        let mut history = History::default();
        history.push(message("a", "one two three"));
        history.truncate(&ItemId::new("a"), "one".to_owned());
        let item = history.get(&ItemId::new("a")).expect("there");
        assert_eq!((item.text().as_str(), item.status), ("one", ItemStatus::Incomplete));
    }

    #[test]
    fn the_oldest_items_are_forgotten() {
        let mut history = History::default();
        for n in 0..=MAX_ITEMS {
            history.push(message(&n.to_string(), ""));
        }
        assert_eq!(history.items().count(), MAX_ITEMS);
        assert_eq!(history.get(&ItemId::new("0")), None);
    }

    #[test]
    fn the_text_kept_is_bounded_and_no_output_is_left_without_its_call() {
        let mut history = History::default();
        let hidden = |id: &str, content| ConversationItem {
            id: ItemId::new(id),
            content,
            status: ItemStatus::Completed,
        };
        let call = ToolCall { id: "1".into(), name: "time".into(), arguments: "{}".into() };
        let output = ItemContent::ToolOutput { call_id: "1".into(), output: "noon".into() };
        history.push_hidden(hidden("call", ItemContent::ToolCall(call)));
        history.push_hidden(hidden("output", output));
        for n in 0..=16 {
            history.push(message(&n.to_string(), &"a".repeat(MAX_BYTES / 16 - 64)));
        }
        assert_eq!(history.items().count(), 16);
        assert_eq!(history.get(&ItemId::new("output")), None);
    }

    #[test]
    fn what_goes_on_after_a_tool_comes_after_it() {
        let mut history = History::default();
        history.push(message("said", "Let me look."));
        history.push_hidden(message("call", ""));
        history.push_hidden(message("output", ""));
        history.push(message("next", ""));
        history.move_past_hidden(&ItemId::new("said"));
        assert_eq!(ids(&history), ["call", "output", "said", "next"]);
    }
}
