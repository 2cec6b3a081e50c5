//! Cuts a stream of tokens into clauses that can be spoken: the first as early as it still sounds natural, the rest
//! at the ends of sentences.

/// The first clause may end at a comma once it has this many characters: "Sure," is worth speaking at once, "I,"
/// is not.
const FIRST_MIN: usize = 5;
/// Later clauses may end at a comma once they have this many characters. Shorter ones would lose their melody.
const COMMA_MIN: usize = 60;
/// A first clause without punctuation is cut at a space after this many characters, about three seconds of speech.
/// Waiting longer costs more than an unnatural cut.
const FIRST_MAX: usize = 60;
/// A later clause is cut after this many characters, which bounds the length of one synthesis.
const MAX: usize = 220;

/// Text without any space is cut after this many times the longest clause; nothing so long is a word.
const UNBROKEN: usize = 4;

/// Text whose words all belong together, such as a list of numbers, is cut between two of them after this many times
/// the longest clause.
const JOINED: usize = 2;

/// Words whose full stop does not end a sentence.
const ABBREVIATIONS: &[&str] = &[
    "dr", "mr", "mrs", "ms", "messrs", "prof", "sgt", "capt", "lt", "col", "gen", "maj", "sen", "rep", "gov",
    "rev", "hon", "pres", "st", "mt", "ft", "ave", "blvd", "rd", "ln", "hwy", "apt", "ste", "jr", "sr", "vs",
    "etc", "cf", "al", "no", "nos", "fig", "vol", "pp", "ch", "sec", "ext", "tel", "approx", "est", "inc",
    "ltd", "co", "corp", "bros", "dept", "univ", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sept",
    "sep", "oct", "nov", "dec", "mon", "tue", "tues", "wed", "thu", "thurs", "fri", "ph.d",
];

/// Words that are said together with the number or the name behind them.
const BEFORE_NUMBERS: &[&str] =
    &["room", "page", "chapter", "number", "flight", "gate", "version", "plus", "minus"];

/// Cuts a whole text into clauses. There are none if nothing in it can be spoken.
pub fn clauses(text: &str) -> Vec<String> {
    let mut cutter = Clauses::default();
    cutter.push(text);
    let mut clauses: Vec<String> = std::iter::from_fn(|| cutter.pop()).collect();
    clauses.extend(cutter.finish());
    clauses
}

/// Takes text in pieces of any size and returns clauses.
#[derive(Debug, Default)]
pub(crate) struct Clauses {
    text: String,
    /// How many bytes of `text` have been searched for a boundary without finding one.
    scanned: usize,
    any: bool,
}

impl Clauses {
    /// Adds text that the model has just written.
    pub(crate) fn push(&mut self, delta: &str) {
        self.text.push_str(delta);
    }

    /// The next clause that is certainly complete.
    pub(crate) fn pop(&mut self) -> Option<String> {
        loop {
            let end = self.boundary()?;
            let rest = self.text.split_off(end);
            let clause = std::mem::replace(&mut self.text, rest);
            self.scanned = 0;
            if let Some(clause) = speakable(&clause) {
                self.any = true;
                return Some(clause);
            }
        }
    }

    /// Whether there are words that wait for the rest of their clause.
    pub(crate) fn has_words(&self) -> bool {
        speakable(&self.text[..self.whole_words()]).is_some()
    }

    /// The words that wait for the rest of their clause, when nobody can wait any longer.
    pub(crate) fn cut(&mut self) -> Option<String> {
        let rest = self.text.split_off(self.whole_words());
        self.scanned = 0;
        let words = speakable(&std::mem::replace(&mut self.text, rest))?;
        self.any = true;
        Some(words)
    }

    /// The byte offset up to which all words are certainly complete, and no number or name goes on. Text that is too long
    /// to be one word counts as several.
    fn whole_words(&self) -> usize {
        let last = spaces(&self.text).next_back().map(|(_, end)| end);
        let all = if self.text.len() < FIRST_MAX { 0 } else { self.text.len() };
        // Words that all belong together are not kept for ever.
        let torn = last.filter(|_| self.text.len() >= JOINED * FIRST_MAX);
        let free = self.free_space(self.text.len());
        free.or(torn).unwrap_or(if last.is_some() { 0 } else { all })
    }

    /// The end of the last space before this offset between words that do not belong together.
    fn free_space(&self, before: usize) -> Option<usize> {
        let free = |(at, end): &(usize, usize)| *at > 0 && !self.joins(*at, *end);
        spaces(&self.text[..before]).rev().find(free).map(|(_, end)| end)
    }

    /// The rest, when no more text comes.
    pub(crate) fn finish(&mut self) -> Option<String> {
        self.scanned = 0;
        speakable(&std::mem::take(&mut self.text))
    }

