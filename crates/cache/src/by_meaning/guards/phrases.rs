//! Replaces phrases by equivalent words.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::tokens::Token;

/// Phrases and the words that replace them.
pub(super) const PHRASES: &[(&str, &str)] = &[
    ("how come", "why"),
    ("what time", "when"),
    ("what date", "when"),
    ("for what reason", "why"),
    ("no longer", "not anymore"),
    ("any longer", "anymore"),
    ("any more", "anymore"),
    ("no one", "nobody"),
    ("per cent", "percent"),
    ("united states of america", "usa"),
    ("united states", "usa"),
    ("united kingdom", "uk"),
    ("great britain", "uk"),
    ("e mail", "email"),
    ("wi fi", "wifi"),
    ("cell phone", "mobile"),
    ("mobile phone", "mobile"),
    ("smart phone", "mobile"),
    ("log in", "login"),
    ("log on", "login"),
    ("log into", "login to"),
    ("sign in", "login"),
    ("sign into", "login to"),
    ("log out", "logout"),
    ("log off", "logout"),
    ("sign out", "logout"),
    ("sign up", "register"),
    ("topup", "top up"),
    ("setup", "set up"),
    ("lookup", "look up"),
    ("pick up", "collect"),
    ("find out", "learn"),
    ("get rid of", "remove"),
    ("a lot of", "many"),
    ("lots of", "many"),
    ("as well as", "and"),
    ("as well", "also"),
    ("is it possible for me to", "can i"),
    ("is it possible to", "can i"),
    ("am i able to", "can i"),
    ("am i allowed to", "can i"),
    ("i am able to", "i can"),
    ("i am not able to", "i cannot"),
    ("i am unable to", "i cannot"),
    ("would like to", "want to"),
    ("would love to", "want to"),
    ("would like", "want"),
    ("wanna", "want to"),
    ("gonna", "will"),
    ("gotta", "must"),
    ("have to", "must"),
    ("has to", "must"),
    ("had to", "did must"),
    ("have got to", "must"),
    ("need to", "must"),
    ("needs to", "must"),
    ("how should you", "how should i"),
    ("how does one", "how do i"),
    ("how can one", "how can i"),
    ("how should one", "how should i"),
    ("how to", "how do i"),
    ("how might i", "how do i"),
    ("how would i", "how do i"),
    ("what can i do to", "how do i"),
    ("what should i do to", "how do i"),
    ("what must i do to", "how do i"),
    ("what do i do to", "how do i"),
    ("what do i have to do to", "how do i"),
    ("what do i need to do to", "how do i"),
    ("what steps do i take to", "how do i"),
    ("what steps should i take to", "how do i"),
    ("what steps do i need to take to", "how do i"),
    ("what are the steps to", "how do i"),
    ("what is the way to", "how do i"),
    ("what is the best way to", "how do i"),
    ("what are the ways to", "how do i"),
    ("what are some ways to", "how do i"),
    ("what are the best ways to", "how do i"),
    ("what is the process for", "how do i"),
    ("what is the procedure for", "how do i"),
    ("what is the reason", "why"),
    ("what was the reason", "why did"),
    ("what age", "how old"),
    ("is there a way to", "can i"),
    ("is there any way to", "can i"),
    ("is there a way i can", "can i"),
    ("is there any way i can", "can i"),
    ("do i need to", "do i must"),
    ("do i need", "do i must"),
    ("if i need to", "if i must"),
    ("i need to", "i want to"),
    ("i need", "i want"),
    ("help me to", "help me"),
    ("please help me", ""),
    ("please help", ""),
    ("please advise", ""),
    ("how about", "what about"),
    ("right now", "now"),
    ("at the moment", "now"),
    ("at present", "now"),
    ("these days", "now"),
    ("at this time", "now"),
    ("you guys", "you"),
    ("in order to", "to"),
    ("so as to", "to"),
    ("due to", "because"),
    ("because of", "because"),
    ("next to", "beside"),
    ("such as", "like"),
    ("even if", "if"),
    ("near here", "nearby"),
    ("around here", "nearby"),
    ("close by", "nearby"),
    ("thank you", "thanks"),
    ("go about", ""),
    ("o clock", ""),
    ("all of", "all"),
    ("some of", ""),
    ("any of", ""),
];

/// Openings: what people say before they ask.
pub(super) const OPENINGS: &[&str] = &[
    "hi",
    "hi there",
    "hello",
    "hello there",
    "hey",
    "hey there",
    "good morning",
    "good afternoon",
    "good evening",
    "excuse me",
    "sorry",
    "please",
    "ok",
    "okay",
    "so",
    "well",
    "um",
    "uh",
    "yes",
    "can you tell me",
    "can you please tell me",
    "could you tell me",
    "could you please tell me",
    "would you tell me",
    "can you explain",
    "could you explain",
    "can anyone tell me",
    "can someone tell me",
    "please tell me",
    "tell me",
    "let me know",
    "please let me know",
    "do you know",
    "do you happen to know",
    "any idea",
    "i want to know",
    "i would like to know",
    "i need to know",
    "i was wondering",
    "i am wondering",
    "i wonder",
    "just wondering",
    "may i ask",
    "can i ask",
    "i have a question",
    "quick question",
    "can you please explain",
    "please explain",
    "i am curious",
    "i am trying to find out",
    "does anyone know",
    "does anybody know",
    "do you have any idea",
    "help me understand",
    "alright",
    "actually",
];

