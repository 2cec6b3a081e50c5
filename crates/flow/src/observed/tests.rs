use std::sync::Mutex;

use antiphon_core::measure::Component;
use antiphon_core::measure::account::{Account, Worker};
use antiphon_core::{CallEnd, CallId, CallStart, Error, Event, FinishReason, Requester, SampleRate, Usage};
use futures_util::{FutureExt, stream};

use super::*;

#[derive(Default)]
struct Seen(Mutex<Vec<(&'static str, RequestOutcome)>>);

impl Observer for Seen {
    fn call_started(&self, _: &CallStart) {}

    fn event(&self, _: &CallId, _: &Event) {}

    fn call_ended(&self, _: &CallStart, _: &CallEnd) {}

    fn request_ended(&self, engine: &'static str, outcome: RequestOutcome) {
        self.0.lock().expect("no test panics while it holds a lock").push((engine, outcome));
    }
}

/// A model that answers, fails or never ends, depending on the request's temperature.
struct Model;

impl Llm for Model {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "model", model: "m" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        match request.temperature {
            None => stream::iter([Ok(ChatDelta::Text("a".to_owned())), Ok(done)]).boxed(),
            Some(_) => stream::iter([Err(Error::unavailable("down"))]).boxed(),
        }
    }
}

#[tokio::test]
async fn every_request_is_told_once_however_it_ends() {
    let seen = Arc::new(Seen::default());
    let model: Arc<dyn Llm> = Arc::new(Model);
    let observed = Observed::new(model, seen.clone());
    let request = ChatRequest::new(Requester::local(), Vec::new());
    observed.chat(request.clone()).collect::<Vec<_>>().await;
    observed.chat(ChatRequest { temperature: Some(1.0), ..request.clone() }).collect::<Vec<_>>().await;
    drop(observed.chat(request).next().await);
    let seen = seen.0.lock().expect("no test panics while it holds a lock").clone();
    let outcomes = [RequestOutcome::Ok, RequestOutcome::Error, RequestOutcome::Cancelled];
    assert_eq!(seen, outcomes.map(|outcome| ("model", outcome)));
}

/// Takes two pieces of audio and answers, or takes one and fails, as the options' language says.
struct Ears;

impl Stt for Ears {
    fn name(&self) -> &'static str {
        "ears"
    }

    fn transcribe(
        &self,
        options: SttOptions,
        audio: BoxStream<'static, SttInput>,
    ) -> BoxStream<'static, Result<Transcript>> {
        let (pieces, answer) = match options.language {
            None => (2, Ok(Transcript { flushed: true, ..Transcript::default() })),
            Some(_) => (1, Err(Error::unavailable("down"))),
        };
        stream::once(async move {
            audio.take(pieces).collect::<Vec<_>>().await;
            answer
        })
        .boxed()
    }
}

/// A voice that says nothing and never ends.
struct Mouth;

impl Tts for Mouth {
    fn card(&self) -> TtsCard<'_> {
        TtsCard { name: "mouth", voices: &[] }
    }

    fn speak(&self, _: SpeechRequest) -> BoxStream<'static, Result<AudioChunk>> {
        stream::pending().boxed()
    }
}

/// Three pieces of audio of half a second each.
fn audio() -> BoxStream<'static, SttInput> {
    stream::iter(std::iter::repeat_n(SttInput::Audio(vec![0; 8_000].into()), 3)).boxed()
}

fn ears(meters: &Meters, hour_price: Option<f64>) -> Observed<dyn Stt> {
    let ears: Arc<dyn Stt> = Arc::new(Ears);
    Observed::<dyn Stt>::new(ears, Arc::new(Seen::default())).metered(meters, &"stt ears".into(), hour_price)
}

fn mouth(meters: &Meters, million_price: Option<f64>) -> Observed<dyn Tts> {
    let mouth: Arc<dyn Tts> = Arc::new(Mouth);
    Observed::<dyn Tts>::new(mouth, Arc::new(Seen::default())).metered(
        meters,
        &"tts mouth".into(),
        million_price,
    )
}

fn counted(meters: &Meters) -> Vec<(String, u64)> {
    meters.counters().into_iter().map(|counter| (counter.name.into_owned(), counter.value)).collect()
}

/// The engine may read the audio in a task that does not work for the call, which is charged all the same.
#[tokio::test]
async fn a_call_pays_for_the_audio_that_the_engine_took() {
    let (meters, call) = (Meters::default(), Account::open());
    let ears = ears(&meters, Some(36.0));
    let working = Worker::new("session").begin_for(Some(call.clone()));
    let answers = ears.transcribe(SttOptions::new(Requester::local()), audio());
    let failing = SttOptions { language: Some("xx".to_owned()), ..SttOptions::new(Requester::local()) };
    let failed = ears.transcribe(failing, audio());
    drop(working);
    answers.collect::<Vec<_>>().await;
    let second = u64::from(SampleRate::HZ_16000.hz());
    assert_eq!((call.sent(SpeechUnit::Sample), call.cost_micros()), (second, 10_000), "a second");
    failed.collect::<Vec<_>>().await;
    assert_eq!((call.sent(SpeechUnit::Sample), call.cost_micros()), (second + second / 2, 15_000));
    assert_eq!(counted(&meters), [("stt ears seconds".to_owned(), 1)]);
}

#[test]
fn a_cancelled_clause_is_paid_in_full() {
    let (meters, call) = (Meters::default(), Account::open());
    let mouth = mouth(&meters, Some(15.0));
    let working = Worker::new("session").begin_for(Some(call.clone()));
    let mut audio = mouth.speak(SpeechRequest::new(Requester::local(), "Grüß Gott!"));
    assert!(audio.next().now_or_never().is_none());
    drop((audio, working));
    drop(mouth.speak(SpeechRequest::new(Requester::local(), "For no call.")));
    assert_eq!((call.sent(SpeechUnit::Character), call.cost_micros()), (10, 150));
    assert_eq!(counted(&meters), [("tts mouth characters".to_owned(), 22)]);
}

#[test]
fn costs_of_less_than_a_millionth_add_up() {
    let (meters, call) = (Meters::default(), Account::open());
    let _working = Worker::new("session").begin_for(Some(call.clone()));
    // A sample costs a 57,600,000th of 3.6: a sixteenth of a millionth.
    let mut bill = ears(&meters, Some(3.6)).bill().expect("metered");
    (0..1_600).for_each(|_| bill.add(1));
    assert_eq!(call.cost_micros(), 100);
}

#[test]
fn what_has_no_price_is_counted_all_the_same() {
    let meters = Meters::default();
    let (ears, mouth) = (ears(&meters, None), mouth(&meters, Some(20.0)));
    ears.transcribe(SttOptions::new(Requester::local()), audio())
        .for_each(async |_| ())
        .now_or_never()
        .expect("ready");
    drop(mouth.speak(SpeechRequest::new(Requester::local(), "Hello")));
    let gauges = meters.gauges();
    let lines: Vec<_> = gauges.iter().map(|gauge| (gauge.name, gauge.labels.len(), gauge.value)).collect();
    assert_eq!(
        lines,
        [
            ("antiphon_stt_audio_seconds_total", 1, 1.0),
            ("antiphon_tts_characters_total", 1, 5.0),
            ("antiphon_cost_total", 2, 0.0001)
        ]
    );
    let labels = [("stage", "tts".to_owned()), ("engine", "mouth".to_owned())];
    assert_eq!(gauges[2].labels, labels);
}
