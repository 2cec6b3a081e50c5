//! Pieces of a grammar in the notation of llama.cpp, GBNF.

/// How often llama.cpp repeats something at most; it refuses a larger least and takes a larger most for none
/// (`MAX_REPETITION_THRESHOLD` in `llama-grammar.cpp`).
pub(super) const MAX_REPEATED: u64 = 2_000;

/// How many of something may stand there. The most is never below the least, over which llama.cpp would loop for ever.
#[derive(Clone, Copy)]
pub(super) struct Count {
    pub(super) least: u64,
    pub(super) most: Option<u64>,
}

impl Count {
    /// How many times llama.cpp writes it down.
    pub(super) fn written(self) -> u64 {
        self.most.unwrap_or(self.least)
    }

    /// So many of an item, one behind the other. The item must be one name, character class or pair of parentheses.
    pub(super) fn of(self, item: &str) -> String {
        match (self.least, self.most) {
            (_, Some(0)) => String::new(),
            (0, Some(1)) => format!("{item}?"),
            (1, Some(1)) => item.to_owned(),
            (1, None) => format!("{item}+"),
            (0, None) => format!("{item}*"),
            (least, None) => format!("{item}{{{least},}}"),
            (least, Some(most)) if least == most => format!("{item}{{{least}}}"),
            (least, Some(most)) => format!("{item}{{{least},{most}}}"),
        }
    }
}

/// Text that must stand there as it is.
pub(in super::super) fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\r' => quoted.push_str("\\r"),
            '\n' => quoted.push_str("\\n"),
            '"' | '\\' => quoted.extend(['\\', c]),
            _ => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A range of characters between square brackets.
pub(super) fn range(from: char, to: char) -> String {
    if from == to { in_class(from) } else { format!("{}-{}", in_class(from), in_class(to)) }
}

fn in_class(c: char) -> String {
    match c {
        '"' | '\\' | '[' | ']' | '-' => format!("\\{c}"),
        '^' => r"\x5E".to_owned(),
        c if c.is_control() => format!("\\U{:08X}", u32::from(c)),
        c => c.to_string(),
    }
}