    /// The byte offset at which the next clause ends. A boundary counts only once the character behind it is known,
    /// because "3." may become "3.5".
    fn boundary(&mut self) -> Option<usize> {
        let mut last_space = None;
        let mut is_long = false;
        let max = if self.any { MAX } else { FIRST_MAX };
        let mut chars = self.text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let end = at + c.len_utf8();
            if c.is_whitespace() {
                last_space = Some(end);
                if c == '\n' && at > 0 {
                    return Some(end);
                }
            }
            if at >= max {
                // Only behind a space there may be a place to cut that was not there before.
                let is_new = !std::mem::replace(&mut is_long, true) || last_space == Some(at);
                let free = if is_new { self.free_space(at) } else { None };
                if let Some(space) = free.or(last_space.filter(|_| at >= JOINED * max)) {
                    return Some(space);
                }
                if at >= UNBROKEN * max {
                    return Some(at);
                }
            }
            if end <= self.scanned {
                continue;
            }
            let Some(&(_, next)) = chars.peek() else { break };
            let cuts = match c {
                '.' => next.is_whitespace() && !self.abbreviation(at),
                '!' | '?' | '…' | '。' | '！' | '？' => {
                    next.is_whitespace() || matches!(next, '"' | '”' | ')') || !next.is_ascii()
                }
                ',' | ';' | ':' | '—' | '–' => {
                    // "January 1, 1980" and "10 – 15" go on with a number. Only the character behind the space tells.
                    let Some(goes_on) = self.number_goes_on(at, end, c) else { break };
                    let min = if self.any { COMMA_MIN } else { FIRST_MIN };
                    end >= min && next.is_whitespace() && !goes_on
                }
                _ => false,
            };
            self.scanned = at;
            if cuts {
                let close = matches!(next, '"' | '”' | ')');
                return Some(if close { end + next.len_utf8() } else { end });
            }
        }
        None
    }

    /// Whether a number goes on behind a comma or a dash and a space; `None` as long as nobody can know.
    fn number_goes_on(&self, at: usize, end: usize, mark: char) -> Option<bool> {
        if !matches!(mark, ',' | '—' | '–') {
            return Some(false);
        }
        let number = self.text[..at].trim_end().ends_with(|c: char| c.is_ascii_digit());
        let mut after = self.text[end..].chars();
        if !number || !after.next().is_some_and(char::is_whitespace) {
            return Some(false);
        }
        after.next().map(|c| c.is_ascii_digit() || is_currency(c))
    }

    /// Whether the words before and behind a space belong together: a number and what it counts, a title and a name, the
    /// words of a name or of a formula. Nothing is cut between them.
    fn joins(&self, space: usize, end: usize) -> bool {
        let word = last_word(&self.text[..space]);
        let next = self.text[end..].chars().next();
        let sentence_ends = word.ends_with(['.', '!', '?']) && !self.abbreviation(space.saturating_sub(1));
        let digit = |c: char| c.is_ascii_digit();
        if let Some(word) = word.strip_suffix([',', ';', ':']) {
            return word.ends_with(digit) && next.is_some_and(digit);
        }
        if word.is_empty() || sentence_ends {
            return false;
        }
        let sign = |c: char| "+-−–*×÷=→≈<>&".contains(c);
        // "word1" is a name, "$3.5" and "(555)" are numbers.
        let number =
            word.trim_start_matches(|c| sign(c) || is_currency(c) || "(~#".contains(c)).starts_with(digit);
        let name = word.starts_with(char::is_uppercase) && word.chars().count() > 1;
        let numbered = name || word.ends_with('.') || BEFORE_NUMBERS.contains(&word.to_lowercase().as_str());
        if word.ends_with('.') || word.chars().all(|c| sign(c) || is_currency(c) || "~#@§(".contains(c)) {
            return true;
        }
        // A number may go on as long as nobody knows what is behind it.
        let Some(next) = next else { return number };
        let counted = number && (next.is_alphanumeric() || next == '(');
        counted || sign(next) || (numbered && digit(next)) || (name && next.is_uppercase())
    }

    fn abbreviation(&self, dot: usize) -> bool {
        let word = last_word(&self.text[..dot]);
        let word = word.trim_start_matches(['(', '"', '“']).to_lowercase();
        let initial = word.chars().count() == 1 && word != "i" && word.chars().all(char::is_alphabetic);
        let list_number = !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit());
        let starts_line = self.text[..dot].trim_start() == word;
        // "e.g", "p.m" and "U.S" have full stops inside.
        let initials = word.contains('.') && word.split('.').all(|part| part.len() == 1);
        ABBREVIATIONS.contains(&word.as_str()) || initial || initials || (list_number && starts_line)
    }
}

/// The last word of a text. Nothing longer than a clause is looked at, so that text without spaces stays cheap.
fn last_word(text: &str) -> &str {
    let near = &text[text.ceil_char_boundary(text.len().saturating_sub(MAX))..];
    near.rsplit(char::is_whitespace).next().unwrap_or_default()
}

/// Where the spaces of a text begin and end.
fn spaces(text: &str) -> impl DoubleEndedIterator<Item = (usize, usize)> {
    let space = |(at, c): (usize, char)| c.is_whitespace().then(|| (at, at + c.len_utf8()));
    text.char_indices().filter_map(space)
}

fn is_currency(c: char) -> bool {
    "$€£¥₹₩".contains(c)
}

