//! Real models and data for tests and benchmarks.

use std::path::PathBuf;
use std::sync::Arc;

use antiphon_core::Embed;
use antiphon_providers::minilm::MiniLm;
use antiphon_providers::onnx::OnnxRuntime;
use antiphon_providers::pool::ModelPool;
use serde_json::Value;

/// The embedder, and the threads it works on.
pub(crate) struct Model {
    pub(crate) embed: Arc<dyn Embed>,
    _pool: ModelPool,
}

/// MiniLM on one thread; `None`, with a word about it, where there is no model and this is not CI.
pub(crate) fn minilm() -> Option<Model> {
    let named = std::env::var_os("ANTIPHON_MODELS").map(PathBuf::from);
    let data = std::env::var_os("ANTIPHON_SERVER__DATA_DIR").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
        home.map(|home| home.join("antiphon"))
    });
    let models = required(
        named.or_else(|| data.map(|data| data.join("models"))),
        "models",
        "`antiphon models pull` fetches them",
    )?;
    let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
    let pool = ModelPool::new(1).expect("threads");
    let model = MiniLm::open(&runtime, &pool, &models.join("minilm-l6-v2/model.onnx")).expect("opens");
    Some(Model { embed: Arc::new(model), _pool: pool })
}

/// The folder of the given data; `None`, with a word about it, where there is none and this is not CI.
pub(crate) fn testdata() -> Option<PathBuf> {
    let given = std::env::var_os("ANTIPHON_TESTDATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    required(Some(given.unwrap_or_else(beside)), "test data", "name their folder in ANTIPHON_TESTDATA")
}

/// Passages of an encyclopaedia, and questions with the place of the passage that answers each (XQuAD).
pub(crate) fn xquad(testdata: &std::path::Path) -> (Vec<String>, Vec<(String, usize)>) {
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(testdata.join("knowledge_xquad").join(name)).expect("readable");
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

fn required(path: Option<PathBuf>, what: &str, how: &str) -> Option<PathBuf> {
    let found = path.filter(|path| path.is_dir());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "no {what}: {how}");
    if found.is_none() {
        eprintln!("skipped: no {what}: {how}");
    }
    found
}
