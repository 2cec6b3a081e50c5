//! Whether what was heard is only what the agent has just said: its own voice, come back through a room.

use super::bare_words::bare_words;

/// Fewer words are no sign: people answer with the words they were offered.
const FEWEST: usize = 4;
/// How much of the agent's words is looked at, from their end.
const LATEST: usize = 80;
/// Recognition gets one word in so many of an echo wrong.
const WRONG: usize = 4;

/// Whether the words of `heard` are a stretch of those of `said`, apart from a few.
pub fn repeats(said: &str, heard: &str) -> bool {
    let (said, heard) = (bare_words(said), bare_words(heard));
    let said = &said[said.len().saturating_sub(LATEST)..];
    if heard.len() < FEWEST || heard.len() > LATEST {
        return false;
    }
    // The longest common subsequence with any stretch of the agent's words that is about as long.
    let stretch = heard.len() + heard.len() / WRONG + 1;
    let common =
        said.windows(stretch.min(said.len().max(1))).map(|said| in_order(said, &heard)).max().unwrap_or(0);
    common + heard.len() / WRONG >= heard.len()
}

/// How many of the words come in the same order in both.
fn in_order(a: &[String], b: &[String]) -> usize {
    let mut before = vec![0; b.len() + 1];
    for word in a {
        let mut row = vec![0; b.len() + 1];
        for (at, other) in b.iter().enumerate() {
            row[at + 1] = if word == other { before[at] + 1 } else { before[at + 1].max(row[at]) };
        }
        before = row;
    }
    before[b.len()]
}

#[cfg(test)]
mod tests {
    use super::repeats;

    const SAID: &str = "The library opens at nine in the morning and closes at six in the evening.";

    #[test]
    fn an_echo_repeats_and_an_answer_does_not() {
        for heard in ["opens at nine in the morning", "Nine in the morning and closes at sick.", SAID] {
            assert!(repeats(SAID, heard), "{heard}");
        }
        for heard in [
            "",
            "six",
            "the evening",
            "When does it open in the morning?",
            "No, I need it at nine.",
            "stop stop stop",
        ] {
            assert!(!repeats(SAID, heard), "{heard}");
        }
        assert!(!repeats("", "these four words here"));
    }
}
