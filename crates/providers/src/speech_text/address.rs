//! Web and e-mail addresses: "example dot com slash help".

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::{digits, spelled};

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
/// An address of the Internet Protocol, version 4, with a port or without.
static NUMERIC: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<parts>\d{1,3}(?:\.\d{1,3}){3})(?::(?<port>\d{1,5}))?\b"));
/// A port of this machine.
static LOCAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"\blocalhost:(?<port>\d{1,5})\b"));
/// A file, told by a well-known extension.
static FILE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<name>[A-Za-z0-9][\w-]{0,63})\.(?<extension>pdf|txt|docx?|xlsx?|pptx?|csv|json|ya?ml|toml|xml|html?|css|js|ts|py|rs|md|cpp|java|exe|zip|jpe?g|png|gif|svg|mp3|mp4|wav|log|sh)\b",
    )
});
/// Extensions that are words; others are spelled.
const READ: &[&str] = &["zip", "log", "java", "toml", "gif"];
/// Top-level domains that are spelled.
const SPELLED: &[&str] = &["io", "ai", "uk", "eu", "de", "tv", "fm"];

/// Replaces addresses by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &MAIL, |found| Some(spoken(group(found, "mail"))));
    let text = replace_in_context(text, &NUMERIC, numeric);
    let text =
        replace(text, &LOCAL, |found| Some(format!("localhost colon {}", digits(group(found, "port")))));
    let text = replace(text, &WEB, |found| {
        let (given, bare) = (group(found, "given"), group(found, "bare"));
        let address = if given.is_empty() { bare } else { given };
        let kept = address.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'', '*', '_']);
        let tail = &address[kept.len()..];
        // The query and the fragment of an address are left out, as nobody says them.
        let place = kept.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        Some(format!("{}{tail}", spoken(place)))
    });
    replace(text, &FILE, |found| {
        let extension = group(found, "extension");
        let said =
            if READ.contains(&extension) { extension.to_owned() } else { spelled(&extension.to_uppercase()) };
        Some(format!("{} dot {said}", spoken(group(found, "name"))))
    })
}

fn numeric(found: &Captures<'_>, around: Around<'_>) -> Option<String> {
    let number = |c: char| c.is_ascii_digit();
    let longer = around.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(number));
    if longer || around.word_before(0).eq_ignore_ascii_case("version") {
        return None;
    }
    let parts: Vec<String> = group(found, "parts").split('.').map(digits).collect();
    let port = match group(found, "port") {
        "" => String::new(),
        port => format!(" colon {}", digits(port)),
    };
    Some(format!("{}{port}", parts.join(" dot ")))
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
        let by_letters = domain && SPELLED.contains(&word.to_lowercase().as_str());
        domain = word == "dot";
        if by_letters { spelled(&word.to_uppercase()) } else { word.to_owned() }
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
            ("10.0.0.1:80", "one zero dot zero dot zero dot one colon eight zero"),
            ("report.pdf, version 1.2.3.4", "report dot P D F, version 1.2.3.4"),
            ("Yes.No, 3.com is", "Yes.No, 3 dot com is"),
            ("user@host", "user@host"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
