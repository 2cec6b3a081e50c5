//! The report in Markdown.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use antiphon_core::{Embed, Emotion, Priority};
use antiphon_providers::local::emotion::CONFIDENT;
use antiphon_providers::local::emotion::head::{CLASSES, Head};
use antiphon_testkit::vectors::Vectors;

use crate::Data;
use crate::data::Row;
use crate::evaluate::{Answer, Confusion, Named, calibration_error, interval};
use crate::lexicon::Lexicon;

/// The thresholds of confidence in the report, in percent.
const CONFIDENCES: [u8; 7] = [0, 40, 50, 60, 70, 80, 90];
/// Number of times that each text is classified for the measurement of latency.
const HEAD_RUNS: usize = 100;

/// The classifier that is reported on, and the embeddings of all texts.
pub(crate) struct Report<'a> {
    pub(crate) head: &'a Head,
    pub(crate) vectors: &'a Vectors,
}

impl Report<'_> {
    /// Prints how good the answers are, compared with those of the baselines.
    pub(crate) fn quality(&self, data: &Data) {
        let (by_hand, learned) = (Lexicon::by_hand(), Lexicon::learned(&data.train));
        let by_hand = |row: &Row| by_hand.scores(&row.text);
        let learned = |row: &Row| learned.scores(&row.text);
        let model = |row: &Row| self.head.scores(self.vectors.of(&row.text), &row.text).0;
        println!("| rows | answers by | macro-F1 | accuracy |\n| --- | --- | --- | --- |");
        let single: Vec<Row> = data.dev.iter().filter(|row| row.labels.len() == 1).cloned().collect();
        for (rows, name) in [
            (&data.dev, "dev"),
            (&single, "dev, rows of one label"),
            (&data.plain_dev, "dev, words only"),
            (&data.meld, "MELD"),
            (&data.plain_meld, "MELD, words only"),
            (&data.calls, "calls"),
        ] {
            let commonest = commonest(rows);
            let always = |_: &Row| std::array::from_fn(|class| f32::from(class == commonest));
            summary(name, &format!("always {}", Emotion::ALL[commonest].label()), &answers(rows, always));
            summary(name, "words listed by hand", &answers(rows, by_hand));
            summary(name, "words by log-odds", &answers(rows, learned));
            summary(name, "**this model**", &answers(rows, model));
        }
        let (dev, baseline) = (answers(&data.dev, model), answers(&data.dev, learned));
        let (low, high) = interval(dev.len(), |drawn| {
            let f1 = |answers: &[Answer]| Confusion::of(drawn.iter().map(|n| &answers[*n])).macro_f1();
            f1(&dev) - f1(&baseline)
        });
        println!("\nMacro-F1 above words by log-odds, dev: {low:.3} to {high:.3} (95 %).\n");
        classes(&Confusion::of(&dev));
        println!("\nExpected calibration error: {}", errors(data, model));
        named(&answers(&data.questions, model));
        confidences(&[
            ("dev", dev),
            ("dev, words only", answers(&data.plain_dev, model)),
            ("MELD", answers(&data.meld, model)),
            ("calls", answers(&data.calls, model)),
        ]);
    }

    /// Prints how long an answer takes.
    pub(crate) async fn latency(&self, embed: &dyn Embed, rows: &[Row]) -> Result<(), String> {
        let vector = self.vectors.of(&rows[0].text);
        let spans = |text: &str| -> Vec<Duration> {
            let span = |_| {
                let began = Instant::now();
                black_box(self.head.scores(black_box(vector), black_box(text)));
                began.elapsed()
            };
            (0..HEAD_RUNS).map(span).collect()
        };
        let mut head: Vec<_> = rows.iter().flat_map(|row| spans(&row.text)).collect();
        let mut longest =
            spans(&"I never thought that it would come to this, and I am so sorry. ".repeat(15));
        let mut whole = Vec::new();
        for row in rows {
            let began = Instant::now();
            let vectors = embed.embed(vec![row.text.clone()], Priority::LiveTurn).await;
            let vectors = vectors.map_err(|e| e.to_string())?;
            black_box(self.head.scores(&vectors[0], &row.text));
            whole.push(began.elapsed());
        }
        println!("\n| MELD, words only | p50 | p99 |\n| --- | --- | --- |");
        for (name, spans) in [
            ("head", &mut head),
            ("head, of a text of 945 characters", &mut longest),
            ("embedding and head", &mut whole),
        ] {
            let (median, slow) = (percentile(spans, 50), percentile(spans, 99));
            println!(
                "| {name} | {:.3} ms | {:.3} ms |",
                median.as_secs_f64() * 1e3,
                slow.as_secs_f64() * 1e3
            );
        }
        Ok(())
    }
}

