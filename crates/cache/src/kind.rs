//! The kinds of values that are cached.

/// The kind of value that an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What the language model answered.
    Reply,
    /// A clause as the speech engine spoke it.
    Speech,
    /// The vector of a text.
    Embedding,
    /// What a search found.
    Result,
}

impl Kind {
    /// All kinds, in the order of their numbers on disk.
    pub const ALL: [Self; 4] = [Self::Reply, Self::Speech, Self::Embedding, Self::Result];

    /// Its name in keys, metrics and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Speech => "speech",
            Self::Embedding => "embedding",
            Self::Result => "result",
        }
    }

    /// Whether entries may be kept in layers. Search results may not: they would outlive a change of the store that this process
    /// does not hear of.
    pub(crate) const fn outlives_memory(self) -> bool {
        !matches!(self, Self::Result)
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
