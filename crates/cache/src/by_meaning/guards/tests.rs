use proptest::prelude::*;

use super::numbers::{TENS, UNITS};
use super::*;

/// Pairs written to look alike and mean something else: the kind of trap, and two questions.
const DIFFERENT: &str = include_str!("different.tsv");
/// Pairs that mean the same.
const SAME: &str = include_str!("same.tsv");

fn same() -> impl Iterator<Item = (&'static str, &'static str)> {
    SAME.lines().map(|line| line.split_once('\t').expect("two questions"))
}

#[test]
fn no_pair_that_means_something_else_passes() {
    let pairs: Vec<Vec<&str>> = DIFFERENT.lines().map(|line| line.split('\t').collect()).collect();
    assert!(pairs.len() >= 150);
    let passed: Vec<_> = pairs.iter().filter(|pair| differs(pair[1], pair[2]).is_none()).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn nine_of_ten_paraphrases_pass() {
    assert!(same().count() >= 80);
    let blocked: Vec<_> = same().filter_map(|(a, b)| Some((differs(a, b)?, a, b))).collect();
    assert!(blocked.len() * 10 <= same().count(), "{blocked:#?}");
}

#[test]
fn the_guard_says_what_differs() {
    for (guard, a, b) in [
        (Guard::Number, "order 48213", "order 48231"),
        (Guard::Unit, "5 mg", "5 g"),
        (Guard::Date, "on monday", "on tuesday"),
        (Guard::Negation, "is it on", "is it not on"),
        (Guard::Question, "who is it", "when is it"),
        (Guard::Person, "my name", "your name"),
        (Guard::Tense, "what is it", "what was it"),
        (Guard::Direction, "from rome", "to rome"),
        (Guard::Content, "call alice", "call bob"),
        (Guard::Order, "alice calls bob", "bob calls alice"),
    ] {
        assert_eq!(differs(a, b), Some(guard), "{a} | {b}");
    }
}

/// The number in words, as a recogniser may write it.
fn said(number: u32) -> String {
    let below = |number: u32| UNITS[number as usize].to_owned();
    let with_rest = |head: String, rest: u32| if rest == 0 { head } else { format!("{head} {}", said(rest)) };
    match number {
        0..20 => below(number),
        20..100 => with_rest(TENS[(number / 10 - 2) as usize].to_owned(), number % 10),
        100..1000 => with_rest(format!("{} hundred", below(number / 100)), number % 100),
        1000..1_000_000 => with_rest(format!("{} thousand", said(number / 1000)), number % 1000),
        _ => with_rest(format!("{} million", said(number / 1_000_000)), number % 1_000_000),
    }
}

fn spelled(number: u32) -> String {
    let digits = number.to_string();
    digits.bytes().map(|digit| said(u32::from(digit - b'0'))).collect::<Vec<_>>().join(" ")
}

proptest! {
    #[test]
    fn numbers_are_the_same_however_they_are_said(number in 2..999_999_999_u32) {
        let asked = |number: String| format!("where is order {number} now");
        let written = asked(number.to_string());
        prop_assert_eq!(differs(&written, &asked(said(number))), None);
        prop_assert_eq!(differs(&written, &asked(spelled(number))), None);
    }

    #[test]
    fn different_numbers_never_pass(a in 0..99_999_u32, b in 0..99_999_u32) {
        prop_assume!(a != b);
        let asked = |number: String| format!("where is order {number} now");
        for b in [b.to_string(), said(b), spelled(b)] {
            prop_assert!(differs(&asked(a.to_string()), &asked(b.clone())).is_some(), "{} {}", a, b);
            prop_assert!(differs(&asked(said(a)), &asked(b.clone())).is_some(), "{} {}", a, b);
        }
    }

    #[test]
    fn an_unknown_word_in_place_of_a_name_never_passes(at: prop::sample::Index, which: prop::sample::Index) {
        let questions: Vec<_> = same().map(|(question, _)| question).collect();
        let words: Vec<_> = questions[which.index(questions.len())].split(' ').collect();
        let at = at.index(words.len());
        let mut other = words.clone();
        other[at] = "zorblax";
        prop_assert!(differs(&words.join(" "), &other.join(" ")).is_some(), "{:?}", other);
    }

    #[test]
    fn a_question_is_the_same_as_itself_in_any_case(text in ".{0,60}") {
        prop_assert_eq!(differs(&text, &text), None);
        let ascii: String = text.chars().filter(char::is_ascii).collect::<String>().replace("US", "");
        prop_assert_eq!(differs(&ascii, &ascii.to_lowercase()), None);
    }

    #[test]
    fn it_does_not_matter_which_comes_first(a: prop::sample::Index, b: prop::sample::Index) {
        let lines: Vec<_> = DIFFERENT.lines().collect();
        let question = |at: prop::sample::Index| lines[at.index(lines.len())].split('\t').nth(1).unwrap_or_default();
        prop_assert_eq!(differs(question(a), question(b)), differs(question(b), question(a)));
    }
}
