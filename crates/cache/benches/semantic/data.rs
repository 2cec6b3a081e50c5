//! The questions of the benchmark, read from the test data.

use std::path::Path;

use serde_json::Value;

/// Pairs that mean something else, or the same, as the guards' tests have them.
const DIFFERENT: &str = include_str!("../../src/by_meaning/guards/different.tsv");
const SAME: &str = include_str!("../../src/by_meaning/guards/same.tsv");

/// Two questions of Quora, and whether people said that they are the same.
pub(crate) struct Pair {
    pub(crate) cached: String,
    pub(crate) asked: String,
    pub(crate) same: bool,
}

/// A question to a bank and what it is about: the same answer would do for all of a category.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) category: String,
}

pub(crate) struct Data {
    pub(crate) pairs: Vec<Pair>,
    pub(crate) questions: Vec<Question>,
}

/// The pairs written for the guards that mean something else.
pub(crate) fn different() -> impl Iterator<Item = (&'static str, &'static str)> {
    DIFFERENT.lines().filter_map(|line| line.split_once('\t')?.1.split_once('\t'))
}

/// The pairs written for the guards that mean the same.
pub(crate) fn same() -> impl Iterator<Item = (&'static str, &'static str)> {
    SAME.lines().filter_map(|line| line.split_once('\t'))
}

impl Data {
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let read =
            |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"));
        let pairs = read("paraphrases/pairs.jsonl")?;
        let pairs =
            pairs.lines().map(pair).collect::<Option<_>>().ok_or("a pair is not what was expected")?;
        let questions = read("banking_questions/questions.csv")?;
        let questions = questions.lines().skip(1).filter_map(question).collect();
        Ok(Self { pairs, questions })
    }

    /// Everything that is to be embedded.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let pairs = self.pairs.iter().flat_map(|pair| [pair.cached.as_str(), pair.asked.as_str()]);
        let questions = self.questions.iter().map(|question| question.text.as_str());
        let written = different().chain(same()).flat_map(|(a, b)| [a, b]);
        pairs.chain(questions).chain(written).collect()
    }
}

fn pair(line: &str) -> Option<Pair> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| Some(value[name].as_str()?.to_owned());
    Some(Pair { cached: text("a")?, asked: text("b")?, same: value["same"].as_bool()? })
}

/// A line `text,category`, the text in quotes if it has commas.
fn question(line: &str) -> Option<Question> {
    let (text, category) = line.rsplit_once(',')?;
    let text = text.trim_matches('"').replace("\"\"", "\"");
    Some(Question { text, category: category.to_owned() })
}
