//! Real models and data for tests and benchmarks.

use std::sync::Arc;

use antiphon_core::Embed;
use antiphon_providers::local::minilm::MiniLm;
use antiphon_providers::local::onnx::OnnxRuntime;
use antiphon_providers::pool::ModelPool;
use antiphon_testkit::testdata;
use serde_json::Value;

/// The embedder, and the threads it works on.
pub(crate) struct Model {
    pub(crate) embed: Arc<dyn Embed>,
    _pool: ModelPool,
}

/// MiniLM on one thread.
pub(crate) fn minilm() -> Model {
    let models = antiphon_testkit::models();
    let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
    let pool = ModelPool::new(1).expect("threads");
    let model = MiniLm::open(&runtime, &pool, &models.join("minilm-l6-v2/model.onnx")).expect("opens");
    Model { embed: Arc::new(model), _pool: pool }
}

/// Passages of an encyclopaedia, and questions with the place of the passage that answers each (XQuAD).
pub(crate) fn xquad() -> (Vec<String>, Vec<(String, usize)>) {
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(testdata(&format!("knowledge_xquad/{name}"))).expect("readable");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let passages = lines("passages.jsonl");
    let place = |id: &Value| passages.iter().position(|passage| passage["id"] == *id).expect("known");
    let questions = lines("questions.jsonl");
    let questions = questions.iter().map(|line| (text(&line["question"]), place(&line["passage"]))).collect();
    (passages.iter().map(|passage| text(&passage["text"])).collect(), questions)
}

/// The words of a JSON string.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
