//! Reads the facts of a question that the guards compare.

use super::Guard;
use super::arrangement::{Word, currencies, dates, negations, pairs};
use super::context::{AUXILIARIES, Context, number_symbol};
use super::lexicon::Lexicon;
use super::numbers::{WordOrNumber, merge};
use super::phrases;
use super::symbol::Symbol;
use super::tokens::tokens;

/// The facts of a question, in their order.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) symbols: Vec<Symbol>,
}

impl Reading {
    /// Reads a question into the symbols that two questions are compared by.
    pub(super) fn of(text: &str) -> Self {
        let lexicon = Lexicon::get();
        let (tokens, opened) = phrases::replace(tokens(text));
        let items = merge(&tokens);
        let mut reading = Self::default();
        let mut words: Vec<Word> = Vec::with_capacity(items.len());
        for at in 0..items.len() {
            let symbol = match &items[at] {
                WordOrNumber::Number(number) => number_symbol(&items, at, number),
                WordOrNumber::Word(word) => {
                    let context = Context { lexicon, items: &items, at, word: &word.text };
                    reading.note_grammar(&context, opened);
                    context.symbol()
                }
            };
            words.push(word(&items[at], symbol));
        }
        negations(&mut words, lexicon);
        dates(&mut words);
        currencies(&mut words);
        pairs(&mut words);
        reading.symbols.extend(words.into_iter().filter_map(|word| word.symbol));
        reading
    }

    /// Adds the facts that the form of a sentence states: whether it is a yes-or-no question, its tense, and its voice.
    fn note_grammar(&mut self, context: &Context<'_>, opened: bool) {
        let starts = context.at == 0 || context.previous_pauses();
        let conditional = matches!(context.word, "if" | "whether");
        let opened = opened && context.at == 0;
        if starts && AUXILIARIES.contains(&context.word) && (!conditional || opened) {
            self.add(Guard::Question, "whether");
        }
        if matches!(context.word, "will" | "shall") || context.is_going_to() {
            self.add(Guard::Tense, "future");
        }
        if context.is_passive() {
            self.add(Guard::Tense, "passive");
        }
        if context.is_past() {
            self.add(Guard::Tense, "past");
        }
    }

    fn add(&mut self, guard: Guard, text: &'static str) {
        self.symbols.push(Symbol { guard, text: text.into() });
    }
}

fn word(item: &WordOrNumber, symbol: Option<Symbol>) -> Word {
    match item {
        WordOrNumber::Number(number) => Word { text: number.digits.clone(), pause: number.pause, symbol },
        WordOrNumber::Word(token) => Word { text: token.text.clone(), pause: token.pause, symbol },
    }
}
