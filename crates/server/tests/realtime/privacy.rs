//! A reply that contains one person's memories is never reused for anybody else, whatever the client configures
//! during a call.

use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::{Agent, Engines};
use antiphon_cache::{Cache, CacheOptions, CachedLlm, Kind, ReplyRules, SemanticReplies};
use antiphon_core::{
    BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, EmbedCard, FinishReason, Llm, LlmCard, Priority,
    Result, Usage,
};
use antiphon_memory::InProcessMemories;
use antiphon_server::settings::Settings;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::json;

use crate::client::Client;
use crate::support::{Server, agent, engines};

/// A statement of one person, and a question that finds it again.
const TOLD: &str = "the animal that I like most is the zebra";
const ASKED: &str = "which is the animal that I like most";
/// Time after which a reply is cached and its memory stored.
const MOMENT: Duration = Duration::from_millis(300);

/// A model that repeats everything in its prompt, so that tests see in the reply what the prompt contained.
struct Repeating;

impl Llm for Repeating {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "repeating", model: "repeating" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let given: Vec<String> = request.messages.into_iter().map(|message| message.content).collect();
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        stream::iter([Ok(ChatDelta::Text(given.join(" | "))), Ok(done)]).boxed()
    }
}

/// An embedding in which texts are closer the more words they share.
struct Words;

impl Embed for Words {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "words", model: "words", dimensions: 512 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let vector = |text: &String| {
            let mut vector = vec![0.0_f32; 512];
            for word in text.split_whitespace() {
                let place = word.bytes().fold(7_usize, |hash, byte| (hash * 31 + usize::from(byte)) % 512);
                vector[place] += 1.0;
            }
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
            vector.iter().map(|x| x / length).collect()
        };
        let vectors = texts.iter().map(vector).collect();
        async move { Ok(vectors) }.boxed()
    }
}

/// A server that remembers persons and caches replies, with the semantic cache if `by_meaning` is set.
fn remembering(by_meaning: bool) -> Server {
    let (model, embed) = (Arc::new(Repeating), Arc::new(Words));
    let options = CacheOptions { kind: Kind::Reply, max_bytes: 1 << 20, ttl: Duration::from_hours(1) };
    let cache = Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)));
    let cached = CachedLlm::new(model.clone(), "repeating".to_owned(), cache, ReplyRules::default());
    let semantic = by_meaning.then(|| {
        let semantic = SemanticReplies::new("repeating".into(), model, embed.clone(), 0.05);
        Arc::new(semantic.expect("a good bound"))
    });
    let engines = Engines { llm: Arc::new(cached.with_semantic(semantic)), ..engines() };
    let agent = Agent { memories: Some(Arc::new(InProcessMemories::new(embed))), ..agent() };
    Server::start_with(Settings::default(), agent, engines)
}

/// A call by this person. The client configures the session once it is connected, as most clients do.
async fn call(server: &Server, person: Option<&str>) -> Client {
    let header = person.map(|person| ("openai-safety-identifier", person));
    let mut client = Client::connect_as(server, "", header).await;
    client.update(json!({ "type": "realtime", "output_modalities": ["text"] })).await;
    client
}

/// Types something, and returns the reply.
async fn ask(client: &mut Client, text: &str) -> String {
    client.says(text).await;
    client.send(json!({ "type": "response.create" })).await;
    let done = client.until("response.done").await;
    let reply = done["response"]["output"][0]["content"][0]["text"].as_str().expect("a text").to_owned();
    tokio::time::sleep(MOMENT).await;
    reply
}

#[tokio::test]
async fn what_a_person_told_answers_nobody_else_and_the_person_is_still_known() {
    for by_meaning in [false, true] {
        let server = remembering(by_meaning);
        let mut ada = call(&server, Some("ada")).await;
        ask(&mut ada, TOLD).await;
        // A client may configure the session at any time, which does not change who speaks.
        ada.update(json!({ "type": "realtime", "instructions": "Be brief." })).await;
        drop(ada);
        for round in 0..3 {
            let known = ask(&mut call(&server, Some("ada")).await, ASKED).await;
            assert!(known.contains("zebra"), "Ada is known in round {round}: {known}");
            for other in [Some("bob"), None, Some("ad"), Some("adam")] {
                let reply = ask(&mut call(&server, other).await, ASKED).await;
                assert!(!reply.contains("zebra"), "{other:?} hears what Ada told: {reply}");
            }
        }
        server.stop().await;
    }
}
