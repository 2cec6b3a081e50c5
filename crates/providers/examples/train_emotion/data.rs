//! Reads the data sets of texts that are labelled with emotions.

use std::path::Path;

use antiphon_core::Emotion;

/// Names put in place of `[NAME]`, with which the data set hides names: nobody says brackets.
const NAMES: [&str; 8] = ["Alex", "Maria", "Tom", "Sarah", "David", "Anna", "Chris", "Emma"];

/// A text and the emotions that its raters found in it.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) text: String,
    /// Indices into [`Emotion::ALL`] in ascending order, at least one.
    pub(crate) labels: Vec<usize>,
}

/// Reads GoEmotions: each line has a text, its labels, and the id of the comment.
pub(crate) fn go_emotions(file: &Path) -> Result<Vec<Row>, String> {
    let read = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let row = |(number, line): (usize, &str)| {
        let mut columns = line.split('\t');
        let (text, labels) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
        let labels: Option<Vec<usize>> =
            labels.split(',').map(|l| l.parse().ok().filter(|l| *l < Emotion::ALL.len())).collect();
        let labels = labels.ok_or_else(|| format!("{}:{}: unknown labels", file.display(), number + 1))?;
        Ok(Row { text: text.replace("[NAME]", NAMES[number % NAMES.len()]), labels })
    };
    read.lines().enumerate().map(row).collect()
}

/// Reads MELD: CSV with the text in the second column and the name of the emotion in the fourth.
pub(crate) fn meld(file: &Path) -> Result<Vec<Row>, String> {
    let read = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let row = |(number, line): (usize, &str)| {
        let columns = columns(line);
        let label = columns.get(3).and_then(|name| Emotion::ALL.iter().position(|e| e.label() == name));
        let label = label.ok_or_else(|| format!("{}:{}: unknown emotion", file.display(), number + 1))?;
        Ok(Row { text: columns[1].clone(), labels: vec![label] })
    };
    read.lines().enumerate().skip(1).map(row).collect()
}

/// Reads BANKING77: CSV with the text in the first column. Hardly any of these customers' questions shows a feeling.
pub(crate) fn questions(file: &Path) -> Result<Vec<Row>, String> {
    let read = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let row =
        |line: &str| Row { text: columns(line).swap_remove(0), labels: vec![Emotion::Neutral as usize] };
    Ok(read.lines().skip(1).map(row).collect())
}

/// The columns of a line of CSV. Quoted line breaks are not supported.
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                columns.last_mut().into_iter().for_each(|column| column.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            c => columns.last_mut().into_iter().for_each(|column| column.push(c)),
        }
    }
    columns
}

/// The rows as a recogniser without punctuation would write them: lower case, words only.
pub(crate) fn plain(rows: &[Row]) -> Vec<Row> {
    let kept = |c: char| c.is_alphanumeric() || c == '\'';
    let words = |text: &str| {
        let text = text.replace('’', "'").to_lowercase();
        let words: Vec<_> = text.split(|c| !kept(c)).filter(|word| !word.is_empty()).collect();
        words.join(" ")
    };
    rows.iter().map(|row| Row { text: words(&row.text), labels: row.labels.clone() }).collect()
}
