//! A reply that contains one person's memories is never reused for anybody else, whatever the client configures
//! during a call, and a client secret speaks for the person it was made for.

use std::sync::Arc;
use std::time::Duration;

use antiphon_agent::{Agent, Engines};
use antiphon_cache::{Cache, CacheOptions, CachedLlm, Kind, ReplyRules, SemanticReplies};
use antiphon_core::{
    BoxFuture, BoxStream, ChatDelta, ChatRequest, Embed, EmbedCard, FinishReason, Llm, LlmCard, Priority,
    Result, Usage,
};
use antiphon_desk::Keys;
use antiphon_memory::InProcessMemories;
use antiphon_server::settings::Settings;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::client::Client;
use crate::support::{Server, agent, engines};

/// The server's key.
const KEY: &str = "sk-test";
/// The header that names the person.
const PERSON: &str = "openai-safety-identifier";
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

/// A server that remembers persons and caches replies, with the semantic cache if `by_meaning` is set. Its key is [`KEY`].
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
    Server::start_with(Settings { keys: Keys::new([KEY]), ..Settings::default() }, agent, engines)
}

/// A call with this key or client secret, by this person. The client configures the session once it is connected, as most clients do.
async fn call_with(server: &Server, key: &str, person: Option<&str>) -> Client {
    let key = format!("Bearer {key}");
    let mut headers = vec![("authorization", key.as_str())];
    headers.extend(person.map(|person| (PERSON, person)));
    let mut client = Client::connect_as(server, "", &headers).await;
    client.update(json!({ "type": "realtime", "output_modalities": ["text"] })).await;
    client
}

/// A call with the server's key, by this person.
async fn call(server: &Server, person: Option<&str>) -> Client {
    call_with(server, KEY, person).await
}

/// Asks for a client secret. Returns the status and the body.
async fn mint(server: &Server, person: Option<&[u8]>, body: Value) -> (u16, Value) {
    let request =
        reqwest::Client::new().post(server.url("/v1/realtime/client_secrets")).bearer_auth(KEY).json(&body);
    let named = person.map(|person| reqwest::header::HeaderValue::from_bytes(person).expect("a header"));
    let request = named.into_iter().fold(request, |request, person| request.header(PERSON, person));
    let response = request.send().await.expect("answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// A client secret for this person.
async fn secret_for(server: &Server, person: Option<&str>) -> String {
    let (_, made) = mint(server, person.map(str::as_bytes), json!({})).await;
    made["value"].as_str().expect("a client secret").to_owned()
}

/// The status and the body with which a WebSocket is refused to the holder of this secret; 101 if it is not.
async fn refused(server: &Server, path: &str, secret: &str, person: Option<&str>) -> (u16, Value) {
    let mut request = server.socket(path).into_client_request().expect("an address");
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {secret}").parse().expect("a header"));
    if let Some(person) = person {
        headers.insert(PERSON, person.parse().expect("a header"));
    }
    match connect_async(request).await {
        Ok(_) => (101, Value::Null),
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_slice(body).expect("JSON"))
        }
        Err(error) => panic!("{error}"),
    }
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

#[tokio::test]
async fn a_client_secret_is_for_the_person_it_was_made_for_and_nobody_else() {
    let server = remembering(false);
    let secret = secret_for(&server, Some("ada")).await;
    ask(&mut call_with(&server, &secret, None).await, TOLD).await;
    for named in [None, Some("ada"), Some(" ada ")] {
        let reply = ask(&mut call_with(&server, &secret, named).await, ASKED).await;
        assert!(reply.contains("zebra"), "Ada is known, named as {named:?}: {reply}");
    }
    let of_others = [secret_for(&server, Some("bob")).await, secret_for(&server, None).await];
    for other in &of_others {
        let (status, error) = refused(&server, "/v1/realtime", other, Some("ada")).await;
        assert_eq!((status, &error["error"]["code"]), (403, &json!("person_mismatch")), "{error}");
        let (status, problem) = refused(&server, "/talk/ws?person=ada", other, None).await;
        assert_eq!(status, 403, "{problem}");
        let reply = ask(&mut call_with(&server, other, None).await, ASKED).await;
        assert!(!reply.contains("zebra"), "somebody else hears what Ada told: {reply}");
    }
    assert_eq!(refused(&server, "/talk/ws?person=ada", &secret, None).await.0, 101);
    server.stop().await;
}

#[tokio::test]
async fn a_client_secret_without_a_person_remembers_nobody() {
    let server = remembering(false);
    let nobody = secret_for(&server, None).await;
    ask(&mut call_with(&server, &nobody, None).await, TOLD).await;
    let reply = ask(&mut call_with(&server, &nobody, Some("")).await, ASKED).await;
    assert!(!reply.contains("zebra"), "{reply}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_secret_opens_as_many_calls_as_it_was_made_for() {
    let server = remembering(false);
    let (_, made) = mint(&server, None, json!({ "max_calls": 2 })).await;
    let secret = made["value"].as_str().expect("a client secret");
    assert_eq!(refused(&server, "/v1/realtime", secret, Some("ada")).await.0, 403, "which counts as no call");
    assert_eq!(refused(&server, "/v1/realtime", secret, None).await.0, 101);
    assert_eq!(refused(&server, "/talk/ws", secret, None).await.0, 101);
    let (status, error) = refused(&server, "/v1/realtime", secret, None).await;
    assert_eq!((status, &error["error"]["code"]), (401, &json!("invalid_api_key")));
    server.stop().await;
}

#[tokio::test]
async fn a_client_secret_is_not_made_for_a_name_that_cannot_be_kept() {
    let server = remembering(false);
    let long = "a".repeat(201);
    for name in [long.as_bytes(), &b"ad\xe4"[..]] {
        let (status, error) = mint(&server, Some(name), json!({})).await;
        assert_eq!(status, 400, "{error}");
        assert!(error["error"]["message"].as_str().expect("a message").contains("OpenAI-Safety-Identifier"));
    }
    let (status, error) = mint(&server, None, json!({ "max_calls": 0 })).await;
    assert_eq!(status, 400, "{error}");
    server.stop().await;
}
