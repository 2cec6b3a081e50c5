//! The network: an encoder for the audio, and a decoder that generates one token in each step.

use std::path::Path;
use std::sync::Arc;

use antiphon_core::{Error, Result};
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorRef};

use crate::local::onnx::{OnnxRuntime, failed};
use crate::loudness::gain;

/// The shape of the decoder's cache of keys and values.
const LAYERS: usize = 6;
const HEADS: usize = 8;
const HEAD_SIZE: usize = 36;
/// The tokens before and after a text.
const BEGIN: i64 = 1;
const END: i64 = 2;
/// The most tokens in a second of speech, as the model's authors advise: a decoder that generates more is looping.
const TOKENS_PER_SECOND: f32 = 6.5;
/// From this many repetitions on a phrase is a loop of the decoder: nobody repeats one so often.
const LOOP_REPEATS: usize = 4;
/// The longest phrase, in tokens, whose repetition is looked for.
const LOOP_TOKENS: usize = 8;

/// Clips shorter than this, 1 s, get silence behind them: the model was trained on sentences, and of a single word that breaks off
/// with the recording it makes something else. Of 90 digits at 8 kHz 62 % were wrong without silence, 34 % with 0.1 s behind them and
/// 31 % with 0.3 s or more; with silence before them instead, 72 %.
const SHORT: usize = 16_000;
/// How much silence they get, 0.3 s.
const TRAIL: usize = 4_800;

/// The model of one thread.
pub(super) struct Model {
    encoder: Session,
    decoder: Session,
}

impl Model {
    pub(super) fn open(runtime: &OnnxRuntime, folder: &Path) -> Result<Self> {
        Ok(Self {
            encoder: runtime.session(&folder.join("encoder_model.ort"))?,
            decoder: runtime.session(&folder.join("decoder_model_merged.ort"))?,
        })
    }

    /// The tokens of each clip.
    pub(super) fn transcribe(&mut self, clips: &[Arc<[i16]>]) -> Result<Vec<Vec<i64>>> {
        let failed = failed("Moonshine");
        let lengths: Vec<usize> = clips.iter().map(|clip| clip.len() + trail(clip)).collect();
        let (batch, longest) = (clips.len(), lengths.iter().copied().max().unwrap_or(0));
        let mut samples = vec![0.0_f32; batch * longest];
        let mut mask = vec![0_i64; batch * longest];
        for (row, clip) in clips.iter().enumerate() {
            let from = row * longest;
            let scale = gain(clip) / 32_768.0;
            for (to, sample) in samples[from..].iter_mut().zip(clip.iter()) {
                *to = f32::from(*sample) * scale;
            }
            mask[from..from + lengths[row]].fill(1);
        }
        let heard = {
            let input =
                TensorRef::from_array_view(([batch, longest], samples.as_slice())).map_err(&failed)?;
            let mask = TensorRef::from_array_view(([batch, longest], mask.as_slice())).map_err(&failed)?;
            let mut outputs = self
                .encoder
                .run(ort::inputs!["input_values" => input, "attention_mask" => mask])
                .map_err(&failed)?;
            outputs.remove("last_hidden_state").ok_or_else(|| missing("last_hidden_state"))?
        };
        self.decode(&lengths, &heard, &mask)
    }

