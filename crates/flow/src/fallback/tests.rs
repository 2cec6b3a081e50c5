//! Scripted engines in virtual time.

mod llm;
mod stt;
mod tts;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_core::{BoxStream, Embed, EmbedCard, ErrorKind};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::*;

/// A step of a scripted stream.
#[derive(Clone)]
pub(crate) enum Do<T> {
    Wait(u64),
    Give(T),
    Fail(ErrorKind),
    Hang,
}

/// The number of streams that exist.
pub(crate) type Live = Arc<AtomicUsize>;

struct Counted(Live);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn play<T: Send + 'static>(steps: Vec<Do<T>>, live: &Live) -> BoxStream<'static, Result<T>> {
    live.fetch_add(1, Ordering::SeqCst);
    let state = (steps.into_iter(), Counted(live.clone()));
    let step = async |(mut steps, counted): (std::vec::IntoIter<Do<T>>, Counted)| loop {
        match steps.next()? {
            Do::Wait(ms) => sleep(Duration::from_millis(ms)).await,
            Do::Give(item) => return Some((Ok(item), (steps, counted))),
            Do::Fail(kind) => return Some((Err(Error::new(kind, "told to fail")), (steps, counted))),
            Do::Hang => std::future::pending().await,
        }
    };
    stream::unfold(state, step).boxed()
}

fn counter(component: &dyn Component, name: &str) -> u64 {
    let counters = component.counters();
    counters.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no {name} in {counters:?}")).value
}

struct Vectors {
    model: &'static str,
    answer: Result<f32, ErrorKind>,
}

impl Embed for Vectors {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "vectors", model: self.model, dimensions: 1 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let answer = self.answer;
        Box::pin(async move {
            match answer {
                Ok(x) => Ok(vec![vec![x]; texts.len()]),
                Err(ErrorKind::Timeout) => std::future::pending().await,
                Err(kind) => Err(Error::new(kind, "told to fail")),
            }
        })
    }
}

fn vectors(model: &'static str, answer: Result<f32, ErrorKind>) -> Arc<dyn Embed> {
    Arc::new(Vectors { model, answer })
}

#[tokio::test(start_paused = true)]
async fn vectors_come_from_the_next_engine() {
    for kind in [ErrorKind::Timeout, ErrorKind::Unavailable] {
        let engines = vec![vectors("m", Err(kind)), vectors("m", Ok(1.0))];
        let fallback = Fallback::new(engines, AnswerBounds::EMBED).expect("same model");
        let since = Instant::now();
        let texts = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(fallback.embed(texts.clone(), Priority::LiveTurn).await, Ok(vec![vec![1.0]; 2]));
        assert!(since.elapsed() <= AnswerBounds::EMBED.first + Duration::from_millis(10));
        let since = Instant::now();
        assert_eq!(fallback.embed(texts, Priority::LiveTurn).await, Ok(vec![vec![1.0]; 2]));
        assert!(since.elapsed() <= Duration::from_millis(10), "it rests");
    }
}

#[test]
fn vectors_of_two_models_are_never_mixed() {
    let engines = vec![vectors("small", Ok(1.0)), vectors("large", Ok(1.0))];
    let error = Fallback::new(engines, AnswerBounds::EMBED).err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("'small' (1) and 'large' (1)"), "{error}");
    assert!(Fallback::<dyn Embed>::new(Vec::new(), AnswerBounds::EMBED).is_err());
}
