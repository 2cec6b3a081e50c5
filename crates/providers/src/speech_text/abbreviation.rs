//! Abbreviations, and initials with full stops.

use super::words::{is_number_word, spelled};

/// Each abbreviation in lower case, and what is said for it.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("e.g.", "for example"),
    ("i.e.", "that is"),
    ("etc.", "et cetera"),
    ("etc", "et cetera"),
    ("vs.", "versus"),
    ("vs", "versus"),
    ("v.", "versus"),
    ("cf.", "compare"),
    ("viz.", "namely"),
    ("al.", "al"),
    ("a.k.a.", "also known as"),
    ("approx.", "approximately"),
    ("ca.", "circa"),
    ("incl.", "including"),
    ("excl.", "excluding"),
    ("max.", "maximum"),
    ("avg.", "average"),
    ("est.", "established"),
    ("temp.", "temperature"),
    ("tel.", "telephone"),
    ("ext.", "extension"),
    ("ed.", "edition"),
    ("w/", "with"),
    ("w/o", "without"),
    ("b/c", "because"),
    ("c/o", "care of"),
    ("n/a", "N A"),
    ("dr.", "Doctor"),
    ("dr", "Doctor"),
    ("drs.", "Doctors"),
    ("mr.", "Mister"),
    ("mr", "Mister"),
    ("mrs.", "Missus"),
    ("mrs", "Missus"),
    ("ms.", "Miz"),
    ("ms", "Miz"),
    ("messrs.", "Messers"),
    ("prof.", "Professor"),
    ("sgt.", "Sergeant"),
    ("capt.", "Captain"),
    ("cpt.", "Captain"),
    ("lt.", "Lieutenant"),
    ("col.", "Colonel"),
    ("cpl.", "Corporal"),
    ("gen.", "General"),
    ("maj.", "Major"),
    ("cmdr.", "Commander"),
    ("adm.", "Admiral"),
    ("pvt.", "Private"),
    ("sen.", "Senator"),
    ("rep.", "Representative"),
    ("gov.", "Governor"),
    ("pres.", "President"),
    ("rev.", "Reverend"),
    ("hon.", "Honorable"),
    ("fr.", "Father"),
    ("msgr.", "Monsignor"),
    ("jr.", "Junior"),
    ("jr", "Junior"),
    ("sr.", "Senior"),
    ("esq.", "Esquire"),
    ("mt.", "Mount"),
    ("ft.", "Fort"),
    ("dept.", "department"),
    ("govt.", "government"),
    ("univ.", "university"),
    ("assn.", "association"),
    ("bldg.", "building"),
    ("apt.", "apartment"),
    ("apt", "apartment"),
    ("ste.", "suite"),
    ("rm.", "room"),
    ("ave.", "Avenue"),
    ("ave", "Avenue"),
    ("blvd.", "Boulevard"),
    ("blvd", "Boulevard"),
    ("rd.", "Road"),
    ("hwy.", "Highway"),
    ("hwy", "Highway"),
    ("pkwy.", "Parkway"),
    ("st.", "Street"),
    ("inc.", "incorporated"),
    ("corp.", "corporation"),
    ("ltd.", "limited"),
    ("bros.", "brothers"),
    ("asst.", "assistant"),
    ("assoc.", "associate"),
    ("atty.", "attorney"),
    ("feat.", "featuring"),
    ("co.", "company"),
    ("fig.", "figure"),
    ("ch.", "chapter"),
    ("vol.", "volume"),
    ("jan.", "January"),
    ("feb.", "February"),
    ("aug.", "August"),
    ("sept.", "September"),
    ("oct.", "October"),
    ("nov.", "November"),
    ("dec.", "December"),
    ("phd", "P H D"),
    ("ph.d.", "P H D"),
];
/// Abbreviations that are ordinary words without a capital, such as a Roman numeral or a name.
const CAPITALISED: &[&str] = &[
    "dr", "mr", "mrs", "ms", "jr", "apt", "rep.", "gen.", "col.", "hon.", "ave", "fr.", "mt.", "ft.", "sen.",
    "adm.", "dec.", "nov.",
];
/// Titles, behind which a name follows and no sentence begins.
const TITLES: &[&str] = &[
    "dr.", "mr.", "mrs.", "ms.", "drs.", "messrs.", "prof.", "sgt.", "capt.", "cpt.", "lt.", "col.", "cpl.",
    "gen.", "maj.", "cmdr.", "adm.", "pvt.", "sen.", "rep.", "gov.", "pres.", "rev.", "hon.", "fr.", "msgr.",
    "mt.", "ft.", "vs.", "v.", "e.g.", "i.e.", "cf.", "fig.", "ch.", "vol.", "ca.", "a.k.a.", "approx.",
    "apt.", "ste.", "rm.", "est.", "tel.", "ext.",
];
/// Words that begin many sentences and no names.
const FIRST_WORDS: &[&str] = &[
    "The", "A", "An", "It", "It's", "He", "She", "We", "They", "I", "I'm", "You", "This", "That", "These",
    "Those", "There", "Then", "But", "And", "So", "Or", "If", "When", "While", "After", "Before", "In", "On",
    "At", "For", "From", "With", "As", "Our", "My", "Your", "His", "Her", "Their", "Its", "What", "Who",
    "How", "Why", "Where", "Is", "Are", "Do", "Does", "Did", "Can", "Could", "Please", "Let", "Not", "No",
    "Yes", "Now", "Today", "Here",
];
/// Abbreviations that are something only before a number, with what they are then: "No. 5".
const NUMBERED: &[(&str, &str)] = &[
    ("no.", "number"),
    ("nos.", "numbers"),
    ("nr.", "number"),
    ("b.", "born"),
    ("c.", "circa"),
    ("d.", "died"),
    ("ver.", "version"),
    ("p.", "page"),
    ("pp.", "pages"),
    ("pg.", "page"),
    ("min.", "minimum"),
    ("min", "minimum"),
    ("max", "maximum"),
    ("avg", "average"),
    ("approx", "approximately"),
    ("sec.", "section"),
    ("art.", "article"),
    ("pt.", "part"),
    ("vol", "volume"),
];
/// Those that mean something only behind a name or before one.
const NEAR_NAMES: &[&str] = &["v.", "co.", "st.", "ed.", "al."];

