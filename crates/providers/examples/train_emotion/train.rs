//! Training of the network: stochastic gradient descent, one text at a time, with Adagrad (Duchi et al. 2011).

use antiphon_providers::local::emotion::features::{BUCKETS, features};
use antiphon_providers::local::emotion::head::{CLASSES, DIMENSIONS, HIDDEN, Weights, share, softmax};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::data::Row;

/// Seed of the random numbers, so that every run gives the same weights.
const SEED: u64 = 7;
/// Number of times that each text is used. Several values were tried for this and the following constants; close to
/// these the results hardly differ.
const EPOCHS: usize = 4;
/// Learning rate of the first step. It decreases linearly to a fiftieth.
const RATE: f32 = 0.03;
const LAST_RATE: f32 = RATE / 50.0;
/// Learning rates relative to that of the weights for the embedding: each feature is rare, but biases and outputs are
/// used by every text.
const WORDS_RATE: f32 = 1.5;
const OUT_RATE: f32 = 0.3;
const BIAS_RATE: f32 = 0.2;
/// Share of a text's features and of the hidden units that each step leaves out (Srivastava et al. 2014, "Dropout").
const FEATURE_DROPOUT: f32 = 0.3;
const HIDDEN_DROPOUT: f32 = 0.4;
/// The weight of a class is its rarity to this power: 0 is best for accuracy, 1 gives all classes the same weight.
const BALANCE: f32 = 0.5;

/// A text as input of the network.
pub(crate) struct Sample<'a> {
    vector: &'a [f32],
    features: Vec<u32>,
    /// The expected output: equal shares for the labels.
    pub(crate) target: [f32; CLASSES],
}

impl<'a> Sample<'a> {
    pub(crate) fn new(row: &Row, vector: &'a [f32]) -> Self {
        let mut target = [0.0; CLASSES];
        for label in &row.labels {
            target[*label] = 1.0 / row.labels.len() as f32;
        }
        Self { vector, features: features(&row.text), target }
    }
}

/// Weights that are being learned.
struct Learned {
    weights: Vec<f32>,
    /// Sums of the gradients' squares.
    squares: Vec<f32>,
}

impl Learned {
    fn new(weights: Vec<f32>) -> Self {
        // Avoids a division by zero in the first step.
        let squares = vec![1e-8; weights.len()];
        Self { weights, squares }
    }

    /// Random weights, uniformly distributed from -`limit` to `limit`.
    fn random(length: usize, limit: f32, chance: &mut StdRng) -> Self {
        Self::new((0..length).map(|_| chance.random_range(-limit..=limit)).collect())
    }

    fn row(&self, n: usize) -> &[f32] {
        &self.weights[n * HIDDEN..][..HIDDEN]
    }

    /// One step of a row in the direction opposite to `gradient` times `times`.
    fn step(&mut self, n: usize, gradient: &[f32], times: f32, rate: f32) {
        let at = n * gradient.len();
        let weights = self.weights[at..].iter_mut().zip(&mut self.squares[at..]);
        for ((weight, square), gradient) in weights.zip(gradient) {
            let gradient = gradient * times;
            *square += gradient * gradient;
            *weight -= rate * gradient / square.sqrt();
        }
    }
}

/// The network during training.
struct Network {
    words: Learned,
    meaning: Learned,
    hidden: Learned,
    out: Learned,
    bias: Learned,
}

impl Network {
    fn new(chance: &mut StdRng) -> Self {
        Self {
            words: Learned::new(vec![0.0; BUCKETS * HIDDEN]),
            // The limit follows He et al. 2015. The values of an embedding have a size of 1 / sqrt(DIMENSIONS).
            meaning: Learned::random(DIMENSIONS * HIDDEN, (6.0 / DIMENSIONS as f32).sqrt(), chance),
            hidden: Learned::new(vec![0.0; HIDDEN]),
            out: Learned::random(CLASSES * HIDDEN, (1.0 / HIDDEN as f32).sqrt(), chance),
            bias: Learned::new(vec![0.0; CLASSES]),
        }
    }

