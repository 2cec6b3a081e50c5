//! Tests that what is made before a call is exactly what the call requests.

use std::sync::Arc;
use std::time::Duration;

use antiphon_core::session::IdleReply;
use antiphon_core::{ChatRequest, ErrorKind, Priority, SpeechRequest};

use super::ms;
use super::stage::{Stage, spoken};
use super::turn_context::{Scripted, lookups};
use crate::warm_up::{WarmReply, fixed_texts, warm_up_reply, warm_up_speech};

const QUESTION: &str = "where do I park my car";
const ANSWER: &str = "Behind the house. It is free.";
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn warming_up_asks_what_a_call_will_ask() {
    for greeting in ["Welcome. How may I help?", ""] {
        let stage = Stage::default().looks_up(lookups(&Arc::<Scripted>::default())).greeting(greeting);
        let stage = stage.configured(|config| {
            (config.voice.name, config.voice.speed) = (Some("v".to_owned()), 1.5);
            config.model.temperature = Some(0.5);
        });
        let mut scene = stage.answer(ANSWER).answer(ANSWER).scene();
        scene.identity.tenant = "a".into();
        let warm =
            warm_up_reply(&scene.engines, &scene.agent, &scene.identity, QUESTION, SOON).await.expect("made");
        assert_eq!(
            warm,
            WarmReply { text: ANSWER.to_owned(), audio: spoken("Behind the house.It is free.") }
        );
        let said_early = scene.speeches();
        let mut call = scene.call();
        call.silence(ms(4_000)).await;
        call.says(QUESTION, ms(1_000)).await;
        call.silence(ms(5_000)).await;
        let requests = call.requests();
        assert_eq!(requests.len(), 2);
        assert!(requests[0].priority == Priority::Batch && requests[0].reuse.is_some());
        let early =
            ChatRequest { trace: requests[1].trace, priority: requests[1].priority, ..requests[0].clone() };
        assert_eq!(early, requests[1]);
        let in_call = call.speeches().into_iter().skip(said_early.len());
        let in_call = in_call.filter(|said| ANSWER.contains(&said.text)).map(at_leisure);
        assert_eq!(said_early, in_call.collect::<Vec<_>>());
    }
}

fn at_leisure(said: SpeechRequest) -> SpeechRequest {
    SpeechRequest { priority: Priority::Batch, ..said }
}

#[tokio::test(start_paused = true)]
async fn all_that_an_agent_says_by_itself_is_warmed_up_as_it_will_be_spoken() {
    let stage =
        Stage::default().reprompt(Duration::from_secs(5)).greeting("Welcome. How may I help?").fail().fail();
    let scene = stage.configured(|config| config.voice.name = Some("v".to_owned())).scene();
    let texts = fixed_texts(&scene.agent.session);
    assert_eq!(texts, ["Welcome. How may I help?", "Sorry.", "Hello?", "Bye."]);
    let mut audio = Duration::ZERO;
    for text in texts {
        audio += warm_up_speech(&scene.engines, &scene.agent, &scene.identity, text).await.expect("spoken");
    }
    let mut early = scene.speeches();
    assert_eq!(audio, spoken("Welcome.How may I help?Sorry.Hello?Bye."));
    assert!(early.iter().all(|said| said.priority == Priority::Batch));
    let mut call = scene.call();
    call.silence(ms(4_000)).await;
    call.says(QUESTION, ms(1_000)).await;
    call.silence(Duration::from_secs(40)).await;
    assert!(call.hung_up());
    let mut in_call: Vec<_> = call.speeches()[early.len()..].iter().cloned().map(at_leisure).collect();
    in_call.dedup();
    in_call.sort_by(|a, b| a.text.cmp(&b.text));
    early.sort_by(|a, b| a.text.cmp(&b.text));
    assert_eq!(early, in_call);
}

#[tokio::test(start_paused = true)]
async fn only_what_will_be_said_is_among_the_fixed_texts() {
    let mut config = Stage::default().reprompt(SOON).greeting("Bye.").scene().agent.session;
    config.sayings.apology = " ".to_owned();
    config.sayings.idle = IdleReply::Generate;
    assert_eq!(fixed_texts(&config), ["Bye."], "once, and nothing empty");
    config.sayings.greeting.clear();
    config.listening.turns = None;
    config.sayings.idle = IdleReply::Say(vec!["Hello?".to_owned()]);
    assert_eq!(fixed_texts(&config), ["Bye."], "nobody is asked again");
    config.sayings.apology = "Sorry.".to_owned();
    config.listening.transcribe_only = true;
    assert_eq!(fixed_texts(&config), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_writes_warms_up_no_speech() {
    let scene = Stage::default().configured(|config| config.voice.spoken = false).answer(ANSWER).scene();
    assert_eq!(
        warm_up_speech(&scene.engines, &scene.agent, &scene.identity, "Bye.").await.expect("done"),
        Duration::ZERO
    );
    let warm =
        warm_up_reply(&scene.engines, &scene.agent, &scene.identity, QUESTION, SOON).await.expect("made");
    assert_eq!((warm.text.as_str(), warm.audio), (ANSWER, Duration::ZERO));
    assert_eq!(scene.speeches(), []);
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_that_cannot_be_says_why() {
    let scene = Stage::default().fail().first_token(ms(100)).scene();
    let kind = async |question: &str, transcribe_only, within| {
        let mut agent = scene.agent.clone();
        agent.session.listening.transcribe_only = transcribe_only;
        warm_up_reply(&scene.engines, &agent, &scene.identity, question, within)
            .await
            .expect_err("refused")
            .kind()
    };
    assert_eq!(kind(QUESTION, true, SOON).await, ErrorKind::Invalid);
    assert_eq!(kind(" ", false, SOON).await, ErrorKind::Invalid);
    assert_eq!(kind(QUESTION, false, SOON).await, ErrorKind::Unavailable, "the engine's");
    assert_eq!(kind(QUESTION, false, ms(50)).await, ErrorKind::Timeout);
}
