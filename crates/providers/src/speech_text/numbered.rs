//! Numbers that name something and count nothing: "room one oh one", "PIN zero zero four two", "Chapter four".

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::{Around, group, pattern, replace, replace_in_context};
use super::words::{cardinal, digits, label, ordinal, roman, spelled};

static NUMBERED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<what>Chapter|Part|Act|Scene|Section|Volume|[Vv]ol\.|Pt\.|Book|Phase|Type|Class|Level|War|Appendix|Article|Figure|Table|Title|Grade|Stage|Bowl|Episode|Step|Unit|Rocky|Mark|Final Fantasy|chapter|part|volume|phase|type|stage|level|section|act)\s+(?<roman>[IVXLC]+)\b",
    )
});
/// Kings, queens and popes.
static REGNAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<who>Henry|Louis|George|Edward|Richard|Elizabeth|Charles|James|William|John Paul|Benedict|Pius|Leo|Philip|Napoleon|Nicholas|Catherine|Alexander|Francis|Frederick|Mary|Peter|Gregory|Innocent|Ivan|Ramses|Xerxes|Darius|Clement|Urban|Paul|Margaret|Christian|Gustav|Wilhelm)\s+(?<roman>[IVX]+)\b",
    )
});
/// A ruler of a country, whatever the name.
static RULER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<who>[A-Z][a-z]{2,15})\s+(?<roman>[IVX]{2,6})(?<of>\s+of\s+[A-Z])"));
/// The World Wars as they are abbreviated.
static WORLD_WAR: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bWW(?:(?<first>I|1)|II|2)\b"));
/// Places and lines whose number is said in pairs of digits.
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<what>(?i:room|suite|apartment|flight|highway|route|interstate|boeing|channel|studio|unit|error|http|status)\s+|(?:Rm|Apt|Ste|Hwy|Rte)\b\.?\s+|I-|US-)(?<number>\d{3,4})(?<letter>[A-Z])?\b",
    )
});
/// A flight with the two letters of its airline.
static FLIGHT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?<what>(?i:flight)\s+)(?<line>[A-Z]{2})\s(?<number>\d{1,4})\b"));
/// American pension plans, which are called after paragraphs of the tax law.
static PENSION: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(401|403|457|529)\(?([kb])\b\)?"));
/// What has a number that is said digit by digit, at least if it is long.
static CODE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<what>(?i:area code|zip code|zip|postal code|code|pin|password|passcode|order|ticket|account|invoice|reference|ref|confirmation|tracking|case|serial|extension|ext|member|id|passport|license|policy|booking|reservation|number|acct|card ending in|ending in|ends in|last four digits)\b\.?(?i:\s+(?:number|no\.|code|id))?(?:\s+is)?:?\s+#?)(?<number>(?:\d{3,}|\d\d-\d\d)(?:-\d+)*(?: \d{3,})*)\b",
    )
});

/// Words after the numeral "I" that do not follow the word "I".
const AFTER_ONE: [&str; 10] = ["of", "was", "is", "and", "became", "ruled", "died", "in", "began", "ended"];

/// "No.1" without a space.
static ATTACHED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[Nn][or]\.(?<number>\d)"));

/// Replaces the numbers of things by words.
pub(super) fn say(text: String) -> String {
    let text = replace(text, &ATTACHED, |found| Some(format!("number {}", group(found, "number"))));
    let text = replace_in_context(text, &REGNAL, |found, around| {
        let numeral = group(found, "roman");
        // "the Mary I know" is no queen.
        if numeral == "I" && !goes_on_after_one(around) {
            return None;
        }
        let said = ordinal(roman(numeral)?);
        Some(format!("{} the {said}", group(found, "who")))
    });
    let text = replace(text, &WORLD_WAR, |found| {
        Some(format!("World War {}", if group(found, "first").is_empty() { "two" } else { "one" }))
    });
    let text = replace_in_context(text, &NUMBERED, |found, around| {
        let numeral = group(found, "roman");
        // "the part I like" has no numeral.
        let known = numeral != "I" || goes_on_after_one(around);
        known.then(|| Some(format!("{} {}", group(found, "what"), cardinal(roman(numeral)?))))?
    });
    let text = replace(text, &RULER, |found| {
        let said = ordinal(roman(group(found, "roman"))?);
        Some(format!("{} the {said}{}", group(found, "who"), group(found, "of")))
    });
    let text = replace_in_context(text, &CODE, |found, around| {
        let number = group(found, "number");
        let counted = around.counts_things() || around.rest().starts_with(['%', '°']);
        (!counted).then(|| format!("{}{}", group(found, "what"), digits(number)))
    });
    let text = replace(text, &FLIGHT, |found| {
        let line = spelled(group(found, "line"));
        Some(format!("{}{line} {}", group(found, "what"), digits(group(found, "number"))))
    });
    let text =
        replace(text, &PENSION, |found| Some(format!("{} {}", label(found[1].parse().ok()?), &found[2])));
    replace_in_context(text, &PLACE, |found, _| {
        let what = group(found, "what").replace("I-", "I ").replace("US-", "U S ");
        let number = group(found, "number");
        let said = if number.starts_with('0') { digits(number) } else { label(number.parse().ok()?) };
        let letter = match group(found, "letter") {
            "" => String::new(),
            letter => format!(" {letter}"),
        };
        Some(format!("{what}{said}{letter}"))
    })
}

/// Whether what follows "I" says that it is a numeral.
fn goes_on_after_one(around: Around<'_>) -> bool {
    let next = around.word_after(0);
    next.is_empty() || AFTER_ONE.contains(&next)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_things_are_spoken() {
        for (written, said) in [
            ("Chapter IV of World War II", "Chapter four of World War two"),
            ("Ludwig II of Bavaria, WWII", "Ludwig the second of Bavaria, World War two"),
            ("Henry VIII", "Henry the eighth"),
            ("room 101, flight 370", "room one oh one, flight three seventy"),
            ("PIN 0042, code 2024", "PIN zero zero four two, code two zero two four"),
            ("flight UA 12, my 401(k)", "flight U A one two, my four oh one k"),
            (
                "No.1, ID: 834 5521 9087",
                "number 1, ID: eight three four five five two one nine zero eight seven",
            ),
            ("order number 12345", "order number one two three four five"),
            ("I am in room 5, the part I like", "I am in room 5, the part I like"),
        ] {
            assert_eq!(super::say(written.to_owned()), said);
        }
    }
}
