//! What the words of a question show: whether two questions are the same, whether one can be understood by itself, and
//! whether its answer is soon out of date.

/// Sounds of hesitation, which change no question.
const HESITATIONS: [&str; 8] = ["um", "umm", "uh", "uhm", "er", "erm", "hmm", "mm"];
/// Words that refer to what was said before. Some also occur in questions that do not ("is it going to rain"): those are asked
/// anew, which is never wrong.
const POINTERS: [&str; 40] = [
    "it", "its", "this", "that", "these", "those", "they", "them", "their", "theirs", "he", "him", "his",
    "she", "her", "hers", "there", "then", "one", "ones", "same", "again", "else", "more", "another",
    "other", "others", "both", "either", "neither", "former", "latter", "instead", "too", "also", "first",
    "second", "last", "next", "previous",
];
/// First words of questions that continue what was said before.
const CONTINUATIONS: [&str; 8] = ["and", "but", "or", "so", "because", "then", "yes", "no"];
/// The same, of several words.
const CONTINUATION_PHRASES: [&str; 4] = ["what about", "how about", "why not", "how come"];
/// Shorter questions ("Why?", "How much?") cannot be understood by themselves.
const MIN_WORDS: usize = 3;
/// Words whose meaning depends on the time at which they are said.
const MOVING: [&str; 26] = [
    "now",
    "today",
    "tonight",
    "tomorrow",
    "yesterday",
    "currently",
    "current",
    "latest",
    "recent",
    "recently",
    "upcoming",
    "lately",
    "soon",
    "already",
    "yet",
    "still",
    "ago",
    "weather",
    "forecast",
    "news",
    "weekday",
    "date",
    "o'clock",
    "moment",
    "live",
    "status",
];
/// The same, of several words.
const MOVING_PHRASES: [&str; 24] = [
    "what time",
    "what day",
    "what month",
    "what year",
    "what season",
    "the time",
    "this morning",
    "this afternoon",
    "this evening",
    "this week",
    "this weekend",
    "this month",
    "this year",
    "last night",
    "last week",
    "last month",
    "last year",
    "next week",
    "next month",
    "next year",
    "so far",
    "these days",
    "how old",
    "how long until",
];

/// Words by which an answer names a day or hour relative to its own time.
const DAYS: [&str; 6] = ["today", "tonight", "tomorrow", "yesterday", "currently", "o'clock"];

/// The words of a text without case, punctuation and hesitations, to see what kind of question or answer it is and how likely questions
/// follow each other. Digits, signs within numbers and apostrophes stay: "3.5" is not "35", "we're" not "were". It is no key: questions
/// with different signs may have the same words.
pub(super) fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let begins = out.len();
        if begins > 0 {
            out.push(' ');
        }
        let from = out.len();
        push_word(word, &mut out);
        if out.len() == from || HESITATIONS.contains(&&out[from..]) {
            out.truncate(begins);
        }
    }
    out
}

/// Appends one word in lower case. A sign between two letters or digits is part of it.
fn push_word(word: &str, out: &mut String) {
    let is_edge =
        |c: char| !c.is_alphanumeric() && !matches!(c, '$' | '€' | '£' | '%' | '+' | '-' | '#' | '°');
    for c in word.trim_matches(is_edge).chars() {
        match c {
            '’' | 'ʼ' => out.push('\''),
            c if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            c => out.extend(c.to_lowercase()),
        }
    }
}

/// Whether a normalised question can be understood without what was said before it.
pub(super) fn stands_alone(question: &str) -> bool {
    let words = || question.split(' ');
    let first = words().next().unwrap_or_default();
    words().nth(MIN_WORDS - 1).is_some()
        && !CONTINUATIONS.contains(&first)
        && !CONTINUATION_PHRASES.iter().any(|phrase| question.starts_with(phrase))
        && !words().any(|word| POINTERS.contains(&stem(word)))
}

/// Whether a normalised question or answer depends on the time, so that it may be wrong an hour later.
pub(super) fn is_time_dependent(text: &str) -> bool {
    text.split(' ').any(|word| MOVING.contains(&stem(word)))
        || MOVING_PHRASES.iter().any(|phrase| has_words(text, phrase))
}

/// Whether a normalised answer names a day or an hour relative to its own time. This is narrower than [`is_time_dependent`],
/// because "still" and "soon" also occur in answers that stay true.
pub(super) fn tells_the_time(answer: &str) -> bool {
    answer.split(' ').any(|word| DAYS.contains(&stem(word)))
        || ["right now", "it is now", "this morning", "this afternoon", "this evening", "this week"]
            .iter()
            .any(|phrase| has_words(answer, phrase))
}

/// The word without its contracted ending: "that's" is "that".
fn stem(word: &str) -> &str {
    match word.find('\'') {
        Some(at) if word != "o'clock" => &word[..at],
        _ => word,
    }
}

fn has_words(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let starts = at == 0 || text.as_bytes()[at - 1] == b' ';
        let after = text.as_bytes().get(at + phrase.len());
        starts && matches!(after, None | Some(b' ' | b'\''))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_punctuation_and_hesitation_make_no_difference() {
        let expected = "what's the price of 3.5 kg";
        for text in [
            "What's the price of 3.5 kg?",
            "  um, what’s the  price of 3.5 kg...",
            "\"WHAT'S the price of, uh, 3.5 kg\"",
        ] {
            assert_eq!(normalise(text), expected);
        }
        assert_ne!(normalise("3.5 kg"), normalise("35 kg"));
        assert_ne!(normalise("it costs -5"), normalise("it costs 5"));
        assert_ne!(normalise("do you"), normalise("don't you"));
        assert_eq!(normalise("?! ... um"), "");
    }

    #[test]
    fn what_points_back_does_not_stand_alone() {
        for text in ["where can I park my car", "what are your opening hours", "how do I reset my password"] {
            assert!(stands_alone(&normalise(text)), "{text}");
        }
        for text in [
            "Why?",
            "How much is it?",
            "And on Sundays do you open",
            "What about the second floor?",
            "Can she come with me?",
            "What does that's cost mean",
            "tell me another joke please",
        ] {
            assert!(!stands_alone(&normalise(text)), "{text}");
        }
    }

    #[test]
    fn what_moves_with_the_clock_is_noticed() {
        for text in [
            "What time is it?",
            "Will it rain tomorrow?",
            "Who is the current president?",
            "Is my order there yet?",
            "what's today's date",
            "It is three o'clock.",
            "How's the weather?",
        ] {
            assert!(is_time_dependent(&normalise(text)), "{text}");
        }
        for text in
            ["How do I knit a scarf?", "What is the capital of France?", "Sometimes I sing.", "knowing you"]
        {
            assert!(!is_time_dependent(&normalise(text)), "{text}");
        }
    }

    #[test]
    fn an_answer_that_tells_the_day_is_noticed() {
        assert!(tells_the_time(&normalise("We're open until six today.")));
        assert!(tells_the_time(&normalise("It is three o'clock.")));
        assert!(!tells_the_time(&normalise("You will soon get a letter. You can now close the app.")));
    }

    proptest! {
        /// Normalising twice changes nothing, and letters and digits survive.
        #[test]
        fn normalising_is_stable(text in "[a-zA-Z0-9 ,.!?'’\"$%é-]{0,80}") {
            let once = normalise(&text);
            prop_assert_eq!(&normalise(&once), &once);
            prop_assert!(!once.contains("  ") && once.trim() == once);
        }
    }
}
