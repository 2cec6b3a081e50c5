//! smart-turn v3: whether a speaker has finished their turn, judged by the sound of the last seconds.

mod mel;

use std::path::Path;
use std::sync::Arc;

use antiphon_core::{BoxFuture, Error, Priority, Result, TurnDetector};
use ort::session::Session;
use ort::value::TensorRef;

use crate::local::onnx::{OnnxRuntime, existing, failed};
use crate::pool::{ModelPool, Operation};
use mel::LogMel;

/// Pauses judged in one batch.
const MAX_BATCH: usize = 4;

/// smart-turn, a model that hears whether a person has finished.
pub struct SmartTurn {
    run: Operation<Arc<[i16]>, f32>,
}

/// The detector of one thread.
struct Judge {
    session: Session,
    mel: LogMel,
}

impl SmartTurn {
    /// Opens the model, an ONNX file, once for each thread of the pool.
    pub fn open(runtime: &OnnxRuntime, pool: &ModelPool, model: &Path) -> Result<Self> {
        let model = existing(model)?;
        let runtime = runtime.clone();
        let open =
            move || -> Result<Judge> { Ok(Judge { session: runtime.session(&model)?, mel: LogMel::new() }) };
        Ok(Self { run: pool.operation("smart_turn", MAX_BATCH, open, Judge::complete)? })
    }
}

impl Judge {
    #[expect(clippy::needless_pass_by_value, reason = "the shape of a pool operation")]
    fn complete(&mut self, clips: Vec<Arc<[i16]>>) -> Result<Vec<f32>> {
        let failed = failed("smart-turn");
        let (mut input, mut features) = (Vec::new(), Vec::new());
        for clip in &clips {
            self.mel.features(clip, &mut features);
            input.extend_from_slice(&features);
        }
        let shape = [clips.len(), LogMel::BANDS, LogMel::FRAMES];
        let input = TensorRef::from_array_view((shape, input.as_slice())).map_err(&failed)?;
        let outputs = self.session.run(ort::inputs!["input_features" => input]).map_err(&failed)?;
        // The output is called "logits" but holds probabilities.
        let (_, complete) = outputs["logits"].try_extract_tensor::<f32>().map_err(&failed)?;
        if complete.len() != clips.len() {
            return Err(Error::internal("smart-turn answered in an unknown shape"));
        }
        Ok(complete.to_vec())
    }
}

impl TurnDetector for SmartTurn {
    fn name(&self) -> &'static str {
        "smart-turn"
    }

    fn complete(&self, audio: Arc<[i16]>, priority: Priority) -> BoxFuture<'static, Result<f32>> {
        self.run.run(audio, priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_whole_sentence_is_complete_and_half_of_it_is_not() {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let pool = ModelPool::new(1).expect("threads");
        let model = models.join("smart-turn-v3.2/smart-turn-v3.2-cpu.onnx");
        let detector = SmartTurn::open(&runtime, &pool, &model).expect("opens");
        let mut gap = 0.0;
        for name in ["spk1_snt1", "spk1_snt2", "spk1_snt5"] {
            let clip = antiphon_testkit::wav16(&format!("read_speech/{name}.wav"));
            let whole = detector.complete(clip.as_slice().into(), Priority::LiveTurn).await.expect("judged");
            let half =
                detector.complete(clip[..clip.len() / 2].into(), Priority::LiveTurn).await.expect("judged");
            gap += whole - half;
        }
        assert!(gap > 1.0, "of three: {gap}");
    }
}
