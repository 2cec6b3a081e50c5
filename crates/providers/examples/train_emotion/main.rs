//! Trains the weights of the emotion classifier and prints how good they are: `make emotion-model`.
//!
//! Arguments: the file to write, and a file that keeps embeddings between runs: delete it when the embedder changes.
//! The same data, models and machine give the same weights: texts are embedded one by one, since the quantised
//! embedder's vectors depend a little on their batch.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod data;
mod evaluate;
mod lexicon;
mod report;
mod statements;
mod train;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use antiphon_core::Embed;
use antiphon_providers::local::emotion::head::{CLASSES, Head, Weights, softmax};
use antiphon_providers::local::minilm::MiniLm;
use antiphon_providers::local::onnx::OnnxRuntime;
use antiphon_providers::pool::ModelPool;
use antiphon_testkit::vectors::Vectors;

use data::Row;
use report::Report;
use train::Sample;

/// One row in this many is not used for training but for calibrating the probabilities.
const HELD_OUT: usize = 10;
/// Temperatures that are tried, in hundredths (Guo et al. 2017, "On Calibration of Modern Neural Networks").
const TEMPERATURES: std::ops::Range<u8> = 50..201;
/// Sentences of callers, in the source folder of this program.
const CALLS: &str = "examples/train_emotion/calls.tsv";

/// The data: rows as they were written, and as a recogniser without punctuation would write them.
struct Data {
    train: Vec<Row>,
    held_out: Vec<Row>,
    dev: Vec<Row>,
    plain_dev: Vec<Row>,
    meld: Vec<Row>,
    plain_meld: Vec<Row>,
    questions: Vec<Row>,
    /// Sentences as callers say them. They were written by hand before those in `statements.rs`.
    calls: Vec<Row>,
}

impl Data {
    fn read() -> Result<Self, String> {
        let folder = antiphon_testkit::large_testdata();
        let train = data::go_emotions(&folder.join("emotion/train.tsv"))?;
        let dev = data::go_emotions(&folder.join("emotion/dev.tsv"))?;
        let meld = data::meld(&folder.join("emotion_meld/dev_sent_emo.csv"))?;
        let asked: HashSet<&str> = dev.iter().map(|row| row.text.as_str()).collect();
        let train = train.into_iter().filter(|row| !asked.contains(row.text.as_str())).enumerate();
        let (held_out, train): (Vec<_>, Vec<_>) = train.partition(|(n, _)| n % HELD_OUT == 0);
        let rows =
            |numbered: Vec<(usize, Row)>| -> Vec<Row> { numbered.into_iter().map(|(_, row)| row).collect() };
        let mut train = rows(train);
        train.extend(statements::statements(&train));
        let both = |rows: Vec<Row>| -> Vec<Row> {
            let plain = data::plain(&rows);
            rows.into_iter().chain(plain).collect()
        };
        Ok(Self {
            train: both(train),
            held_out: both(rows(held_out)),
            plain_dev: data::plain(&dev),
            dev,
            plain_meld: data::plain(&meld),
            questions: data::plain(&data::questions(&folder.join("banking_questions/questions.csv"))?),
            calls: data::go_emotions(&Path::new(env!("CARGO_MANIFEST_DIR")).join(CALLS))?,
            meld,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Row> {
        let sets = [
            &self.train,
            &self.held_out,
            &self.dev,
            &self.plain_dev,
            &self.meld,
            &self.plain_meld,
            &self.calls,
        ];
        sets.into_iter().flatten()
    }
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [weights, cache] = arguments.as_slice() else {
        return Err("name the file of the weights and the file of the embeddings".to_owned());
    };
    let data = Data::read()?;
    let models = antiphon_testkit::models();
    let (_pool, embed) = embedder(&models).map_err(|e| e.to_string())?;
    let texts: Vec<&str> = data.all().map(|row| row.text.as_str()).collect();
    let vectors = Vectors::load(&*embed, &texts, cache).await?;

    let samples: Vec<_> = data.train.iter().map(|row| Sample::new(row, vectors.of(&row.text))).collect();
    let mut trained = train::train(&samples);
    let temperature = calibrate(&mut trained, &data.held_out, &vectors)?;
    let file = trained.to_file();
    std::fs::write(weights, &file).map_err(|e| format!("{}: {e}", weights.display()))?;
    println!(
        "{} texts trained on, {} held out; temperature {temperature:.2}; {} bytes of weights\n",
        data.train.len(),
        data.held_out.len(),
        file.len()
    );

    let head = Head::parse(&file).map_err(|e| e.to_string())?;
    let report = Report { head: &head, vectors: &vectors };
    report.quality(&data);
    report.latency(&*embed, &data.plain_meld).await
}

fn embedder(models: &Path) -> antiphon_core::Result<(ModelPool, Arc<dyn Embed>)> {
    let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so"))?;
    let pool = ModelPool::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))?;
    pool.set_max_batch(1);
    let embed = MiniLm::open(&runtime, &pool, &models.join("minilm-l6-v2/model.onnx"))?;
    Ok((pool, Arc::new(embed)))
}

/// Divides the logits by the temperature that makes the held-out rows most likely; returns the temperature.
fn calibrate(weights: &mut Weights, held_out: &[Row], vectors: &Vectors) -> Result<f32, String> {
    let head = Head::parse(&weights.to_file()).map_err(|e| e.to_string())?;
    // The logarithms of the probabilities differ from the logits by a constant, which makes no difference here.
    let said = |row: &Row| {
        let logits = head.scores(vectors.of(&row.text), &row.text).0.map(|p| p.max(f32::MIN_POSITIVE).ln());
        (logits, Sample::new(row, &[]).target)
    };
    let said: Vec<([f32; CLASSES], [f32; CLASSES])> = held_out.iter().map(said).collect();
    let loss = |temperature: f32| -> f64 {
        let loss = |(logits, target): &([f32; CLASSES], [f32; CLASSES])| {
            let probabilities = softmax(logits.map(|logit| logit / temperature));
            let likelihoods = probabilities.iter().zip(target);
            -likelihoods.map(|(p, t)| f64::from(t * p.max(f32::MIN_POSITIVE).ln())).sum::<f64>()
        };
        said.iter().map(loss).sum()
    };
    let temperatures = TEMPERATURES.map(|hundredths| f32::from(hundredths) / 100.0);
    let best = temperatures.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(1.0);
    weights.out.as_flattened_mut().iter_mut().chain(&mut weights.bias).for_each(|x| *x /= best);
    Ok(best)
}