    /// The tokens of clips of these lengths.
    fn decode(&mut self, lengths: &[usize], heard: &DynValue, mask: &[i64]) -> Result<Vec<Vec<i64>>> {
        let failed = failed("Moonshine");
        let batch = lengths.len();
        let longest = mask.len() / batch.max(1);
        let limit = |length: &usize| (*length as f32 / 16_000.0 * TOKENS_PER_SECOND).ceil() as usize;
        let limits: Vec<usize> = lengths.iter().map(limit).collect();
        let steps = limits.iter().copied().max().unwrap_or(0);
        let mut texts: Vec<Vec<i64>> = vec![Vec::new(); batch];
        let mut done = vec![false; batch];
        let mut next = vec![BEGIN; batch];
        let mut decoder_past = self.empty_past(batch)?;
        let mut encoder_past = self.empty_past(batch)?;
        for step in 0..steps {
            let ids = TensorRef::from_array_view(([batch, 1], next.as_slice())).map_err(&failed)?;
            let mask = TensorRef::from_array_view(([batch, longest], mask)).map_err(&failed)?;
            let cached = Tensor::from_array(([1], vec![step > 0])).map_err(&failed)?;
            let mut inputs: Vec<(String, SessionInputValue<'_>)> = vec![
                ("input_ids".into(), ids.into()),
                ("encoder_hidden_states".into(), heard.into()),
                ("encoder_attention_mask".into(), mask.into()),
                ("use_cache_branch".into(), cached.into()),
            ];
            for (kind, past) in [("decoder", &decoder_past), ("encoder", &encoder_past)] {
                for (n, value) in past.iter().enumerate() {
                    inputs.push((past_name("past_key_values", kind, n), value.into()));
                }
            }
            let mut outputs = self.decoder.run(inputs).map_err(&failed)?;
            let logits = outputs.remove("logits").ok_or_else(|| missing("logits"))?;
            let (_, logits) = logits.try_extract_tensor::<f32>().map_err(&failed)?;
            for (row, logits) in logits.chunks_exact(logits.len() / batch).enumerate() {
                let token = if done[row] { END } else { best(logits) };
                done[row] |= token == END || texts[row].len() >= limits[row];
                if !done[row] {
                    texts[row].push(token);
                }
                next[row] = if done[row] { END } else { token };
            }
            if done.iter().all(|done| *done) {
                break;
            }
            let mut take = |kind| -> Result<Vec<DynValue>> {
                let names = (0..2 * LAYERS).map(|n| past_name("present", kind, n));
                names.map(|name| outputs.remove(&name).ok_or_else(|| missing(&name))).collect()
            };
            decoder_past = take("decoder")?;
            // The keys and values of the audio are the same in all steps.
            if step == 0 {
                encoder_past = take("encoder")?;
            }
        }
        Ok(texts.into_iter().map(without_loops).collect())
    }

    fn empty_past(&self, batch: usize) -> Result<Vec<DynValue>> {
        let empty = || {
            let tensor = Tensor::<f32>::new(self.decoder.allocator(), [batch, HEADS, 0, HEAD_SIZE]);
            tensor.map(Tensor::into_dyn).map_err(failed("Moonshine"))
        };
        (0..2 * LAYERS).map(|_| empty()).collect()
    }
}

/// Samples of silence that a clip gets behind it.
fn trail(clip: &[i16]) -> usize {
    if clip.len() < SHORT { TRAIL } else { 0 }
}

/// The name of the n-th tensor of a cache, in which keys and values of each layer alternate.
fn past_name(prefix: &str, kind: &str, n: usize) -> String {
    let part = if n.is_multiple_of(2) { "key" } else { "value" };
    format!("{prefix}.{}.{kind}.{part}", n / 2)
}

fn missing(name: &str) -> Error {
    Error::internal(format!("Moonshine has no output '{name}': check it with `antiphon models verify`"))
}

fn best(logits: &[f32]) -> i64 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(END, |(token, _)| token as i64)
}

/// Removes the loop at the end of a text: a decoder in a loop generates the same few tokens until it is stopped. One
/// repetition stays.
fn without_loops(mut tokens: Vec<i64>) -> Vec<i64> {
    for length in 1..=LOOP_TOKENS {
        let Some(start) = tokens.len().checked_sub(length * LOOP_REPEATS) else { break };
        let last = &tokens[tokens.len() - length..];
        if tokens[start..].chunks_exact(length).all(|chunk| chunk == last) {
            let mut end = tokens.len();
            let last = last.to_vec();
            while end >= 2 * length && tokens[end - 2 * length..end - length] == last[..] {
                end -= length;
            }
            tokens.truncate(end);
            break;
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::without_loops;

    #[test]
    fn loops_are_said_once() {
        assert_eq!(without_loops(vec![9, 1, 2, 1, 2, 1, 2, 1, 2]), [9, 1, 2]);
        assert_eq!(without_loops(vec![5, 5, 5, 5, 5, 5]), [5]);
        assert_eq!(without_loops(vec![1, 2, 1, 2, 3]), [1, 2, 1, 2, 3]);
    }
}
