//! The baselines: classification by lists of words.

use std::collections::HashMap;

use antiphon_core::Emotion;
use antiphon_providers::local::emotion::head::CLASSES;

use crate::data::Row;

/// Number of words that are learned for each class.
const LEARNED: usize = 300;
/// Size of the prior, in words with the frequencies of all rows (Monroe et al. 2008, "Fightin' Words").
const PRIOR: f32 = 1_000.0;

/// Lists that were written by hand, without knowledge of the data.
const BY_HAND: [(Emotion, &str); 6] = [
    (
        Emotion::Anger,
        "angry anger furious mad annoyed annoying hate outrageous unacceptable ridiculous rage pissed damn fuck \
         fucking stupid idiot hell shut fed useless liar worst",
    ),
    (
        Emotion::Disgust,
        "disgusting disgusted disgust gross nasty vile revolting sick sickening yuck ew eww repulsive filthy awful \
         cringe creepy",
    ),
    (
        Emotion::Fear,
        "afraid scared scary fear terrified terrifying frightened frightening worried worry nervous anxious panic \
         horror creepy dread",
    ),
    (
        Emotion::Joy,
        "happy glad love loved great awesome amazing wonderful thank thanks good nice excellent excited joy lol haha \
         fun funny enjoy proud beautiful best perfect congratulations hope cool sweet appreciate",
    ),
    (
        Emotion::Sadness,
        "sad sorry unhappy miss lost lonely cry crying died death depressed depressing disappointed disappointing \
         unfortunately grief hurt heartbroken regret tears",
    ),
    (
        Emotion::Surprise,
        "surprised surprising surprise wow omg what really unexpected shocked shocking unbelievable whoa curious \
         confused wonder wondering weird",
    ),
];

/// The weights of words for each class.
pub(crate) struct Lexicon {
    words: HashMap<String, [f32; CLASSES]>,
}

impl Lexicon {
    /// The lists written by hand. All words have the same weight.
    pub(crate) fn by_hand() -> Self {
        let mut lexicon = Self { words: HashMap::new() };
        for (emotion, words) in BY_HAND {
            words.split_whitespace().for_each(|word| lexicon.add(word, emotion as usize, 1.0));
        }
        lexicon
    }

    /// For each class, including neutral, the words that are most significantly more frequent in it than in the others,
    /// by the z-score of their log-odds with a Dirichlet prior. The weights are the log-odds.
    pub(crate) fn learned(rows: &[Row]) -> Self {
        let mut counts: HashMap<String, [f32; CLASSES]> = HashMap::new();
        for row in rows {
            for word in words(&row.text) {
                let counts = counts.entry(word).or_default();
                row.labels.iter().for_each(|label| counts[*label] += 1.0);
            }
        }
        let totals: [f32; CLASSES] = std::array::from_fn(|class| counts.values().map(|c| c[class]).sum());
        let all: f32 = totals.iter().sum();
        let mut lexicon = Self { words: HashMap::new() };
        for (class, total) in totals.iter().enumerate() {
            let odds = |(word, counts): (&String, &[f32; CLASSES])| {
                let (inside, sum) = (counts[class], counts.iter().sum::<f32>());
                let prior = PRIOR * sum / all;
                let rest = sum - inside;
                let log = |n: f32, of: f32| ((n + prior) / (of + PRIOR - n - prior)).ln();
                let delta = log(inside, *total) - log(rest, all - total);
                let z = delta / (1.0 / (inside + prior) + 1.0 / (rest + prior)).sqrt();
                (z, delta, word.clone())
            };
            let mut words: Vec<_> = counts.iter().map(odds).collect();
            words.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.cmp(&b.2)));
            words.into_iter().take(LEARNED).for_each(|(_, delta, word)| lexicon.add(&word, class, delta));
        }
        lexicon
    }

    fn add(&mut self, word: &str, class: usize, weight: f32) {
        self.words.entry(word.to_owned()).or_default()[class] += weight;
    }

    /// The sums of the weights of a text's words. Neutral is highest when no word is known.
    pub(crate) fn scores(&self, text: &str) -> [f32; CLASSES] {
        let mut sums = [0.0; CLASSES];
        for weights in words(text).filter_map(|word| self.words.get(&word)) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
        }
        sums[Emotion::Neutral as usize] += 0.5;
        sums
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let text = text.replace('’', "'").to_lowercase();
    let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric() && c != '\'').map(str::to_owned).collect();
    words.into_iter().filter(|word| !word.is_empty())
}
