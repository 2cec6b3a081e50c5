//! What the words of a turn say about whether more follow.

use super::Expected;
use crate::dialog::bare_words::bare_words;

/// Words after which a sentence goes on: articles, prepositions, conjunctions, auxiliaries and possessives, the closed classes of English
/// grammar (Quirk et al., A Comprehensive Grammar of the English Language, 2.39).
const OPEN: &[&str] = &[
    "a", "about", "after", "against", "also", "although", "am", "among", "an", "and", "another", "any",
    "are", "aren't", "around", "as", "at", "be", "because", "been", "before", "being", "between", "both",
    "but", "by", "called", "can", "can't", "could", "couldn't", "did", "didn't", "do", "does", "doesn't",
    "don't", "during", "each", "either", "even", "every", "for", "from", "had", "has", "have", "he", "he's",
    "her", "his", "i", "i'd", "i'll", "i'm", "i've", "if", "in", "into", "is", "isn't", "it'll", "it's",
    "its", "just", "let's", "may", "might", "most", "must", "my", "named", "need", "neither", "nor", "of",
    "on", "only", "onto", "or", "other", "our", "over", "per", "quite", "rather", "really", "says", "shall",
    "she", "she's", "should", "since", "some", "spelled", "still", "such", "than", "that'll", "that's",
    "the", "their", "there's", "these", "they", "they're", "this", "those", "though", "through", "to",
    "under", "until", "upon", "very", "via", "want", "was", "we", "we'll", "we're", "were", "what's", "when",
    "where", "whether", "which", "while", "who", "whose", "will", "with", "within", "without", "won't",
    "would", "wouldn't", "you're", "your",
];
/// Sounds of somebody who looks for the next word.
const FILLERS: &[&str] = &["ah", "eh", "er", "erm", "hm", "hmm", "so", "uh", "uhm", "um", "well"];
/// Words that end what somebody has to say.
const CLOSING: &[&str] = &[
    "again", "bye", "correct", "goodbye", "it", "now", "ok", "okay", "one", "please", "right", "sure",
    "thanks", "that", "then", "today", "tomorrow", "too", "yeah", "yep", "yes", "you",
];
/// Words at the beginning of a clause that another one follows.
const SUBORDINATE: &[&str] =
    &["although", "as", "because", "if", "since", "though", "unless", "when", "while"];
/// Numbers as words, and how many digits of a number each stands for.
const NUMBERS: &[(&str, usize)] = &[
    ("zero", 1),
    ("oh", 1),
    ("o", 1),
    ("one", 1),
    ("two", 1),
    ("three", 1),
    ("four", 1),
    ("five", 1),
    ("six", 1),
    ("seven", 1),
    ("eight", 1),
    ("nine", 1),
    ("ten", 2),
    ("eleven", 2),
    ("twelve", 2),
    ("thirteen", 2),
    ("fourteen", 2),
    ("fifteen", 2),
    ("sixteen", 2),
    ("seventeen", 2),
    ("eighteen", 2),
    ("nineteen", 2),
    ("twenty", 2),
    ("thirty", 2),
    ("forty", 2),
    ("fifty", 2),
    ("sixty", 2),
    ("seventy", 2),
    ("eighty", 2),
    ("ninety", 2),
];

/// Answers to a question that can be answered with yes or no.
const ANSWERS: &[&str] =
    &["correct", "exactly", "nah", "no", "nope", "not", "okay", "right", "sure", "yeah", "yep", "yes"];
/// Words of which answers and courtesies consist that are whole.
const WHOLE: &[&str] = &[
    "absolutely",
    "bye",
    "correct",
    "course",
    "fine",
    "good",
    "goodbye",
    "great",
    "hello",
    "hey",
    "hi",
    "morning",
    "much",
    "nah",
    "no",
    "nope",
    "not",
    "of",
    "okay",
    "ok",
    "perfect",
    "please",
    "problem",
    "right",
    "sure",
    "thank",
    "thanks",
    "that's",
    "very",
    "yeah",
    "yep",
    "yes",
    "you",
];
/// The most words of such an answer.
const MOST_OF_AN_ANSWER: usize = 3;
/// How many digits numbers have that are read in groups: telephone numbers of North America and of others, and cards.
const WHOLE_NUMBERS: &[usize] = &[10, 11, 12, 15, 16];
// What follows is set by hand, as differences of log odds, because no recordings with an agent's questions may be trained on.
/// What was asked for has been said: an end is seven times as likely.
const ANSWERED: f32 = 2.0;
/// It has not: an end is a twentieth as likely.
const UNFINISHED: f32 = -3.0;
/// Answers and courtesies mostly stand alone in calls. The recordings do not show that: there they begin sentences.
const WHOLE_IN_ITSELF: f32 = 1.0;

