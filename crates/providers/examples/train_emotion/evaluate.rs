//! Measures of how good answers are.

use antiphon_core::Emotion;
use antiphon_providers::local::emotion::head::CLASSES;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::data::Row;

/// Number of samples of the bootstrap (Efron 1979), and its seed.
const RESAMPLES: usize = 1_000;
const SEED: u64 = 11;
/// Number of bins of the calibration error (Guo et al. 2017, "On Calibration of Modern Neural Networks").
const BINS: usize = 15;

/// A text with its labels, and an answer to it.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) row: &'a Row,
    pub(crate) scores: [f32; CLASSES],
}

impl Answer<'_> {
    /// The most likely class and its probability.
    pub(crate) fn top(&self) -> (usize, f32) {
        let (emotion, probability) = antiphon_core::EmotionScores(self.scores).top();
        (emotion as usize, probability)
    }

    /// Whether the most likely class is among the labels.
    pub(crate) fn right(&self) -> bool {
        self.row.labels.contains(&self.top().0)
    }

    /// The right class: the answered one if it is among the labels, otherwise the first label.
    fn gold(&self) -> usize {
        if self.right() { self.top().0 } else { self.row.labels[0] }
    }
}

/// The confusion matrix: rows are right classes, columns are answered classes.
pub(crate) struct Confusion(pub(crate) [[f32; CLASSES]; CLASSES]);

/// The quality of the answers for one class.
pub(crate) struct Quality {
    pub(crate) precision: f32,
    pub(crate) recall: f32,
    pub(crate) f1: f32,
    pub(crate) rows: f32,
}

impl Confusion {
    pub(crate) fn of<'a>(answers: impl IntoIterator<Item = &'a Answer<'a>>) -> Self {
        let mut counts = [[0.0; CLASSES]; CLASSES];
        for answer in answers {
            counts[answer.gold()][answer.top().0] += 1.0;
        }
        Self(counts)
    }

    pub(crate) fn quality(&self, class: usize) -> Quality {
        let right = self.0[class][class];
        let answered: f32 = self.0.iter().map(|row| row[class]).sum();
        let rows: f32 = self.0[class].iter().sum();
        let share = |of: f32| if of > 0.0 { right / of } else { 0.0 };
        let f1 = if right > 0.0 { 2.0 * right / (answered + rows) } else { 0.0 };
        Quality { precision: share(answered), recall: share(rows), f1, rows }
    }

    /// The mean of the F1 of all classes, with equal weights.
    pub(crate) fn macro_f1(&self) -> f32 {
        (0..CLASSES).map(|class| self.quality(class).f1).sum::<f32>() / CLASSES as f32
    }

    pub(crate) fn accuracy(&self) -> f32 {
        let right: f32 = (0..CLASSES).map(|class| self.0[class][class]).sum();
        right / self.0.as_flattened().iter().sum::<f32>()
    }
}

/// The expected calibration error: the average difference between confidence and accuracy.
pub(crate) fn calibration_error(answers: &[Answer]) -> f32 {
    let mut bins = [0.0_f32; BINS];
    for answer in answers {
        let (_, confidence) = answer.top();
        let bin = ((confidence * BINS as f32) as usize).min(BINS - 1);
        bins[bin] += confidence - f32::from(answer.right());
    }
    bins.iter().map(|gap| gap.abs()).sum::<f32>() / answers.len() as f32
}

/// Answers other than neutral with at least a given confidence.
pub(crate) struct Named {
    /// Their share of all rows.
    pub(crate) share: f32,
    /// The share of them that is right.
    pub(crate) right: f32,
}

impl Named {
    pub(crate) fn at(answers: &[Answer], confidence: f32) -> Self {
        let named = |answer: &&Answer| {
            let (class, probability) = answer.top();
            class != Emotion::Neutral as usize && probability >= confidence
        };
        let (mut rows, mut right) = (0.0, 0.0);
        for answer in answers.iter().filter(named) {
            rows += 1.0;
            right += f32::from(answer.right());
        }
        Self { share: rows / answers.len() as f32, right: right / f32::max(rows, 1.0) }
    }
}

/// The 95 % confidence interval of `statistic`, by bootstrap.
pub(crate) fn interval(rows: usize, mut statistic: impl FnMut(&[usize]) -> f32) -> (f32, f32) {
    let mut chance = StdRng::seed_from_u64(SEED);
    let mut drawn = vec![0; rows];
    let mut values: Vec<f32> = (0..RESAMPLES)
        .map(|_| {
            drawn.fill_with(|| chance.random_range(0..rows));
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f32::total_cmp);
    (values[RESAMPLES / 40], values[RESAMPLES - 1 - RESAMPLES / 40])
}
