//! Removes what is only for the eye: Markdown, HTML and emoji.

/// The longest address of a link, in bytes. Without a limit, text with many unfinished links would be searched to its
/// end for each of them. Longer ones do not work in every browser.
const LONGEST_ADDRESS: usize = 2_000;

/// The most characters of a code that is typed on a telephone's keys: two keys, a service of three digits and two numbers.
const LONGEST_CODE: usize = 40;
/// How the names of months begin, behind which a date goes on to another one.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The text without markup on one line; each line of it becomes a sentence.
pub(super) fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim();
        // Horizontal rules, code fences and the rulers of tables hold no text.
        if line.chars().all(|c| "-*_=`~|: +#>".contains(c)) {
            continue;
        }
        let line = inline(bullet(line));
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if !out.is_empty() {
            if !out.ends_with(['.', '!', '?', ':', ',', ';']) {
                out.push('.');
            }
            out.push(' ');
        }
        out.push_str(line);
    }
    out
}

/// The line without its heading, quote or list mark.
fn bullet(line: &str) -> &str {
    let mut line = line;
    while let Some(rest) = line.strip_prefix("> ") {
        line = rest.trim_start();
    }
    // Only a space makes it a heading: "#1" is a number.
    let heading = line.trim_start_matches('#');
    if heading.starts_with(' ') {
        line = heading.trim_start();
    }
    for mark in ["- [ ] ", "- [x] ", "- ", "* ", "+ ", "• "] {
        if let Some(rest) = line.strip_prefix(mark) {
            return rest;
        }
    }
    line
}

