//! Web and e-mail addresses: "example dot com slash help".

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::{group, pattern, replace};

static MAIL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:mailto:)?(?<mail>[a-z0-9][a-z0-9._%+-]{0,63}@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24})\b",
    )
});
/// Anything with a scheme or `www.` is an address. A bare name must have a well-known top-level domain, so that a
/// missing space after a full stop ("Yes.No") does not make an address.
static WEB: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)
        (?: \b(?:https?|ftp|wss?)://(?:www\.)? | \bwww\. ) (?<given>[^\s<>\x22|]+)
        | \b(?<bare>[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|ai|dev|app|edu|gov|uk|de|eu|info|co)\b(?:/[^\s<>\x22|]*)?)",
    )
});
/// Top-level domains that are spelled.
const SPELLED: &[&str] = &["io", "ai", "uk", "eu", "de", "tv", "fm"];

/// Replaces addresses by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &MAIL, |found| Some(spoken(group(found, "mail"))));
    replace(text, &WEB, |found| {
        let (given, bare) = (group(found, "given"), group(found, "bare"));
        let address = if given.is_empty() { bare } else { given };
        let kept = address.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'', '*', '_']);
        let tail = &address[kept.len()..];
        // The query and the fragment of an address are left out, as nobody says them.
        let place = kept.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        Some(format!("{}{tail}", spoken(place)))
    })
}

fn spoken(address: &str) -> String {
    let mut said = String::with_capacity(2 * address.len());
    for c in address.chars() {
        match c {
            '.' => said.push_str(" dot "),
            '@' => said.push_str(" at "),
            '/' => said.push_str(" slash "),
            '-' => said.push_str(" dash "),
            '_' => said.push_str(" underscore "),
            '+' => said.push_str(" plus "),
            ':' => said.push_str(" colon "),
            '~' => said.push_str(" tilde "),
            c if c.is_alphanumeric() => said.push(c),
            _ => said.push(' '),
        }
    }
    let mut domain = false;
    let words = said.split_whitespace().map(|word| {
        let spelled = domain && SPELLED.contains(&word.to_lowercase().as_str());
        domain = word == "dot";
        if spelled { super::acronym::spelled(&word.to_uppercase()) } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_are_spoken() {
        for (written, said) in [
            ("see example.com.", "see example dot com."),
            ("https://www.example.com/help/?q=1#top", "example dot com slash help"),
            ("(http://a-b.org)", "(a dash b dot org)"),
            (
                "Mail jane.doe_1@mail.example.co.uk!",
                "Mail jane dot doe underscore 1 at mail dot example dot co dot U K!",
            ),
            ("antiphon.io", "antiphon dot I O"),
            ("Yes.No, 3.com is", "Yes.No, 3 dot com is"),
            ("user@host", "user@host"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
