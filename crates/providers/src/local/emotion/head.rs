//! The classification network: one hidden layer over the sentence's embedding and its words, then one
//! output for each emotion.

use antiphon_core::{Emotion, EmotionScores, Error, Result};

use super::features::{BUCKETS, features};

/// Length of the sentence's embedding.
pub const DIMENSIONS: usize = 384;
/// Units of the hidden layer.
pub const HIDDEN: usize = 32;
/// How many emotions the network tells apart, including none of them.
pub const CLASSES: usize = Emotion::ALL.len();
/// The first bytes of the file of weights; the last one is the version of its format.
const MAGIC: [u8; 8] = *b"ANTEMOT\x01";
/// Length of the file in bytes: the magic, two quantised tables, all other numbers as `f32`, and a checksum.
const LENGTH: usize = 8 + (BUCKETS + DIMENSIONS) * HIDDEN + 4 * (3 * HIDDEN + CLASSES * (HIDDEN + 1)) + 8;

/// The network as it is trained, in full precision. A table has one row of [`HIDDEN`] weights for each input.
#[derive(Clone, Debug)]
pub struct Weights {
    /// From each of the [`BUCKETS`] features to the hidden layer.
    pub words: Vec<f32>,
    /// From each of the [`DIMENSIONS`] of the embedding to the hidden layer.
    pub meaning: Vec<f32>,
    /// Bias of the hidden layer.
    pub hidden: [f32; HIDDEN],
    /// From the hidden layer to each emotion.
    pub out: [[f32; HIDDEN]; CLASSES],
    /// Bias of the outputs.
    pub bias: [f32; CLASSES],
}

impl Weights {
    /// The content of the file of weights, with quantised tables.
    pub fn to_file(&self) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        for table in [&self.words, &self.meaning] {
            Table::quantised(table).write(&mut file);
        }
        let rest = self.hidden.iter().chain(self.out.as_flattened()).chain(&self.bias);
        file.extend(rest.flat_map(|x| x.to_le_bytes()));
        let sum = checksum(&file);
        file.extend(sum.to_le_bytes());
        file
    }
}

/// The network as it is used, with quantised tables.
#[derive(Debug)]
pub struct Head {
    words: Table,
    meaning: Table,
    hidden: [f32; HIDDEN],
    out: [[f32; HIDDEN]; CLASSES],
    bias: [f32; CLASSES],
}

impl Head {
    /// Reads what [`Weights::to_file`] wrote; a file that has been cut or changed since is refused.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let broken = |what: &str| {
            Error::internal(format!(
                "the weights of emotion {what}: make them anew with `make emotion-model`"
            ))
        };
        if file.len() != LENGTH {
            return Err(broken(&format!("are {} bytes where {LENGTH} were due", file.len())));
        }
        if !file.starts_with(&MAGIC) {
            return Err(broken("are in another format"));
        }
        let (content, sum) = file.split_at(LENGTH - 8);
        if checksum(content).to_le_bytes() != sum {
            return Err(broken("were changed"));
        }
        let mut rest = &content[MAGIC.len()..];
        let head = Self {
            words: Table::read(&mut rest, BUCKETS),
            meaning: Table::read(&mut rest, DIMENSIONS),
            hidden: floats(&mut rest),
            out: std::array::from_fn(|_| floats(&mut rest)),
            bias: floats(&mut rest),
        };
        head.is_finite().then_some(head).ok_or_else(|| broken("are no numbers"))
    }

    fn is_finite(&self) -> bool {
        let scales = self.words.scales.iter().chain(&self.meaning.scales);
        let rest = self.hidden.iter().chain(self.out.as_flattened()).chain(&self.bias);
        scales.chain(rest).all(|x| x.is_finite())
    }

    /// The probabilities of the emotions for a text with this embedding, a vector of [`DIMENSIONS`] of length one.
    pub fn scores(&self, vector: &[f32], text: &str) -> EmotionScores {
        let mut hidden = self.hidden;
        self.words.add_rows(&features(text), &mut hidden);
        self.meaning.add_product(vector, &mut hidden);
        for unit in &mut hidden {
            *unit = unit.max(0.0);
        }
        let dot = |row: &[f32; HIDDEN]| row.iter().zip(&hidden).map(|(a, b)| a * b).sum::<f32>();
        EmotionScores(softmax(std::array::from_fn(|class| self.bias[class] + dot(&self.out[class]))))
    }
}

/// The weight of each feature of a text that has so many of them: long texts must not count more than short ones.
pub fn share(features: usize) -> f32 {
    1.0 / (features.max(1) as f32).sqrt()
}

/// Turns logits into probabilities.
pub fn softmax(logits: [f32; CLASSES]) -> [f32; CLASSES] {
    let largest = logits.into_iter().fold(f32::MIN, f32::max);
    let powers = logits.map(|logit| (logit - largest).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

/// A table of weights in 8 bits, with one scale for each column.
#[derive(Debug)]
struct Table {
    scales: [f32; HIDDEN],
    rows: Vec<[i8; HIDDEN]>,
}

impl Table {
    fn quantised(weights: &[f32]) -> Self {
        let rows = weights.as_chunks::<HIDDEN>().0;
        let largest =
            |column: usize| rows.iter().map(|row| row[column].abs()).fold(f32::MIN_POSITIVE, f32::max);
        let scales = std::array::from_fn(|column| largest(column) / f32::from(i8::MAX));
        let steps =
            |row: &[f32; HIDDEN]| std::array::from_fn(|column| (row[column] / scales[column]).round() as i8);
        Self { scales, rows: rows.iter().map(steps).collect() }
    }

    fn write(&self, file: &mut Vec<u8>) {
        file.extend(self.scales.iter().flat_map(|x| x.to_le_bytes()));
        file.extend(self.rows.as_flattened().iter().map(|step| step.cast_unsigned()));
    }

    fn read(rest: &mut &[u8], rows: usize) -> Self {
        let scales = floats(rest);
        let (bytes, after) = rest.split_at(rows * HIDDEN);
        *rest = after;
        let rows = bytes.as_chunks().0.iter().map(|row| row.map(u8::cast_signed)).collect();
        Self { scales, rows }
    }

    /// Adds the rows of the features, weighted by [`share`].
    fn add_rows(&self, features: &[u32], hidden: &mut [f32; HIDDEN]) {
        let mut sums = [0_i32; HIDDEN];
        for feature in features {
            for (sum, step) in sums.iter_mut().zip(&self.rows[*feature as usize]) {
                *sum += i32::from(*step);
            }
        }
        let share = share(features.len());
        for ((unit, sum), scale) in hidden.iter_mut().zip(sums).zip(&self.scales) {
            *unit += sum as f32 * scale * share;
        }
    }

    /// Adds the product of the vector and the table.
    fn add_product(&self, vector: &[f32], hidden: &mut [f32; HIDDEN]) {
        let mut sums = [0.0_f32; HIDDEN];
        for (row, value) in self.rows.iter().zip(vector) {
            for (sum, step) in sums.iter_mut().zip(row) {
                *sum += f32::from(*step) * value;
            }
        }
        for ((unit, sum), scale) in hidden.iter_mut().zip(sums).zip(&self.scales) {
            *unit += sum * scale;
        }
    }
}

/// Takes numbers from the front of `rest`. The caller has checked the length of the file.
fn floats<const N: usize>(rest: &mut &[u8]) -> [f32; N] {
    let (bytes, after) = rest.split_at(N * size_of::<f32>());
    *rest = after;
    let numbers = bytes.as_chunks().0;
    std::array::from_fn(|n| f32::from_le_bytes(numbers[n]))
}

/// FNV-1a with 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
