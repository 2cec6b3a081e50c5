//! Checks whether two questions that are close in meaning ask for the same facts.
//!
//! Embeddings put "order 48213" beside "order 48231", "do" beside "do not", and "from London to Paris" beside the way back.
//! [`differs`] compares what embeddings blur. It is strict: only words known to carry no fact (articles, auxiliaries, courtesies)
//! and forms and synonyms known to be equivalent may differ. Every other word counts as a name, since speech recognition
//! gives no capitals to recognise names by. So a question in a language other than English passes only against nearly the
//! same words.

mod arrangement;
mod context;
mod inflection;
mod lexicon;
mod numbers;
mod phrases;
mod reading;
mod symbol;
#[cfg(test)]
mod tests;
mod tokens;
mod words;

use std::collections::BTreeSet;

use reading::Reading;
use symbol::Symbol;

/// The kind of fact in which two questions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guard {
    /// A number, in digits or in words, cardinal or ordinal.
    Number,
    /// Milligrams or grams, dollars or euros, a.m. or p.m., days or weeks.
    Unit,
    /// A weekday, a month, today or tomorrow.
    Date,
    /// Not, never, without, except.
    Negation,
    /// Who, when, where, why, how, what, or whether.
    Question,
    /// Whose it is or who does it: mine, yours, theirs.
    Person,
    /// What was, is or will be; what does something or has it done to it.
    Tense,
    /// From, to or by.
    Direction,
    /// A name, a thing, a deed, a comparison: any word that is not known to be interchangeable.
    Content,
    /// The same words in another order: who does what to whom.
    Order,
}

impl Guard {
    /// The order of comparison: the surest first.
    const COMPARED: [Self; 9] = [
        Self::Number,
        Self::Unit,
        Self::Date,
        Self::Negation,
        Self::Question,
        Self::Person,
        Self::Tense,
        Self::Direction,
        Self::Content,
    ];
}

/// The first thing in which the questions differ; `None` if they ask for the same facts as far as words tell.
pub fn differs(a: &str, b: &str) -> Option<Guard> {
    let (a, b) = (Reading::of(a), Reading::of(b));
    let agree = |guard: &Guard| match guard {
        Guard::Person => persons_agree(&a.set(*guard), &b.set(*guard)),
        Guard::Direction => directions_agree(&a, &b),
        Guard::Question | Guard::Tense => a.set(*guard) == b.set(*guard),
        guard => a.sorted(*guard) == b.sorted(*guard),
    };
    let differs = Guard::COMPARED.into_iter().find(|guard| !agree(guard));
    differs.or_else(|| (a.sequence() != b.sequence()).then_some(Guard::Order))
}

/// The facts of one kind in a text, each once.
pub fn says(text: &str, guard: Guard) -> BTreeSet<String> {
    Reading::of(text).of_guard(guard).map(str::to_owned).collect()
}

/// "How do I pay" is "how to pay", and "my card" is "the card", but not "a card";
/// any other person must be named in both.
fn persons_agree(a: &BTreeSet<&str>, b: &BTreeSet<&str>) -> bool {
    let named = |persons: &BTreeSet<&str>, by: &BTreeSet<&str>| {
        persons.iter().all(|person| match *person {
            "i" | "the" => true,
            "my" => by.contains("my") || by.contains("the"),
            person => by.contains(person),
        })
    };
    named(a, b) && named(b, a)
}

/// "In" and "on" may be left out, but do not stand for each other; "from", "to" and "by" must be in both.
fn directions_agree(a: &Reading, b: &Reading) -> bool {
    let split = |reading: &Reading| -> (Vec<_>, BTreeSet<_>) {
        let directions = reading.sorted(Guard::Direction).into_iter();
        let (places, paths): (Vec<_>, Vec<_>) =
            directions.map(str::to_owned).partition(|word| is_place(word));
        (paths, places.into_iter().collect())
    };
    let ((a_paths, a_places), (b_paths, b_places)) = (split(a), split(b));
    let exchanged = !a_places.is_empty() && !b_places.is_empty() && a_places.is_disjoint(&b_places);
    a_paths == b_paths && !exchanged
}

fn is_place(word: &str) -> bool {
    matches!(word, "in" | "on")
}

impl Reading {
    fn of_guard(&self, guard: Guard) -> impl Iterator<Item = &str> {
        self.symbols.iter().filter(move |symbol| symbol.guard == guard).map(|symbol| &*symbol.text)
    }

    fn set(&self, guard: Guard) -> BTreeSet<&str> {
        self.of_guard(guard).collect()
    }

    fn sorted(&self, guard: Guard) -> Vec<&str> {
        let mut texts: Vec<_> = self.of_guard(guard).collect();
        texts.sort_unstable();
        texts
    }

    /// The facts whose order matters; persons only where there are several: "I call you" is not "you call me".
    fn sequence(&self) -> Vec<&Symbol> {
        let is_doer = |symbol: &Symbol| !matches!(&*symbol.text, "my" | "the");
        let doers = self.symbols.iter().filter(|symbol| symbol.guard == Guard::Person && is_doer(symbol));
        let several = doers.map(|symbol| &symbol.text).collect::<BTreeSet<_>>().len() > 1;
        let ordered = |symbol: &&Symbol| match symbol.guard {
            Guard::Question | Guard::Tense => false,
            Guard::Person => several && is_doer(symbol),
            Guard::Direction => !is_place(&symbol.text),
            _ => true,
        };
        let mut sequence: Vec<_> = self.symbols.iter().filter(ordered).collect();
        sequence.dedup_by(|a, b| a.guard == Guard::Person && a == b);
        sequence
    }
}