fn answers(rows: &[Row], scores: impl Fn(&Row) -> [f32; CLASSES]) -> Vec<Answer<'_>> {
    rows.iter().map(|row| Answer { row, scores: scores(row) }).collect()
}

/// The most frequent class.
fn commonest(rows: &[Row]) -> usize {
    let size = |class: &usize| rows.iter().filter(|row| row.labels.contains(class)).count();
    (0..CLASSES).max_by_key(size).unwrap_or_default()
}

fn summary(rows: &str, name: &str, answers: &[Answer]) {
    let confusion = Confusion::of(answers);
    let (low, high) =
        interval(answers.len(), |drawn| Confusion::of(drawn.iter().map(|n| &answers[*n])).macro_f1());
    let (f1, accuracy) = (confusion.macro_f1(), confusion.accuracy());
    println!("| {rows} | {name} | {f1:.3} ({low:.3} to {high:.3}) | {accuracy:.3} |");
}

/// Prints the quality of each class, and the classes it is confused with.
fn classes(confusion: &Confusion) {
    let labels = Emotion::ALL.map(Emotion::label).join(" | ");
    println!("| dev | rows | precision | recall | F1 | {labels} |");
    println!("|{}", " --- |".repeat(5 + CLASSES));
    for (class, emotion) in Emotion::ALL.iter().enumerate() {
        let quality = confusion.quality(class);
        let counts: Vec<_> = confusion.0[class].iter().map(f32::to_string).collect();
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.3} | {} |",
            emotion.label(),
            quality.rows,
            quality.precision,
            quality.recall,
            quality.f1,
            counts.join(" | ")
        );
    }
}

fn errors(data: &Data, model: impl Fn(&Row) -> [f32; CLASSES]) -> String {
    let sets = [
        ("held out", &data.held_out),
        ("dev", &data.dev),
        ("dev, words only", &data.plain_dev),
        ("MELD", &data.meld),
    ];
    let error = |rows| calibration_error(&answers(rows, &model));
    sets.map(|(name, rows)| format!("{:.3} ({name})", error(rows))).join(", ")
}

/// Prints which emotions are found in questions that show no feeling.
fn named(questions: &[Answer]) {
    let shares = Emotion::ALL.iter().enumerate().filter(|(_, emotion)| **emotion != Emotion::Neutral);
    let shares: Vec<_> = shares
        .map(|(class, emotion)| {
            let named = questions.iter().filter(|answer| {
                let (top, probability) = answer.top();
                top == class && probability >= CONFIDENT
            });
            format!("{} {:.1} %", emotion.label(), 100.0 * named.count() as f32 / questions.len() as f32)
        })
        .collect();
    let any = [0.0, CONFIDENT].map(|confidence| Named::at(questions, confidence).share * 100.0);
    println!(
        "\nOf {} customers' questions (BANKING77, words only) {:.1} % are named an emotion, {:.1} % from `CONFIDENT` on: {}.",
        questions.len(),
        any[0],
        any[1],
        shares.join(", ")
    );
}

/// Prints, for each threshold of confidence, how often an emotion other than neutral is found, and how often rightly.
fn confidences(sets: &[(&str, Vec<Answer>)]) {
    let names: Vec<_> = sets.iter().map(|(name, _)| format!("{name}: named | right")).collect();
    println!("\n| confidence | {} |\n|{}", names.join(" | "), " --- |".repeat(1 + 2 * sets.len()));
    for percent in CONFIDENCES {
        let confidence = f32::from(percent) / 100.0;
        let cell = |(_, answers): &(&str, Vec<Answer>)| {
            let named = Named::at(answers, confidence);
            format!("{:.1} % | {:.1} %", named.share * 100.0, named.right * 100.0)
        };
        let cells: Vec<_> = sets.iter().map(cell).collect();
        let mark = if confidence == CONFIDENT { " (`CONFIDENT`)" } else { "" };
        println!("| {confidence:.1}{mark} | {} |", cells.join(" | "));
    }
}

fn percentile(spans: &mut [Duration], percent: usize) -> Duration {
    spans.sort();
    spans.get(spans.len() * percent / 100).copied().unwrap_or_default()
}
