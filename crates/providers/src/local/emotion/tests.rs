use std::sync::Arc;

use antiphon_core::ErrorKind;
use proptest::prelude::*;

use super::*;
use crate::local::minilm::MiniLm;
use crate::local::onnx::OnnxRuntime;
use crate::pool::ModelPool;

/// Rows with one label that are judged for each class: the first ones, as many as the rarest class has. Among 500 rows
/// drawn from all, about 9 would be disgust, and those few would decide the result.
const ROWS: usize = 61;
/// The lowest accepted macro-F1 on these rows; 0.618 was measured.
const FLOOR: f32 = 0.55;

/// An embedder that answers with the same vector always.
struct Fixed {
    model: &'static str,
    vector: Vec<f32>,
}

impl Embed for Fixed {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "fixed", model: self.model, dimensions: DIMENSIONS }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let vectors = vec![self.vector.clone(); texts.len()];
        async move { Ok(vectors) }.boxed()
    }
}

fn fixed(vector: Vec<f32>) -> EmotionModel {
    EmotionModel::new(Arc::new(Fixed { model: EMBEDDER, vector })).expect("its embedder")
}

fn direction(of: usize) -> Vec<f32> {
    (0..DIMENSIONS).map(|n| f32::from(n == of % DIMENSIONS)).collect()
}

fn classify(model: &EmotionModel, text: &str) -> Result<EmotionScores> {
    model.classify(text.to_owned(), Priority::LiveTurn).now_or_never().expect("answers at once")
}

/// The classifier with the real embedder.
fn real() -> (ModelPool, EmotionModel) {
    let models = antiphon_testkit::models();
    let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
    let pool = ModelPool::new(2).expect("threads");
    let embed = MiniLm::open(&runtime, &pool, &models.join("minilm-l6-v2/model.onnx")).expect("opens");
    (pool, EmotionModel::new(Arc::new(embed)).expect("its embedder"))
}

#[test]
fn another_embedder_is_refused() {
    let other = Fixed { model: "bge-small", vector: Vec::new() };
    let error = EmotionModel::new(Arc::new(other)).err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(EMBEDDER) && error.to_string().contains("bge-small"), "{error}");
}

#[test]
fn silence_is_neutral() {
    let scores = classify(&fixed(direction(0)), " \n ").expect("answers");
    assert_eq!(scores.top(), (Emotion::Neutral, 1.0));
}

#[test]
fn a_broken_vector_is_an_error() {
    for vector in [Vec::new(), vec![0.0; 3], vec![f32::NAN; DIMENSIONS], vec![f32::MAX; DIMENSIONS]] {
        let model = fixed(vector);
        assert_eq!(classify(&model, "hello").expect_err("broken").kind(), ErrorKind::Internal);
        assert_eq!(model.shared.classify.errors(), 1);
    }
}

#[test]
fn answers_are_counted() {
    let model = fixed(direction(0));
    classify(&model, "thank you so much, I love it").expect("answers");
    let joy = model.counters().into_iter().find(|counter| counter.name == "joy").expect("counted");
    assert_eq!(joy.value, 1);
    assert_eq!(model.stages()[0].errors(), 0);
}

#[tokio::test]
async fn plain_words_tell_the_emotion() {
    let (_pool, model) = real();
    for (text, expected) in [
        ("I am so happy for you, thank you so much!", Emotion::Joy),
        ("This is the third time you lost my order, I am furious", Emotion::Anger),
        ("I'm scared something is wrong with my baby", Emotion::Fear),
        ("my dog died yesterday", Emotion::Sadness),
        ("What are your opening hours?", Emotion::Neutral),
        ("oh wow i did not expect that at all", Emotion::Surprise),
        ("that is disgusting i found a hair in my food", Emotion::Disgust),
    ] {
        let scores = model.classify(text.to_owned(), Priority::LiveTurn).await.expect("answers");
        assert_eq!(scores.top().0, expected, "{text}: {scores:?}");
    }
}

#[tokio::test]
async fn the_given_rows_are_judged_well() {
    let (_pool, model) = real();
    let rows = std::fs::read_to_string(antiphon_testkit::testdata("emotion/dev.tsv")).expect("readable");
    let rows = rows.lines().map(|row| {
        let mut columns = row.split('\t');
        (columns.next().expect("a text"), columns.next().expect("labels"))
    });
    let single: Vec<(&str, usize)> =
        rows.filter_map(|(text, labels)| labels.parse().ok().map(|label| (text, label))).collect();
    let of_class = |class| single.iter().filter(move |(_, label)| *label == class).take(ROWS);
    let rows: Vec<_> = (0..Emotion::ALL.len()).flat_map(of_class).collect();
    assert_eq!(rows.len(), ROWS * Emotion::ALL.len());
    let answers = rows.into_iter().map(|(text, due)| {
        let answer = model.classify((*text).to_owned(), Priority::Batch);
        async move { (answer.await.expect("answers").top().0 as usize, *due) }
    });
    // For each class: right answers, all answers, and rows that have this label.
    let mut counts = [[0.0_f32; 3]; Emotion::ALL.len()];
    for (answer, due) in futures_util::future::join_all(answers).await {
        counts[answer][0] += f32::from(answer == due);
        counts[answer][1] += 1.0;
        counts[due][2] += 1.0;
    }
    let f1 = counts.map(|[right, answered, due]| 2.0 * right / (answered + due).max(1.0));
    let macro_f1 = f1.iter().sum::<f32>() / f1.len() as f32;
    assert!(macro_f1 > FLOOR, "macro-F1 {macro_f1}, by class {f1:?}");
}

proptest! {
    #[test]
    fn any_text_has_probabilities(text in any::<String>(), of in 0..DIMENSIONS, times in 0_usize..500) {
        let scores = classify(&fixed(direction(of)), &text.repeat(times)).expect("answers").0;
        prop_assert!(scores.iter().all(|p| p.is_finite() && *p >= 0.0));
        prop_assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{scores:?}");
    }

    #[test]
    fn cut_weights_are_refused(length in 0..WEIGHTS.len()) {
        prop_assert!(Head::parse(&WEIGHTS[..length]).is_err());
    }

    #[test]
    fn altered_weights_are_refused(at in 0..WEIGHTS.len(), flipped in 1_u8..) {
        let mut weights = WEIGHTS.to_vec();
        weights[at] ^= flipped;
        prop_assert!(Head::parse(&weights).is_err());
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..4_096)) {
        prop_assert!(Head::parse(&bytes).is_err());
    }
}
