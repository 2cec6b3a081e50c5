//! What cached searches and embeddings cost and save: `cargo bench -p antiphon-flow --bench cache_results`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run says so")]

mod closeness;
#[path = "../../tests/given/mod.rs"]
mod given;

fn main() {
    let (Some(model), Some(testdata)) = (given::minilm(), given::testdata()) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    closeness::report(&runtime, &*model.embed, &testdata);
}
