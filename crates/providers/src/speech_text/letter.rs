//! Reduces letters and signs to those that a voice knows: accents are dropped, and each sign has one form.

/// Letters with accents, and those that stand for them. The phonemizer knows the English alphabet alone; loanwords and
/// names are best guessed from their letters without the accents.
const FOLDED: &[(&str, &str)] = &[
    ("àáâãäåāăąǎ", "a"),
    ("çćĉċč", "c"),
    ("ďđð", "d"),
    ("èéêëēĕėęě", "e"),
    ("ĝğġģ", "g"),
    ("ĥħ", "h"),
    ("ìíîïĩīĭįı", "i"),
    ("ĵ", "j"),
    ("ķ", "k"),
    ("ĺļľŀł", "l"),
    ("ñńņňŉ", "n"),
    ("òóôõöøōŏő", "o"),
    ("ŕŗř", "r"),
    ("śŝşšș", "s"),
    ("ţťŧț", "t"),
    ("ùúûüũūŭůűų", "u"),
    ("ŵ", "w"),
    ("ýÿŷ", "y"),
    ("źżž", "z"),
    ("æ", "ae"),
    ("œ", "oe"),
    ("ß", "ss"),
    ("þ", "th"),
];

const SUPERSCRIPTS: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const SUBSCRIPTS: &str = "₀₁₂₃₄₅₆₇₈₉";
/// How far the full-width forms of ASCII (U+FF01 to U+FF5E) are from ASCII.
const FULL_WIDTH: u32 = 0xfee0;

/// The text with letters and signs that a voice knows.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii() => out.push(c),
            c if raised(c).is_some() => {
                let mut run = vec![c];
                while let Some(next) = chars.next_if(|c| raised(*c).is_some()) {
                    run.push(next);
                }
                power(&run, &mut out);
            }
            '’' | '‘' | 'ʼ' | '′' => out.push('\''),
            '″' => out.push('"'),
            '−' | '‐' | '‑' => out.push('-'),
            '∕' | '⁄' => out.push('/'),
            '⋅' | '·' | '∙' => out.push('×'),
            'º' => out.push('°'),
            'μ' => out.push('µ'),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{300}'..='\u{36f}' => {}
            '\u{ff01}'..='\u{ff5e}' => out.extend(char::from_u32(c as u32 - FULL_WIDTH)),
            c if c.is_whitespace() => out.push(' '),
            c => match (place(SUBSCRIPTS, c), folded(c)) {
                (Some(digit), _) => out.push(digit),
                (None, Some((letters, true))) => out.push_str(&capitalised(letters)),
                (None, Some((letters, false))) => out.push_str(letters),
                (None, None) => out.push(c),
            },
        }
    }
    out
}

/// The letters that stand for a letter with an accent, and whether it is a capital.
fn folded(c: char) -> Option<(&'static str, bool)> {
    let lower = c.to_lowercase().next()?;
    let (_, letters) = FOLDED.iter().find(|(accented, _)| accented.contains(lower))?;
    Some((letters, lower != c))
}

fn capitalised(letters: &str) -> String {
    let (first, rest) = letters.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

/// The digit or the minus sign that a superscript stands for.
fn raised(c: char) -> Option<char> {
    if c == '⁻' { Some('-') } else { place(SUPERSCRIPTS, c) }
}

/// The digit whose form `c` is in a row of all ten.
fn place(row: &str, c: char) -> Option<char> {
    let at = row.chars().position(|form| form == c)?;
    char::from_digit(at as u32, 10)
}

/// Squares and cubes stay, as units have them; other powers are written as `^6`.
fn power(run: &[char], out: &mut String) {
    if let ['²' | '³'] = run {
        out.extend(run);
        return;
    }
    out.push('^');
    out.extend(run.iter().filter_map(|c| raised(*c)));
}

#[cfg(test)]
mod tests {
    #[test]
    fn letters_and_signs_have_one_form() {
        for (written, said) in [
            ("José at the café", "Jose at the cafe"),
            ("Ångström, Łódź, Straße, Æsop", "Angstrom, Lodz, Strasse, Aesop"),
            ("cafe\u{301} and na\u{ad}ive", "cafe and naive"),
            ("H₂O, 10⁶, m², 10⁻³", "H2O, 10^6, m², 10^-3"),
            ("５０％", "50%"),
            ("−5\u{a0}km", "-5 km"),
            ("Ünal’s", "Unal's"),
            ("正午 Ω", "正午 Ω"),
        ] {
            assert_eq!(super::plain(written), said);
        }
    }
}