/// Replaces abbreviations by words. The numbers of `text` are in words already.
pub(super) fn say(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let spoken = words.iter().enumerate().map(|(at, word)| {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
        spoken(word, before, words.get(at + 1).copied())
    });
    spoken.collect::<Vec<_>>().join(" ")
}

fn spoken(word: &str, before: &str, next: Option<&str>) -> String {
    let known = ["vs", "etc", "min", "max", "avg", "approx"].contains(&word);
    if word.bytes().all(|b| b.is_ascii_lowercase()) && !known {
        return word.to_owned();
    }
    let core = word.trim_end_matches([',', '!', '?', ';', ':', ')']);
    let tail = &word[core.len()..];
    let bare = core.trim_start_matches(['(', '\'']);
    let open = &core[..core.len() - bare.len()];
    // "Mary's" and "U.S.'s" end as the word without that does.
    let (core, owner) = bare.strip_suffix("'s").map_or((bare, ""), |stem| (stem, " 's"));
    let Some(said) = abbreviated(core, before, next) else { return word.to_owned() };
    let owner = owner.trim_start();
    // The full stop of an abbreviation may end the sentence too.
    let ends = core.ends_with('.')
        && tail.is_empty()
        && owner.is_empty()
        && next.is_none_or(|next| begins_sentence(core, next));
    let initial = core.len() == 2 && next.is_some();
    format!("{open}{said}{owner}{}{tail}", if ends && !initial { "." } else { "" })
}

