//! Cuts documents into passages that are short enough to stand in a prompt.

/// Bytes of the longest passage. Few paragraphs are longer, and MiniLM reads only some 200 words.
const LONGEST: usize = 800;

/// The paragraphs of a text or Markdown document, each with the headings above it in front. Paragraphs that are too long are
/// cut between sentences.
pub fn passages(document: &str) -> Vec<String> {
    let mut headings: Vec<(usize, String)> = Vec::new();
    let mut found = Vec::new();
    for block in blocks(document) {
        let level = block.bytes().take_while(|byte| *byte == b'#').count();
        if (1..=6).contains(&level) && block[level..].starts_with(' ') {
            headings.retain(|(above, _)| *above < level);
            headings.push((level, block[level..].trim().to_owned()));
            continue;
        }
        let under = headings.iter().map(|(_, heading)| heading.as_str()).collect::<Vec<_>>().join(", ");
        for piece in pieces(&block) {
            found.push(if under.is_empty() { piece } else { format!("{under}: {piece}") });
        }
    }
    found
}

/// The document's headings and paragraphs; the lines of a paragraph are joined to one.
fn blocks(document: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open = String::new();
    for line in document.lines().map(str::trim).chain(std::iter::once("")) {
        let heading = line.starts_with('#');
        if (line.is_empty() || heading) && !open.is_empty() {
            blocks.push(std::mem::take(&mut open));
        }
        if heading {
            blocks.push(line.to_owned());
        } else if !line.is_empty() {
            if !open.is_empty() {
                open.push(' ');
            }
            open.push_str(line);
        }
    }
    blocks
}

/// At most [`LONGEST`] bytes each, cut after sentences where there are any.
fn pieces(block: &str) -> Vec<String> {
    let mut rest = block.trim();
    let mut pieces = Vec::new();
    while rest.len() > LONGEST {
        let window = &rest[..rest.floor_char_boundary(LONGEST)];
        let sentence = window.rfind(['.', '!', '?']).map(|at| at + 1);
        let cut = sentence.or_else(|| window.rfind(' ')).filter(|at| *at > 0).unwrap_or(window.len());
        pieces.push(rest[..cut].trim().to_owned());
        rest = rest[cut..].trim_start();
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_passage_stands_under_its_headings() {
        let text = "Welcome.\n\n# Hours\nWe open\nat nine.\n\n## Sunday\nClosed.\n# Address\nMain Street 1.";
        let expected =
            ["Welcome.", "Hours: We open at nine.", "Hours, Sunday: Closed.", "Address: Main Street 1."];
        assert_eq!(passages(text), expected);
    }

    #[test]
    fn a_long_paragraph_is_cut_between_sentences() {
        let cut = passages(&"This is a sentence of some length. ".repeat(60));
        assert!(cut.len() > 2 && cut.iter().all(|piece| piece.len() <= LONGEST && piece.ends_with('.')));
    }

    proptest! {
        #[test]
        fn no_word_is_lost(text in "([a-zé.]{1,12}[ \n]{1,2}){0,400}") {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&passages(&text).join(" ")).concat(), words(&text).concat());
        }
    }
}
