//! Sentences in which people say directly how they feel, and neutral questions of callers. Both are added to the
//! training data, because they are rare in it. In 43,000 web comments "furious" occurs seven times, mostly about
//! others, while on the telephone it is the clearest sign of anger. And questions in comments mostly show curiosity,
//! which counts as surprise.

use antiphon_core::Emotion;

use crate::data::Row;

/// Sentences into which the words for a feeling are inserted.
const FRAMES: [&str; 12] = [
    "{}",
    "I am {}",
    "I'm {}",
    "I'm so {}",
    "I am really {} about this",
    "I feel {}",
    "I feel very {} today",
    "we are {}",
    "this makes me {}",
    "it left me {}",
    "honestly I am just {}",
    "and now I am {}",
];

/// Questions about a thing in the singular; those in the plural follow.
const ASKED: [&str; 17] = [
    "What is your {}?",
    "How much is the {}?",
    "Where do I find the {}?",
    "When will the {} be ready?",
    "Can you tell me about the {}?",
    "I would like to ask about the {}.",
    "Can I change the {}?",
    "Do you have a {}?",
    "I need a {} please.",
    "I am calling about the {}.",
    "Which {} do I need?",
    "How do I get a {}?",
    "Is the {} included?",
    "What time is the {}?",
    "Could you check the {} for me?",
    "Who do I ask about my {}?",
    "What are your {} fees?",
];

const THINGS: [&str; 24] = [
    "address",
    "phone number",
    "return policy",
    "delivery",
    "invoice",
    "appointment",
    "membership",
    "ticket",
    "refund",
    "password",
    "room",
    "car",
    "parcel",
    "contract",
    "menu",
    "insurance",
    "balance",
    "subscription",
    "repair",
    "discount",
    "deposit",
    "flight",
    "prescription",
    "parking",
];

const ASKED_OF_SEVERAL: [&str; 8] = [
    "What are your {}?",
    "What are the {}?",
    "Can you tell me your {}?",
    "Do you have any {}?",
    "Where do I find your {}?",
    "Have your {} changed?",
    "I would like to know your {}.",
    "I have a question about the {}.",
];

const SEVERAL: [&str; 16] = [
    "prices",
    "rates",
    "terms",
    "fees",
    "branches",
    "payment options",
    "delivery times",
    "visiting times",
    "rooms",
    "tickets",
    "bank details",
    "conditions",
    "plans",
    "colours",
    "menus",
    "appointments",
];

const FEELINGS: [(Emotion, &[&str]); 6] = [
    (
        Emotion::Anger,
        &[
            "angry",
            "furious",
            "mad",
            "annoyed",
            "irritated",
            "outraged",
            "enraged",
            "livid",
            "fuming",
            "frustrated",
            "infuriated",
            "irate",
            "fed up",
            "pissed off",
            "aggravated",
            "exasperated",
        ],
    ),
    (
        Emotion::Disgust,
        &["disgusted", "revolted", "repulsed", "grossed out", "sickened", "nauseated", "repelled"],
    ),
    (
        Emotion::Fear,
        &[
            "afraid",
            "scared",
            "frightened",
            "terrified",
            "worried",
            "nervous",
            "anxious",
            "petrified",
            "panicking",
            "alarmed",
            "uneasy",
            "fearful",
            "scared to death",
        ],
    ),
    (
        Emotion::Joy,
        &[
            "happy",
            "glad",
            "delighted",
            "thrilled",
            "pleased",
            "grateful",
            "thankful",
            "excited",
            "overjoyed",
            "relieved",
            "proud",
            "joyful",
            "ecstatic",
            "satisfied",
        ],
    ),
    (
        Emotion::Sadness,
        &[
            "sad",
            "unhappy",
            "depressed",
            "disappointed",
            "heartbroken",
            "miserable",
            "lonely",
            "devastated",
            "grieving",
            "hopeless",
            "crushed",
            "in tears",
            "let down",
        ],
    ),
    (
        Emotion::Surprise,
        &[
            "surprised",
            "shocked",
            "astonished",
            "stunned",
            "startled",
            "confused",
            "puzzled",
            "baffled",
            "astounded",
            "bewildered",
            "taken aback",
        ],
    ),
];

/// The most words of a text before a feeling: after a longer text the feeling hardly counts.
const LONGEST_BEFORE: usize = 12;

/// Every question, and every feeling in every frame, once alone and once after one of the texts, because people often
/// give the reason first.
pub(crate) fn statements(before: &[Row]) -> Vec<Row> {
    let said = |(emotion, words): (Emotion, &[&str])| -> Vec<Row> {
        let labels = vec![emotion as usize];
        let in_frames = |word: &&str| FRAMES.map(|frame| frame.replace("{}", word));
        let texts = words.iter().flat_map(in_frames);
        texts.map(|text| Row { text, labels: labels.clone() }).collect()
    };
    let alone: Vec<Row> = FEELINGS.into_iter().flat_map(said).collect();
    let neutral = |row: &&Row| {
        row.labels == [Emotion::Neutral as usize] && row.text.split(' ').count() <= LONGEST_BEFORE
    };
    let before = before.iter().filter(neutral);
    let after = alone.iter().zip(before).map(|(feeling, before)| {
        let before = before.text.trim_end_matches(|c: char| !c.is_alphanumeric());
        Row { text: format!("{before}, {}", feeling.text), labels: feeling.labels.clone() }
    });
    let after: Vec<Row> = after.collect();
    let ask = |frames: &[&str], thing: &str| -> Vec<Row> {
        let labels = vec![Emotion::Neutral as usize];
        frames.iter().map(|frame| Row { text: frame.replace("{}", thing), labels: labels.clone() }).collect()
    };
    let one = THINGS.into_iter().flat_map(|thing| ask(&ASKED, thing));
    let several = SEVERAL.into_iter().flat_map(|things| ask(&ASKED_OF_SEVERAL, things));
    alone.into_iter().chain(after).chain(one).chain(several).collect()
}