/// Contractions that do not follow the rules for `n't`, `'s` and the like, and what they stand for.
pub(super) const CONTRACTIONS: &[(&str, &str)] = &[
    ("can't", "can not"),
    ("cant", "can not"),
    ("won't", "will not"),
    ("wont", "will not"),
    ("shan't", "shall not"),
    ("ain't", "is not"),
    ("dont", "do not"),
    ("doesnt", "does not"),
    ("didnt", "did not"),
    ("isnt", "is not"),
    ("arent", "are not"),
    ("wasnt", "was not"),
    ("werent", "were not"),
    ("hasnt", "has not"),
    ("havent", "have not"),
    ("hadnt", "had not"),
    ("couldnt", "could not"),
    ("shouldnt", "should not"),
    ("wouldnt", "would not"),
    ("mustnt", "must not"),
    ("im", "i am"),
    ("ive", "i have"),
    ("youre", "you are"),
    ("youve", "you have"),
    ("whats", "what is"),
    ("wheres", "where is"),
    ("whens", "when is"),
    ("hows", "how is"),
    ("whos", "who is"),
    ("thats", "that is"),
    ("theres", "there is"),
    ("let's", "let we"),
    ("lets", "let we"),
    ("o'clock", ""),
];

/// Replaces phrases by words that can be compared, and drops what people say before they ask. The second result tells whether
/// anything was dropped.
pub(super) fn replace(tokens: Vec<Token>) -> (Vec<Token>, bool) {
    let phrases = Phrases::get();
    let mut tokens: Vec<Token> = tokens.into_iter().flat_map(expand).collect();
    let before = tokens.len();
    while let Some(length) = phrases.opening(&tokens) {
        tokens.drain(..length);
    }
    let opened = tokens.len() < before;
    let mut replaced = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let Some((first, after)) = rest.split_first() {
        if let Some((length, words)) = phrases.longest(rest) {
            let pause = rest[length - 1].pause;
            push(&mut replaced, words, pause);
            rest = &rest[length..];
        } else {
            replaced.push(first.clone());
            rest = after;
        }
    }
    (replaced, opened)
}

/// Expands a contraction: "don't" becomes "do not"; "what's", "Anna's" and "I'd" lose their ending, which can mean too much.
fn expand(token: Token) -> Vec<Token> {
    let word = token.text.as_str();
    let known =
        CONTRACTIONS.iter().find(|(contracted, _)| *contracted == word).map(|(_, words)| (*words).to_owned());
    let endings = [
        ("n't", " not"),
        ("'re", " are"),
        ("'m", " am"),
        ("'ve", " have"),
        ("'ll", " will"),
        ("'s", ""),
        ("'d", " would"),
    ];
    let ending = || {
        endings
            .iter()
            .find_map(|(ending, word_for)| Some(format!("{}{word_for}", word.strip_suffix(ending)?)))
    };
    let Some(words) = known.or_else(ending) else { return vec![token] };
    let mut expanded = Vec::new();
    push(&mut expanded, words.split_whitespace(), token.pause);
    expanded
}

fn push<'a>(tokens: &mut Vec<Token>, words: impl IntoIterator<Item = &'a str>, pause: bool) {
    tokens.extend(words.into_iter().map(|word| Token { text: word.to_owned(), pause: false }));
    if let Some(last) = tokens.last_mut().filter(|_| pause) {
        last.pause = true;
    }
}

/// A phrase, and the words that replace it.
type Replacement = (Vec<&'static str>, Vec<&'static str>);

/// The phrases by their first word, the longest first.
struct Phrases {
    replaced: HashMap<&'static str, Vec<Replacement>>,
    openings: Vec<Vec<&'static str>>,
}

impl Phrases {
    fn get() -> &'static Self {
        static PHRASES: OnceLock<Phrases> = OnceLock::new();
        PHRASES.get_or_init(Self::new)
    }

    fn new() -> Self {
        let words = |text: &'static str| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>();
        let mut replaced: HashMap<_, Vec<Replacement>> = HashMap::new();
        for (phrase, by) in PHRASES {
            let phrase = words(phrase);
            replaced.entry(phrase[0]).or_default().push((phrase, words(by)));
        }
        for phrases in replaced.values_mut() {
            phrases.sort_by_key(|(phrase, _)| usize::MAX - phrase.len());
        }
        let mut openings: Vec<_> = OPENINGS.iter().map(|opening| words(opening)).collect();
        openings.sort_by_key(|opening| usize::MAX - opening.len());
        Self { replaced, openings }
    }

    /// How many words of an opening come before the question. At least one word is left.
    fn opening(&self, tokens: &[Token]) -> Option<usize> {
        let length = self.openings.iter().find(|opening| starts_with(tokens, opening))?.len();
        (length < tokens.len()).then_some(length)
    }

    fn longest(&self, tokens: &[Token]) -> Option<(usize, impl Iterator<Item = &'static str>)> {
        let phrases = self.replaced.get(tokens.first()?.text.as_str())?;
        let (phrase, by) = phrases.iter().find(|(phrase, _)| starts_with(tokens, phrase))?;
        Some((phrase.len(), by.iter().copied()))
    }
}

fn starts_with(tokens: &[Token], words: &[&str]) -> bool {
    words.len() <= tokens.len() && words.iter().zip(tokens).all(|(word, token)| *word == token.text)
}
