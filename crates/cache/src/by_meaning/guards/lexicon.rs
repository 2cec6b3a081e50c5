//! The dictionary of the guards.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::Guard;
use super::inflection::{Form, forms};
use super::words::{MEANINGS, SILENT, SYNONYMS};

/// The word lists as tables.
pub(super) struct Lexicon {
    silent: HashSet<&'static str>,
    meanings: HashMap<&'static str, (Guard, &'static str)>,
    synonyms: HashMap<&'static str, &'static str>,
    forms: HashMap<String, Form>,
}

impl Lexicon {
    /// The tables, which the first call builds.
    pub(super) fn get() -> &'static Self {
        static LEXICON: OnceLock<Lexicon> = OnceLock::new();
        LEXICON.get_or_init(Self::new)
    }

    fn new() -> Self {
        let meanings = MEANINGS.iter().flat_map(|(guard, line)| {
            let (meaning, words) = line.split_once(": ").unwrap_or((line, ""));
            words.split_whitespace().chain([meaning]).map(move |word| (word, (*guard, meaning)))
        });
        let synonyms = SYNONYMS.iter().flat_map(|line| {
            let mut words = line.split(' ');
            let first = words.next().unwrap_or_default();
            words.map(move |word| (word, first))
        });
        Self {
            silent: SILENT.split_whitespace().collect(),
            meanings: meanings.collect(),
            synonyms: synonyms.collect(),
            forms: forms(),
        }
    }

    pub(super) fn is_silent(&self, word: &str) -> bool {
        self.silent.contains(word)
    }

    pub(super) fn meaning(&self, word: &str) -> Option<(Guard, &'static str)> {
        self.meanings.get(word).copied()
    }

    pub(super) fn form(&self, word: &str) -> Option<Form> {
        self.forms.get(word).copied()
    }

    /// The form in which a word is compared: its base form, and one of several synonyms.
    pub(super) fn content(&self, word: &str) -> Cow<'static, str> {
        let synonym = |word: &str| self.synonyms.get(word).copied();
        if let Some(same) = synonym(word) {
            return same.into();
        }
        if let Some(form) = self.form(word) {
            return synonym(form.base).unwrap_or(form.base).into();
        }
        let singular = singular(word);
        synonym(&singular).map_or_else(|| singular.into_owned().into(), Cow::from)
    }
}

/// A noun without its plural ending: "cities", "boxes", "cards", but "bus", "glass" and "analysis" stay.
fn singular(word: &str) -> Cow<'_, str> {
    let kept = ["ss", "us", "is"].iter().any(|end| word.ends_with(end)) || word.len() < 4;
    let sibilant = ["ches", "shes", "xes", "sses", "zes"].iter().any(|end| word.ends_with(end));
    match word.strip_suffix('s').filter(|_| !kept) {
        None => word.into(),
        Some(stem) if sibilant => stem[..stem.len() - 1].to_owned().into(),
        Some(stem) => stem.strip_suffix("ie").map_or(stem.into(), |stem| format!("{stem}y").into()),
    }
}
