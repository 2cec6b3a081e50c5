//! Removes what is only for the eye: Markdown, HTML and emoji.

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
    let line = line.trim_start_matches(['#', '>']).trim_start();
    for mark in ["- ", "* ", "+ ", "• "] {
        if let Some(rest) = line.strip_prefix(mark) {
            return rest;
        }
    }
    line
}

fn inline(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
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
        rest = &rest[c.len_utf8()..];
        match c {
            '*' | '`' | '~' | '\u{200d}' | '\u{fe0f}' | '"' | '“' | '”' | '«' | '»' => {}
            '_' if !out.ends_with(char::is_alphanumeric) || !rest.starts_with(char::is_alphanumeric) => {}
            '|' => out.push(','),
            '’' | '‘' => out.push('\''),
            '—' | '–' if out.ends_with(' ') => out.push_str(", "),
            '…' => out.push_str("..."),
            c if is_pictograph(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// For `[text](address)` and `![text](address)`: the text, and what follows the link.
fn link(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('!').unwrap_or(text).strip_prefix('[')?;
    let (label, rest) = text.split_once("](")?;
    let (_, after) = rest.split_once(')')?;
    (!label.contains(['[', ']'])).then_some((label, after))
}

/// What follows an HTML tag.
fn tag(text: &str) -> Option<&str> {
    let body = text.strip_prefix('<')?;
    if !body.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') {
        return None;
    }
    let (name, after) = body.split_once('>')?;
    (!name.contains('<')).then_some(after)
}

/// Whether the character is an emoji, another pictograph, or a modifier of one.
fn is_pictograph(c: char) -> bool {
    matches!(c,
        '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2300}'..='\u{23ff}' | '\u{2b00}'..='\u{2bff}'
        | '\u{e0000}'..='\u{e007f}' | '\u{2190}'..='\u{21ff}' | '\u{20e3}')
}
