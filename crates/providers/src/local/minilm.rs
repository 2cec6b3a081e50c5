//! all-MiniLM-L6-v2: embedded sentence embeddings.

use std::path::Path;
use std::sync::Arc;

use antiphon_core::{BoxFuture, Embed, EmbedCard, Error, Priority, Result};
use futures_util::FutureExt;
use ort::session::Session;
use ort::value::TensorRef;
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

use crate::local::onnx::{OnnxRuntime, existing, failed};
use crate::pool::{ModelPool, Operation};

/// Texts embedded in one run. Larger batches gain little: 8 to 10 ms a text alone, 6 to 8 ms in batches of 8, 6 ms in
/// batches of 32.
const MAX_BATCH: usize = 8;
/// Length of a vector.
const DIMENSIONS: usize = 384;
/// The most tokens of a text that the model was trained on; longer texts are cut.
const MAX_TOKENS: usize = 256;
/// The model's tokenizer, see `assets/minilm/LICENSE`.
const TOKENIZER: &[u8] = include_bytes!("../../assets/minilm/tokenizer.json");

/// The sentence embedder. Its vectors have length one.
pub struct MiniLm {
    run: Operation<String, Vec<f32>>,
    tokenizer: Arc<Tokenizer>,
}

impl MiniLm {
    /// Opens the model, an ONNX file, once for each thread of the pool.
    pub fn open(runtime: &OnnxRuntime, pool: &ModelPool, model: &Path) -> Result<Self> {
        let model = existing(model)?;
        let tokenizer = Arc::new(tokenizer()?);
        let (runtime, of_model) = (runtime.clone(), Arc::clone(&tokenizer));
        let open = move || runtime.session(&model);
        let run =
            pool.operation("minilm", MAX_BATCH, open, move |session: &mut Session, texts: Vec<String>| {
                embed(session, &of_model, texts)
            })?;
        Ok(Self { run, tokenizer })
    }
}

fn tokenizer() -> Result<Tokenizer> {
    let failed = |e: tokenizers::Error| Error::internal(format!("the bundled tokenizer is broken: {e}"));
    let mut tokenizer = Tokenizer::from_bytes(TOKENIZER).map_err(failed)?;
    let cut = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(cut)).map_err(failed)?;
    tokenizer.with_padding(Some(PaddingParams::default()));
    Ok(tokenizer)
}

fn embed(session: &mut Session, tokenizer: &Tokenizer, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
    let failed = failed("MiniLM");
    let encodings = tokenizer
        .encode_batch(texts, true)
        .map_err(|e| Error::invalid(format!("the text cannot be tokenised: {e}")))?;
    let rows = encodings.len();
    let length = encodings.first().map_or(0, tokenizers::Encoding::len);
    let all = |of: fn(&tokenizers::Encoding) -> &[u32]| -> Vec<i64> {
        encodings.iter().flat_map(|e| of(e).iter().map(|n| i64::from(*n))).collect()
    };
    let (ids, mask) = (all(|e| e.get_ids()), all(|e| e.get_attention_mask()));
    let types = vec![0_i64; ids.len()];
    let tensor = |data| TensorRef::from_array_view(([rows, length], data)).map_err(&failed);
    let outputs = session
        .run(ort::inputs![
            "input_ids" => tensor(ids.as_slice())?,
            "attention_mask" => tensor(mask.as_slice())?,
            "token_type_ids" => tensor(types.as_slice())?,
        ])
        .map_err(&failed)?;
    let (_, hidden) = outputs[0].try_extract_tensor::<f32>().map_err(&failed)?;
    let pooled = hidden.chunks_exact(length * DIMENSIONS).zip(mask.chunks_exact(length));
    Ok(pooled.map(|(hidden, mask)| mean(hidden, mask)).collect())
}

/// The mean of the tokens' vectors, scaled to length one.
fn mean(hidden: &[f32], mask: &[i64]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; DIMENSIONS];
    for (token, _) in hidden.chunks_exact(DIMENSIONS).zip(mask).filter(|(_, kept)| **kept != 0) {
        for (sum, value) in sum.iter_mut().zip(token) {
            *sum += value;
        }
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter().map(|x| x / length).collect()
}

impl Embed for MiniLm {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "minilm", model: "all-MiniLM-L6-v2", dimensions: DIMENSIONS }
    }

    fn embed(&self, texts: Vec<String>, priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let jobs: Vec<_> = texts.into_iter().map(|text| self.run.run(text, priority)).collect();
        futures_util::future::try_join_all(jobs).boxed()
    }

    fn tokens(&self, text: &str) -> u64 {
        // More than the model reads of a text is not looked at: hardly a token has twenty bytes.
        let read = &text[..text.floor_char_boundary(20 * MAX_TOKENS)];
        self.tokenizer.encode(read, true).map_or(0, |encoding| encoding.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn close_in_meaning_is_close_in_space() {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let pool = ModelPool::new(1).expect("threads");
        let model = MiniLm::open(&runtime, &pool, &models.join("minilm-l6-v2/model.onnx")).expect("opens");
        let texts = ["How do I reset my password?", "I forgot my password", "The cat sat on the mat", ""];
        let vectors =
            model.embed(texts.map(str::to_owned).to_vec(), Priority::LiveTurn).await.expect("works");
        let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert!(vectors.iter().all(|v| v.len() == DIMENSIONS && (cosine(v, v) - 1.0).abs() < 1e-3));
        assert_eq!(
            (model.tokens(texts[1]), model.tokens(&"word ".repeat(5_000))),
            (6, 256),
            "what the model reads"
        );
        assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.3);
        assert_eq!(model.embed(Vec::new(), Priority::LiveTurn).await.expect("works"), Vec::<Vec<f32>>::new());
    }
}
