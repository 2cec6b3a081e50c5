//! The conversation: what was said and heard, in order.

use std::time::Duration;

use antiphon_core::call::Place;
use antiphon_core::{ConversationItem, ItemContent, ItemId, ItemStatus, Part};

/// Items kept; the oldest are forgotten. At two items a turn this is more than an hour of talk.
const MAX_ITEMS: usize = 1_000;

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
    /// Read by the model, and not shown to the client.
    hidden: bool,
}

impl History {
    /// Inserts an item and gives the one before it. An item without its [`Place::After`] is refused.
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

    fn bound(&mut self) {
        if self.entries.len() > MAX_ITEMS {
            self.entries.remove(0);
        }
    }

    /// Appends an item and gives the one before it.
    pub(crate) fn push(&mut self, item: ConversationItem) -> Option<ItemId> {
        self.insert(item, &Place::Last).unwrap_or_default()
    }

    /// The identity of the last item that the client knows.
    pub(crate) fn last(&self) -> Option<ItemId> {
        last_shown(&self.entries)
    }

    /// The item before this one, as the client sees it.
    pub(crate) fn previous(&self, id: &ItemId) -> Option<ItemId> {
        last_shown(&self.entries[..self.position(id)?])
    }

    /// The item.
    pub(crate) fn get(&self, id: &ItemId) -> Option<&ConversationItem> {
        self.position(id).map(|at| &self.entries[at].item)
    }

    /// The item, to change.
    pub(crate) fn get_mut(&mut self, id: &ItemId) -> Option<&mut ConversationItem> {
        self.position(id).map(|at| &mut self.entries[at].item)
    }

    /// Removes the item.
    pub(crate) fn remove(&mut self, id: &ItemId) -> Option<ConversationItem> {
        self.position(id).map(|at| self.entries.remove(at).item)
    }

    /// All items, oldest first.
    pub(crate) fn items(&self) -> impl Iterator<Item = &ConversationItem> {
        self.entries.iter().map(|e| &e.item)
    }

    /// Adds to the length of the item's audio.
    pub(crate) fn extend_audio(&mut self, id: &ItemId, by: Duration) {
        if let Some(at) = self.position(id) {
            self.entries[at].audio += by;
        }
    }

    /// How long the item's audio is.
    pub(crate) fn audio(&self, id: &ItemId) -> Option<Duration> {
        self.position(id).map(|at| self.entries[at].audio)
    }

    /// Keeps only what was heard: the item's text becomes `heard`.
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
        // The items asked for are nearly always the latest.
        self.entries.iter().rposition(|e| e.item.id == *id)
    }
}

fn last_shown(entries: &[Entry]) -> Option<ItemId> {
    entries.iter().rfind(|entry| !entry.hidden).map(|entry| entry.item.id.clone())
}

#[cfg(test)]
mod tests {
    use antiphon_core::Role;

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
}