    /// Learns from one text with these of its features. `units` is 0 for hidden units that are left out, and for the
    /// others the factor that makes up for that.
    fn learn(&mut self, sample: &Sample, features: &[u32], units: &[f32; HIDDEN], step: Step) {
        let share = share(features.len());
        let hidden = self.activations(sample.vector, features, units);
        let dot = |class| self.out.row(class).iter().zip(&hidden).map(|(a, b)| a * b).sum::<f32>();
        let said = softmax(std::array::from_fn(|class| self.bias.weights[class] + dot(class)));
        let error: [f32; CLASSES] =
            std::array::from_fn(|class| (said[class] - sample.target[class]) * step.weight);
        let back: [f32; HIDDEN] = std::array::from_fn(|unit| {
            let through: f32 = (0..CLASSES).map(|class| error[class] * self.out.row(class)[unit]).sum();
            if hidden[unit] > 0.0 { through * units[unit] } else { 0.0 }
        });
        for (class, error) in error.iter().enumerate() {
            self.out.step(class, &hidden, *error, step.rate * OUT_RATE);
        }
        self.bias.step(0, &error, 1.0, step.rate * BIAS_RATE);
        self.hidden.step(0, &back, 1.0, step.rate * BIAS_RATE);
        for feature in features {
            self.words.step(*feature as usize, &back, share, step.rate * WORDS_RATE);
        }
        for (n, value) in sample.vector.iter().enumerate() {
            self.meaning.step(n, &back, *value, step.rate);
        }
    }

    fn activations(&self, vector: &[f32], features: &[u32], units: &[f32; HIDDEN]) -> [f32; HIDDEN] {
        let mut hidden: [f32; HIDDEN] = std::array::from_fn(|unit| self.hidden.weights[unit]);
        let share = share(features.len());
        let words = features.iter().map(|feature| (self.words.row(*feature as usize), share));
        let meaning = vector.iter().enumerate().map(|(n, value)| (self.meaning.row(n), *value));
        for (row, times) in words.chain(meaning) {
            for (unit, weight) in hidden.iter_mut().zip(row) {
                *unit += weight * times;
            }
        }
        std::array::from_fn(|unit| hidden[unit].max(0.0) * units[unit])
    }

    fn weights(self) -> Weights {
        let mut out = self.out.weights.into_iter();
        Weights {
            words: self.words.weights,
            meaning: self.meaning.weights,
            hidden: std::array::from_fn(|unit| self.hidden.weights[unit]),
            out: std::array::from_fn(|_| std::array::from_fn(|_| out.next().unwrap_or_default())),
            bias: std::array::from_fn(|class| self.bias.weights[class]),
        }
    }
}

#[derive(Clone, Copy)]
struct Step {
    rate: f32,
    /// The weight of the text.
    weight: f32,
}

/// Trains a network on the samples.
pub(crate) fn train(samples: &[Sample]) -> Weights {
    let mut chance = StdRng::seed_from_u64(SEED);
    let mut network = Network::new(&mut chance);
    let classes = class_weights(samples);
    let mut order: Vec<&Sample> = samples.iter().collect();
    let steps = (EPOCHS * samples.len()) as f32;
    let mut done = 0.0;
    for _ in 0..EPOCHS {
        order.shuffle(&mut chance);
        for sample in &order {
            let rate = (RATE * (1.0 - done / steps)).max(LAST_RATE);
            let weight = sample.target.iter().zip(&classes).map(|(target, class)| target * class).sum();
            let kept = sample.features.iter().copied();
            let kept: Vec<u32> = kept.filter(|_| chance.random::<f32>() >= FEATURE_DROPOUT).collect();
            let units = std::array::from_fn(|_| {
                if chance.random::<f32>() < HIDDEN_DROPOUT { 0.0 } else { 1.0 / (1.0 - HIDDEN_DROPOUT) }
            });
            network.learn(sample, &kept, &units, Step { rate, weight });
            done += 1.0;
        }
    }
    network.weights()
}

/// The weight of each class: 1 for a class of average size.
fn class_weights(samples: &[Sample]) -> [f32; CLASSES] {
    let sizes: [f32; CLASSES] =
        std::array::from_fn(|class| samples.iter().map(|sample| sample.target[class]).sum());
    let average = sizes.iter().sum::<f32>() / CLASSES as f32;
    sizes.map(|size| (average / size).powf(BALANCE))
}