/// The clause without surrounding space; `None` if nothing in it can be spoken.
fn speakable(clause: &str) -> Option<String> {
    let clause = clause.trim();
    clause.chars().any(char::is_alphanumeric).then(|| clause.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clauses(text: &str) -> Vec<String> {
        let mut cutter = Clauses::default();
        let mut all = Vec::new();
        for c in text.chars() {
            cutter.push(&c.to_string());
            all.extend(std::iter::from_fn(|| cutter.pop()));
        }
        all.extend(cutter.finish());
        all
    }

    #[test]
    fn the_first_clause_ends_at_a_comma_and_later_ones_at_sentences() {
        let text = "Sure, I can help with that. First, open the door, then wait. Done!";
        let expected = ["Sure,", "I can help with that.", "First, open the door, then wait.", "Done!"];
        assert_eq!(clauses(text), expected);
    }

    #[test]
    fn numbers_abbreviations_and_initials_stay_whole() {
        let text = "Yes. It costs 3.50 at Dr. J. Smith's, e.g. today. Good.";
        assert_eq!(clauses(text), ["Yes.", "It costs 3.50 at Dr. J. Smith's, e.g. today.", "Good."]);
    }

    #[test]
    fn no_clause_is_cut_inside_an_amount_a_name_or_a_date() {
        let text = "We looked at it and the whole sum that you owe is $3.5 million as of today.";
        let cut = clauses(text);
        assert_eq!(cut, ["We looked at it and the whole sum that you owe is", "$3.5 million as of today."]);
        for whole in [
            "$3.5 million",
            "Dr. Smith",
            "1,500 people",
            "25 km",
            "St. Mary",
            "John Smith",
            "January 1, 1980",
            "10 – 15",
            "Room 101",
            "No. 5",
            "3:30 PM",
            "p.m. sharp",
            "2 + 2 = 4",
            "+1 (555) 123-4567",
            "20°C → 25°C",
            "Sgt. Pepper",
        ] {
            for before in 1..60 {
                let text = format!(
                    "{} {whole} then we all of us went on and on and on",
                    "a".repeat(before / 2) + &" b".repeat(before / 4)
                );
                assert!(clauses(&text).iter().any(|clause| clause.contains(whole)), "{:?}", clauses(&text));
            }
        }
    }

    #[test]
    fn words_that_all_belong_together_are_cut_in_the_end() {
        let cut = clauses(&"1 ".repeat(1_000));
        assert!(cut.iter().all(|clause| clause.len() <= JOINED * MAX), "{cut:?}");
        let mut cutter = Clauses::default();
        cutter.push("It costs $3.5 ");
        assert_eq!(cutter.cut().as_deref(), Some("It costs"), "an amount may go on");
        cutter.push("million ");
        assert_eq!(cutter.cut().as_deref(), Some("$3.5 million"));
    }

    #[test]
    fn a_long_opening_without_punctuation_is_cut_at_a_space() {
        let text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
        let cut = clauses(text);
        assert_eq!(cut.len(), 2);
        assert!(cut[0].len() <= FIRST_MAX);
    }

    #[test]
    fn text_without_spaces_is_cut_all_the_same() {
        let cut = clauses(&"a".repeat(1_000));
        assert!(cut.iter().all(|clause| clause.len() <= UNBROKEN * MAX), "{cut:?}");
        assert_eq!(cut.concat().len(), 1_000);
    }

    #[test]
    fn words_are_spoken_before_their_clause_is_complete_if_they_must() {
        let mut cutter = Clauses::default();
        cutter.push("It is ab");
        assert!(cutter.has_words());
        assert_eq!(cutter.cut().as_deref(), Some("It is"));
        assert!(!cutter.has_words() && cutter.cut().is_none(), "a word is not torn");
        cutter.push("out noon, I think. And");
        assert_eq!(cutter.pop().as_deref(), Some("about noon, I think."));
        let mut cutter = Clauses::default();
        cutter.push(&"正午".repeat(11));
        assert_eq!(cutter.cut(), Some("正午".repeat(11)), "not every language has spaces");
    }

    #[test]
    fn lists_are_cut_at_line_ends() {
        assert_eq!(clauses("Options:\n1. Red\n2. Blue\n"), ["Options:", "1. Red", "2. Blue"]);
    }

    #[test]
    fn what_cannot_be_said_is_left_out() {
        assert_eq!(clauses("*** \n --- \n 😀"), Vec::<String>::new());
    }

    proptest! {
        /// However the text is split into pieces, the clauses are the same, and no word is lost.
        #[test]
        fn splitting_does_not_matter_and_words_survive(text in "[a-zA-Z0-9 ,.!?\n\"é—]{0,300}", cut in 0_usize..300) {
            let whole = clauses(&text);
            let mut cutter = Clauses::default();
            let cut = text.char_indices().map(|(i, _)| i).nth(cut).unwrap_or(text.len());
            let mut parts = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                cutter.push(part);
                parts.extend(std::iter::from_fn(|| cutter.pop()));
            }
            parts.extend(cutter.finish());
            prop_assert_eq!(&whole, &parts);
            let letters = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&whole.concat()), letters(&text));
        }
    }
}
