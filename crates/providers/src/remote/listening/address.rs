//! The address of a session, whose query holds the options of the transcription.

use std::fmt::Write;

/// The most terms, and the most characters of a term. Vendors refuse the whole request for one more.
const MOST_TERMS: usize = 100;
const LONGEST_TERM: usize = 50;

/// The terms that a vendor is asked to expect: its own options' and those of the prompt, which is split at commas,
/// semicolons and line ends. Terms that are too long or too many are left out.
pub(crate) fn terms<'a>(own: &'a [String], prompt: Option<&'a str>) -> Vec<&'a str> {
    let prompted = prompt.unwrap_or_default().split([',', ';', '\n']);
    let all = own.iter().map(String::as_str).chain(prompted).map(str::trim);
    all.filter(|term| !term.is_empty() && term.chars().count() <= LONGEST_TERM).take(MOST_TERMS).collect()
}

/// A path with a query, percent-encoded.
pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = path.to_owned();
    for (n, (key, value)) in pairs.iter().enumerate() {
        query.push(if n == 0 { '?' } else { '&' });
        query.push_str(key);
        query.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    query.push(char::from(byte));
                }
                _ => {
                    // Writing to a string cannot fail.
                    let _ = write!(query, "%{byte:02X}");
                }
            }
        }
    }
    query
}