fn inline(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        if let Some((text, after)) = link(rest) {
            out.push_str(&inline(text));
            rest = after;
            continue;
        }
        if let Some(after) = tag(rest) {
            rest = after;
            continue;
        }
        if let Some((sign, after)) = entity(rest) {
            out.push(sign);
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            // A quotation mark behind a number that closes nothing means inches.
            '"' if !quoted && out.ends_with(|c: char| c.is_ascii_digit()) => out.push('"'),
            '"' => quoted = !quoted,
            '*' if is_power(&out, rest) => {
                out.push_str("**");
                rest = &rest[1..];
            }
            '*' if is_keyed(&out, rest) || is_star(&out, rest) => out.push('*'),
            '*' | '`' | '\u{200d}' | '\u{fe0f}' | '“' | '”' | '«' | '»' => {}
            // Two of them strike words through, one means "about".
            '~' if rest.starts_with('~') => rest = &rest[1..],
            '_' if !out.ends_with(char::is_alphanumeric) || !rest.starts_with(char::is_alphanumeric) => {}
            '|' => out.push(','),
            '’' | '‘' => out.push('\''),
            '—' | '–' if out.ends_with(' ') => dash(&mut out, &mut rest),
            '…' => out.push_str("..."),
            '→' | '⇒' | '➡' | '➜' | '⟶' | '➔' => out.push('→'),
            c if is_pictograph(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// A dash between words is a pause; one between numbers is a range.
fn dash(out: &mut String, rest: &mut &str) {
    let after = rest.trim_start();
    let number = |c: char| c.is_ascii_digit() || "$€£¥₹".contains(c);
    let range = after.starts_with(number) || MONTHS.iter().any(|month| after.starts_with(month));
    if range && out.trim_end().ends_with(|c: char| c.is_ascii_digit() || "%°CFMm".contains(c)) {
        out.push('–');
        return;
    }
    out.truncate(out.trim_end().len());
    out.push_str(if out.is_empty() { "" } else { ", " });
    *rest = after;
}

/// Whether an asterisk is a star key or a sign of multiplication, and no emphasis.
fn is_star(before: &str, after: &str) -> bool {
    let (last, next) = (before.chars().next_back(), after.chars().next());
    let opens = last.is_none_or(|c| c.is_whitespace() || "(,".contains(c));
    let closes = next.is_none_or(|c| c.is_whitespace() || ".,;:!?)".contains(c));
    let operand = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || "()".contains(c));
    match (opens, closes) {
        (true, true) => true,
        // `*67` is dialled, `*67 people*` is emphasised.
        (true, false) => operand(next) && !has_closing_star(after),
        (false, true) => false,
        (false, false) => {
            let word = |text: Option<char>| text.is_some_and(char::is_alphabetic);
            let single = word(last) && word(next) && is_one_letter(before) && starts_with_one_letter(after);
            single || (operand(last) && (operand(next) || word(next))) || (word(last) && operand(next))
        }
    }
}

/// Whether the asterisk is a key of a code that ends with the pound key: `*#06#`, `**21*112#`. Only as many characters are
/// looked at as a code can have, so that a line of nothing but asterisks is read once.
fn is_keyed(before: &str, after: &str) -> bool {
    let is_key = |c: &char| c.is_ascii_digit() || "*#".contains(*c);
    let pressed = before.chars().rev().take(LONGEST_CODE).take_while(|c| !c.is_whitespace());
    let mut rest = after.chars().take(LONGEST_CODE).skip_while(is_key);
    let last = after.chars().take(LONGEST_CODE).take_while(is_key).last();
    pressed.into_iter().all(|c| is_key(&c))
        && last == Some('#')
        && !rest.next().is_some_and(char::is_alphanumeric)
}

/// Whether two asterisks are the sign of a power: "2**3".
fn is_power(before: &str, after: &str) -> bool {
    let number = |c: char| c.is_ascii_digit();
    before.ends_with(number) && after.strip_prefix('*').is_some_and(|after| after.starts_with(number))
}

/// Whether the next asterisk of the line ends an emphasis. The search goes to that asterisk only.
fn has_closing_star(text: &str) -> bool {
    text.split_once('*')
        .is_some_and(|(inside, _)| !inside.is_empty() && !inside.ends_with(char::is_whitespace))
}

fn is_one_letter(before: &str) -> bool {
    before.chars().rev().nth(1).is_none_or(|c| !c.is_alphanumeric())
}

fn starts_with_one_letter(after: &str) -> bool {
    after.chars().nth(1).is_none_or(|c| !c.is_alphanumeric())
}

/// For `[text](address)` and `![text](address)`: the text, and what follows the link.
fn link(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('!').unwrap_or(text).strip_prefix('[')?;
    // Up to the next bracket only, so that a row of brackets is not searched again for each of them.
    let (label, rest) = text.split_at(text.find(['[', ']'])?);
    let rest = rest.strip_prefix("](")?;
    let near = &rest[..rest.floor_char_boundary(LONGEST_ADDRESS)];
    Some((label, &rest[near.find(')')? + 1..]))
}

/// What follows an HTML tag.
fn tag(text: &str) -> Option<&str> {
    let body = text.strip_prefix('<')?;
    if !body.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') {
        return None;
    }
    let end = body.find(['<', '>'])?;
    body[end..].strip_prefix('>')
}

/// The sign that an HTML entity stands for, and what follows it.
fn entity(text: &str) -> Option<(char, &str)> {
    let name = text.strip_prefix('&')?;
    [("amp;", '&'), ("nbsp;", ' '), ("lt;", '<'), ("gt;", '>'), ("quot;", ' '), ("#39;", '\'')]
        .into_iter()
        .find_map(|(entity, sign)| Some((sign, name.strip_prefix(entity)?)))
}

/// Whether the character is an emoji, another pictograph, or a modifier of one.
fn is_pictograph(c: char) -> bool {
    matches!(c,
        '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2300}'..='\u{23ff}' | '\u{2b00}'..='\u{2bff}'
        | '\u{e0000}'..='\u{e007f}' | '\u{2190}'..='\u{21ff}' | '\u{20e3}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_not_spoken() {
        for (written, said) in [
            ("**Bold** *and* ~~gone~~ `code`", "Bold and gone code"),
            ("# Title\n- [x] done\n> quoted", "Title. done. quoted"),
            ("<b>fat</b> &amp; thin, a < b", "fat & thin, a < b"),
            ("She said \"room 5\" — twice", "She said room 5, twice"),
            ("[a](b) and ![c](d)", "a and c"),
        ] {
            assert_eq!(strip(written), said);
        }
    }

    #[test]
    fn signs_that_mean_something_stay() {
        for text in [
            "2*3*4 and a*b",
            "2**3",
            "press * or #",
            "dial *67 or *69",
            "#1 is ~50",
            "20°C → 25°C",
            "5'10\" and 12\" wide",
            "10 – 15",
            "> 5",
        ] {
            assert_eq!(strip(text), if text == "> 5" { "5" } else { text });
        }
    }

    #[test]
    fn unfinished_markup_is_read_once() {
        for part in ["[", "[](", "<a", "*", "*1", "*1#", "&", "![", "~"] {
            assert!(strip(&part.repeat(20_000)).len() <= part.len() * 20_000);
        }
    }
}
