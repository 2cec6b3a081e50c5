//! Which questions mean the same, as people said.

use std::collections::{HashMap, HashSet};

use crate::data::Pair;

/// Which of the questions mean the same.
pub(crate) struct Labels<'a> {
    /// The next on the way to the question that stands for all that mean the same.
    same_as: HashMap<&'a str, &'a str>,
    different: HashSet<(&'a str, &'a str)>,
}

impl<'a> Labels<'a> {
    pub(crate) fn new(pairs: &'a [Pair]) -> Self {
        let mut same_as: HashMap<&str, &str> = HashMap::new();
        for pair in pairs.iter().filter(|pair| pair.same) {
            let (a, b) = (root(&same_as, &pair.cached), root(&same_as, &pair.asked));
            if a != b {
                same_as.insert(a, b);
            }
        }
        let different = pairs.iter().filter(|pair| !pair.same);
        let different = different.map(|pair| (pair.cached.as_str(), pair.asked.as_str())).collect();
        Self { same_as, different }
    }

    /// Whether the one's reply answers the other; `None` if that follows from nothing that was said.
    pub(crate) fn of(&self, cached: &str, asked: &str) -> Option<bool> {
        if self.different.contains(&(cached, asked)) {
            return Some(false);
        }
        (root(&self.same_as, cached) == root(&self.same_as, asked)).then_some(true)
    }
}

fn root<'t>(same_as: &HashMap<&'t str, &'t str>, text: &'t str) -> &'t str {
    let mut text = text;
    while let Some(next) = same_as.get(text) {
        text = next;
    }
    text
}