/// How many cues the words give.
pub(super) const WORD_CUES: usize = 15;
/// So many words are few.
pub(super) const FEW: usize = 3;

/// Which of them says that there are no words.
pub(super) const WORDLESS: usize = 1;

/// What the words of a turn say, each from 0 to 1 unless something else is said.
pub(super) fn cues(text: &str) -> [f32; WORD_CUES] {
    let words = bare_words(text);
    let is = |condition: bool| f32::from(u8::from(condition));
    let last = words.last().map_or("", String::as_str);
    let ends = text.trim_end();
    let digits = trailing_digits(&words);
    let in_number = digits > 0;
    [
        // The logarithm of their number, from 0.
        (words.len() as f32).ln_1p(),
        is(words.is_empty()),
        is(words.len() == 1),
        is(OPEN.contains(&last)),
        is(FILLERS.contains(&last)),
        is(CLOSING.contains(&last) && words.len() > 1),
        is(ends.ends_with(',') || ends.ends_with('-') || ends.ends_with("...") || ends.ends_with('\u{2026}')),
        is(ends.ends_with('?')),
        is(!ends.ends_with(['.', '?', '!'])),
        is(words.first().is_some_and(|first| SUBORDINATE.contains(&first.as_str())) && words.len() < 9),
        is(in_number && digits <= 2),
        is((3..=6).contains(&digits)),
        is((7..=9).contains(&digits)),
        is(digits >= 10),
        is(is_whole(&words)),
    ]
}

/// By how much what the agent has asked for makes the end of the turn likelier, as a difference of log odds.
pub(super) fn expectation(text: &str, expected: Expected) -> f32 {
    let words = bare_words(text);
    match expected {
        Expected::Anything => {
            if is_whole(&words) {
                WHOLE_IN_ITSELF
            } else {
                0.0
            }
        }
        Expected::YesOrNo => {
            let answers = words.iter().any(|word| ANSWERS.contains(&word.as_str()));
            if (answers && words.len() <= MOST_OF_AN_ANSWER) || is_whole(&words) { ANSWERED } else { 0.0 }
        }
        Expected::Value => {
            let digits = trailing_digits(&words);
            if WHOLE_NUMBERS.contains(&digits) {
                ANSWERED
            } else if is_whole(&words) {
                // "No." and "Thanks." are no beginning of a value.
                WHOLE_IN_ITSELF
            } else {
                UNFINISHED
            }
        }
    }
}

/// Whether the words are an answer or a courtesy.
fn is_whole(words: &[String]) -> bool {
    !words.is_empty() && words.iter().all(|word| WHOLE.contains(&word.as_str()))
}

/// How many digits the number has with which these words end; 0 without one.
fn trailing_digits(words: &[String]) -> usize {
    words.iter().rev().map_while(|word| digits(word)).sum()
}

/// How many digits of a number a word stands for; `None` if it is no part of one.
fn digits(word: &str) -> Option<usize> {
    if let Some((_, digits)) = NUMBERS.iter().find(|(name, _)| *name == word) {
        return Some(*digits);
    }
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let others = word.chars().any(char::is_alphabetic);
    (digits > 0 && !others).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits_at_end(text: &str) -> usize {
        trailing_digits(&bare_words(text))
    }

    #[test]
    fn the_digits_of_a_number_are_counted_however_it_is_written() {
        for (text, digits) in [
            ("My number is 555", 3),
            ("five five five, one two", 5),
            ("555-1234.", 7),
            ("It is 5:06", 3),
            ("nineteen eighty four", 5),
            ("Chapter 3 begins", 0),
            ("", 0),
        ] {
            assert_eq!(digits_at_end(text), digits, "{text}");
        }
    }
}
