//! How a store tells whoever keeps the results of its searches that they may be out of date.

/// How often the content of a store has changed since it was opened. The default stands for a store that never changes or does
/// not count its changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreVersion {
    /// How many changes there were, of all kinds.
    pub changes: u64,
    /// Of them, those of the kind [`StoreChange::Anything`].
    pub sweeping: u64,
}

/// How much of what searches find a change may concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// Nothing has changed, so results that were kept are still right.
    Nothing,
    /// Some passages came or went, once, and only searches that find one of them are concerned. This holds for stores that rank
    /// each passage by how close it is to what is asked for, whatever else they hold.
    Passages,
    /// Any search may find something else now.
    Anything,
}

impl StoreVersion {
    /// The version after a change.
    #[must_use]
    pub fn after(self, change: StoreChange) -> Self {
        let Self { changes, sweeping } = self;
        match change {
            StoreChange::Nothing => self,
            StoreChange::Passages => Self { changes: changes + 1, sweeping },
            StoreChange::Anything => Self { changes: changes + 1, sweeping: sweeping + 1 },
        }
    }

    /// What may have changed since an earlier version. More than one change counts as [`StoreChange::Anything`], because only
    /// the latest is known to whoever asks.
    pub fn change_since(self, earlier: Self) -> StoreChange {
        match self.changes.saturating_sub(earlier.changes) {
            0 => StoreChange::Nothing,
            1 if self.sweeping == earlier.sweeping => StoreChange::Passages,
            _ => StoreChange::Anything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_of_passages_is_told_from_all_others() {
        let first = StoreVersion::default();
        assert_eq!(first.change_since(first), StoreChange::Nothing);
        let added = first.after(StoreChange::Passages);
        assert_eq!(added.change_since(first), StoreChange::Passages);
        assert_eq!(first.change_since(added), StoreChange::Nothing, "an older version tells of nothing new");
        assert_eq!(added.after(StoreChange::Passages).change_since(first), StoreChange::Anything);
        assert_eq!(first.after(StoreChange::Anything).change_since(first), StoreChange::Anything);
        assert_eq!(added.after(StoreChange::Anything).change_since(first), StoreChange::Anything);
        assert_eq!(added.after(StoreChange::Nothing), added);
    }
}
