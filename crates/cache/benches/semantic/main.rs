//! How well cached replies answer questions in other words: `cargo bench -p antiphon-cache --bench semantic`.
//!
//! Reads the given questions (`ANTIPHON_TESTDATA`) and embeds them with the installed MiniLM, some minutes in the first run;
//! the vectors are kept in cargo's target folder. The figures are the same in each run, but for the times.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]
#![expect(clippy::expect_used, reason = "what is wrong here is wrong in this program")]

mod adversarial;
mod banking;
mod data;
mod labels;
mod quora;
mod report;
mod speed;

use std::path::Path;

use antiphon_providers::local::minilm::MiniLm;
use antiphon_providers::local::onnx::OnnxRuntime;
use antiphon_providers::pool::ModelPool;
use antiphon_testkit::vectors::Vectors;
use antiphon_testkit::{large_testdata, models};

use data::Data;

#[tokio::main]
async fn main() -> Result<(), String> {
    let data = Data::read(&large_testdata())?;
    let vectors = embed(&models(), &data.texts()).await?;
    adversarial::report(&vectors);
    quora::report(&data.pairs, &vectors);
    banking::report(&data.questions, &vectors);
    speed::report(&data.pairs, &vectors);
    Ok(())
}

/// Texts are embedded one by one: the vectors of the quantised model depend a little on their batch.
async fn embed(models: &Path, texts: &[&str]) -> Result<Vectors, String> {
    let failed = |e: antiphon_core::Error| e.to_string();
    let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).map_err(failed)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pool = ModelPool::new(threads).map_err(failed)?;
    pool.set_max_batch(1);
    let embed = MiniLm::open(&runtime, &pool, &models.join("minilm-l6-v2/model.onnx")).map_err(failed)?;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("semantic-vectors");
    Vectors::load(&embed, texts, &file).await
}
