//! Splits a text into words.

/// Suffixes of digits that are words of their own. Other letters behind digits belong to a name: `520d`, `3g`.
const SUFFIXES: [&str; 33] = [
    "mg", "kg", "ml", "cl", "km", "cm", "mm", "mi", "ft", "lb", "lbs", "oz", "gb", "mb", "tb", "kb", "mph",
    "kmh", "am", "pm", "st", "nd", "rd", "th", "k", "hr", "hrs", "min", "mins", "sec", "secs", "yr", "yrs",
];
/// Signs that have a meaning.
const SIGNS: &str = "$€£¥₹%°=<>^*×÷[]{}~|@&\\";

/// A word in lower case, a number or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// Whether punctuation or the end of the text follows.
    pub(super) pause: bool,
}

/// The words of a text. Punctuation is dropped except for the pause that it makes; `1,000` becomes `1000`, `a.m.` becomes
/// `am`, `5mg` becomes `5 mg`; `C++` and `C#` stay as they are.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let text = text.replace(['’', '‘', '`'], "'");
    // Speech recognisers and hurried people write everything in one case; then capitals have no meaning.
    let has_cases = text.contains(char::is_lowercase);
    let chars: Vec<char> = text.chars().collect();
    let mut tokens: Vec<Token> = Vec::new();
    let mut word = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied().unwrap_or(' ');
        let after = chars.get(at + 1).copied().unwrap_or(' ');
        match part(&chars, at, before, after) {
            Part::Inside => word.push(c),
            Part::Nothing => {}
            Part::Sign => {
                finish(&mut tokens, &mut word, has_cases);
                tokens.push(Token { text: c.to_string(), pause: false });
            }
            Part::Minus => {
                finish(&mut tokens, &mut word, has_cases);
                tokens.push(Token { text: "minus".to_owned(), pause: false });
            }
            Part::Gap { pause } => {
                finish(&mut tokens, &mut word, has_cases);
                if let Some(last) = tokens.last_mut().filter(|_| pause) {
                    last.pause = true;
                }
            }
        }
    }
    finish(&mut tokens, &mut word, has_cases);
    if let Some(last) = tokens.last_mut() {
        last.pause = true;
    }
    tokens
}

/// The role of a character.
enum Part {
    Inside,
    Nothing,
    Sign,
    Minus,
    Gap { pause: bool },
}

fn part(chars: &[char], at: usize, before: char, after: char) -> Part {
    let between_digits = before.is_ascii_digit() && after.is_ascii_digit();
    match chars[at] {
        c if c.is_alphanumeric() => Part::Inside,
        '\'' if before.is_alphanumeric() && after.is_alphabetic() => Part::Inside,
        '.' if between_digits => Part::Inside,
        ',' if between_digits && is_grouping(chars, at) => Part::Nothing,
        '.' if before.is_alphabetic() && is_initial(chars, at) => Part::Nothing,
        '+' | '#' if (before.is_alphabetic() || before == '+') && !after.is_alphanumeric() => Part::Inside,
        '-' if after.is_ascii_digit() && before.is_whitespace() => Part::Minus,
        // "1-2 days" are not 12 days, and "1:10" is not "110".
        '+' | '/' | '-' | ':' if between_digits => Part::Sign,
        '+' if before.is_whitespace() && after.is_whitespace() => Part::Sign,
        c if SIGNS.contains(c) || is_symbol(c) => Part::Sign,
        c => Part::Gap { pause: ".,;:!?()".contains(c) },
    }
}

/// Whether this is no letter, space or punctuation, such as an emoji or a root: it means something by itself.
fn is_symbol(c: char) -> bool {
    // "General Punctuation" has the dashes and quotes of all languages.
    !c.is_ascii()
        && !c.is_alphanumeric()
        && !c.is_whitespace()
        && !matches!(c, '\u{2000}'..='\u{206F}' | '«' | '»' | '¿' | '¡' | '·')
}

/// Whether a comma separates thousands: exactly three digits follow.
fn is_grouping(chars: &[char], comma: usize) -> bool {
    let digits = chars[comma + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
    digits == 3
}

/// Whether a point belongs to initials: the letter before it stands alone, and another one or the end follows: `a.m.`, `U.S.`
fn is_initial(chars: &[char], dot: usize) -> bool {
    let is_letter = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
    let alone = !is_letter(dot.checked_sub(2));
    let follows = is_letter(Some(dot + 1)) && !is_letter(Some(dot + 2));
    let ended = dot.checked_sub(2).is_some_and(|at| chars[at] == '.') && !is_letter(Some(dot + 1));
    alone && (follows || ended)
}

fn finish(tokens: &mut Vec<Token>, word: &mut String, has_cases: bool) {
    if word.is_empty() {
        return;
    }
    let mut add = |text: &str| tokens.push(Token { text: text.to_owned(), pause: false });
    let is_country = has_cases && word == "US";
    let lower = if is_country { "usa".to_owned() } else { word.to_lowercase() };
    let digits = lower.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_joined = digits.len() < lower.len() && SUFFIXES.contains(&digits);
    if is_joined {
        let (number, unit) = lower.split_at(lower.len() - digits.len());
        add(number);
        add(unit);
    } else {
        add(&lower);
    }
    word.clear();
}