/// Whether the word behind an abbreviation begins a sentence. Behind initials it may be a name or a noun as well: "T.S. Eliot",
/// "the U.S. Army".
fn begins_sentence(core: &str, next: &str) -> bool {
    let title = TITLES.contains(&core.to_lowercase().as_str());
    let several = core.matches('.').count() > 1;
    let abbreviation = ABBREVIATIONS
        .iter()
        .any(|(written, _)| *written == next.trim_end_matches([',', ';', ':']).to_lowercase());
    next.starts_with(char::is_uppercase)
        && !title
        && !abbreviation
        && (!several || FIRST_WORDS.contains(&next))
}

fn abbreviated(core: &str, before: &str, next: Option<&str>) -> Option<String> {
    let lower = core.to_lowercase();
    let numbered = next.is_some_and(is_number_word);
    if let Some((_, said)) = NUMBERED.iter().find(|(written, _)| numbered && *written == lower) {
        return Some((*said).to_owned());
    }
    let capital = |word: &str| word.trim_start_matches(['(', '\'']).starts_with(char::is_uppercase);
    // "MS" and "DR" are other words than "Ms" and "Dr".
    let title = capital(core) && core.chars().nth(1).is_some_and(char::is_lowercase);
    let fits = (!CAPITALISED.contains(&lower.as_str()) || title)
        && (!NEAR_NAMES.contains(&lower.as_str())
            || capital(before)
            || before == "et"
            || before == "&"
            || before.ends_with('d')
            || before == "and");
    // "in a sec." and "He sat." are words at the end of a sentence, and so may be an abbreviation that is one as well.
    let word_at_end = matches!(
        lower.as_str(),
        "max." | "temp." | "fig." | "rep." | "gen." | "est." | "ed." | "ch." | "dec."
    ) && next.is_none_or(capital)
        && !matches!(lower.as_str(), "rep." | "gen.");
    if let Some((_, said)) = ABBREVIATIONS.iter().find(|(written, _)| *written == lower) {
        return (fits && !word_at_end).then(|| (*said).to_owned());
    }
    initials(core, next)
}

/// Letters with full stops, which are spelled: "U.S.", "J." before a name.
fn initials(core: &str, next: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = core.trim_end_matches('.').split('.').collect();
    let letters = parts.iter().all(|part| part.len() == 1 && part.bytes().all(|b| b.is_ascii_alphabetic()));
    let degree = matches!(core, "Ph.D." | "Ph.D" | "B.Sc." | "M.Sc." | "B.Sc" | "M.Sc");
    if !(letters || degree) || !core.contains('.') {
        return None;
    }
    if parts.len() > 1 {
        return Some(spelled(&parts.concat().to_uppercase()));
    }
    let name = core.starts_with(|c: char| c.is_ascii_uppercase() && c != 'I')
        && next.is_some_and(|next| next.starts_with(|c: char| c.is_ascii_uppercase()));
    name.then(|| core.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn abbreviations_are_spoken() {
        for (written, said) in [
            ("Dr. Smith, e.g., is in", "Doctor Smith, for example, is in"),
            ("No. six, no. That", "number six, no. That"),
            ("Acme Inc. Then we left, etc.", "Acme incorporated. Then we left, et cetera."),
            ("in the U.S. today", "in the U S today"),
            ("King Jr. Blvd., T.S. Eliot, the U.S. Then", "King Junior Boulevard, T S Eliot, the U S. Then"),
            ("J. K. Rowling's", "J K Rowling's"),
            ("Roe v. Wade, Smith et al.", "Roe versus Wade, Smith et al."),
            ("in a sec. Max. I am", "in a sec. Max. I am"),
            ("a Ph.D. in it", "a P H D in it"),
            ("MS, plan B. Then", "MS, plan B Then"),
        ] {
            assert_eq!(super::say(written), said);
        }
    }
}
