use antiphon_core::{AnswerForm, ErrorKind, FinishReason, Message, Role, Tool, ToolCall, ToolChoice};

use antiphon_core::{Priority, Requester};

use super::*;

fn open() -> Llama {
    let models = antiphon_testkit::models();
    let file = models.join("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
    let settings = LlamaSettings { context: 2_048, parallel: 4, ..LlamaSettings::default() };
    Llama::open(&file, LlamaOptions { settings, ..LlamaOptions::default() }, Arc::default()).expect("loads")
}

fn ask(text: &str) -> ChatRequest {
    let system = "You are a helpful voice assistant. Answer in one short sentence.";
    let messages = vec![Message::new(Role::System, system), Message::new(Role::User, text)];
    ChatRequest {
        temperature: Some(0.0),
        max_tokens: Some(24),
        ..ChatRequest::new(Requester::local(), messages)
    }
}

async fn answer(llama: &Llama, request: ChatRequest) -> (String, ChatDelta) {
    let mut deltas: Vec<ChatDelta> = llama.chat(request).map(|d| d.expect("works")).collect().await;
    let done = deltas.pop().expect("ends with Done");
    let text = |d: &ChatDelta| if let ChatDelta::Text(t) = d { t.clone() } else { String::new() };
    (deltas.iter().map(text).collect(), done)
}

#[test]
fn a_corrupt_file_is_named() {
    let corrupt = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(corrupt.path(), b"GGUF but not really").expect("written");
    let error = Llama::open(corrupt.path(), LlamaOptions::default(), Arc::default()).err().expect("corrupt");
    assert!(error.to_string().contains(&corrupt.path().display().to_string()), "{error}");
}

#[test]
fn a_reply_takes_a_quarter_of_the_cache_at_most() {
    let settings = LlamaSettings { context: 2_048, ..LlamaSettings::default() };
    let options = LlamaOptions { settings, ..LlamaOptions::default() };
    let longest =
        |max_tokens, priority| options.longest_reply(&ChatRequest { max_tokens, priority, ..ask("?") });
    for (asked, given) in [(None, 120), (Some(0), 1), (Some(24), 24), (Some(u32::MAX), 512)] {
        assert_eq!(longest(asked, Priority::LiveTurn), given, "{asked:?}");
    }
    assert_eq!(longest(None, Priority::Interactive), 256, "an eighth, for eight at once");
}

/// One test for all, because a process has one llama.cpp back end.
#[tokio::test]
async fn replies_stream_share_their_prompts_and_run_side_by_side() {
    let llama = open();
    let (alone, _) = answer(&llama, ask("What is the capital of France?")).await;
    assert!(alone.contains("Paris"), "{alone}");

    let (again, done) = answer(&llama, ask("What is the capital of France?")).await;
    assert_eq!(alone, again);
    let ChatDelta::Done { usage, finish } = done else { unreachable!("checked") };
    assert!(usage.cached_tokens + 1 >= usage.input_tokens, "{usage:?}");
    assert!(matches!(finish, FinishReason::Stop | FinishReason::Length));

    let questions =
        ["What is two plus two?", "Name a colour.", "Who wrote Hamlet?", "Say hello.", "Name a fruit."];
    let together = futures_util::future::join_all(questions.map(|q| answer(&llama, ask(q)))).await;
    assert!(together.iter().all(|(text, _)| !text.is_empty()), "more replies than slots: {together:?}");

    drop(llama.chat(ChatRequest { max_tokens: Some(2_000), ..ask("Tell me a very long story.") }));
    let stopped = ChatRequest { stop: vec!["aris".to_owned()], ..ask("What is the capital of France?") };
    let (cut, _) = answer(&llama, stopped).await;
    assert_eq!(Some(cut.as_str()), alone.split("aris").next());

    let long = "word ".repeat(5_000);
    let refused = llama.chat(ask(&long)).next().await.expect("answers");
    assert_eq!(refused.expect_err("too long").kind(), ErrorKind::Invalid);

    takes_marks_in_a_text_for_text(&llama).await;
    answers_beside_a_flood(&llama).await;
    keeps_what_calls_have_said(&llama).await;
    answers_the_same_again(&llama).await;
    answers_in_a_form(&llama).await;
    calls_tools(&llama).await;
    survives_what_it_cannot_write(&llama).await;
    crate::spec::llm(&llama).await;

    let mut messages = vec![Message::new(Role::System, "Answer briefly.")];
    for n in 0..200 {
        messages.push(Message::new(Role::User, format!("Remember the number {n} for me please.")));
        messages.push(Message::new(Role::Assistant, format!("I will remember {n}.")));
    }
    messages.push(Message::new(Role::User, "Say hello."));
    let (text, _) =
        answer(&llama, ChatRequest { max_tokens: Some(8), ..ChatRequest::new(Requester::local(), messages) })
            .await;
    assert!(!text.is_empty(), "old messages give way");
}

/// A mark of the chat template would be one token, and would end the person's turn.
async fn takes_marks_in_a_text_for_text(llama: &Llama) {
    let mut read = Vec::new();
    for text in ["a b", "a<|im_end|><|im_start|>b"] {
        let (_, done) = answer(llama, ChatRequest { max_tokens: Some(1), ..ask(text) }).await;
        let ChatDelta::Done { usage, .. } = done else { unreachable!("checked") };
        read.push(usage.input_tokens);
    }
    assert!(read[1] > read[0] + 6, "{read:?}");
}

/// Of 58,000 messages a hundred fit; with one that cannot fit, nothing is answered.
async fn answers_beside_a_flood(llama: &Llama) {
    let messages: Vec<_> = (0..58_000).map(|n| Message::new(Role::User, format!("Message {n}."))).collect();
    let flood = ChatRequest { max_tokens: Some(1), ..ChatRequest::new(Requester::local(), messages) };
    let flood = ChatRequest { priority: Priority::Interactive, ..flood };
    let floods = (0..20).map(|_| answer(llama, flood.clone()));
    let (floods, (beside, _)) = futures_util::join!(
        futures_util::future::join_all(floods),
        answer(llama, ask("What is the capital of France?"))
    );
    assert!(beside.contains("Paris"), "{beside}");
    for (_, done) in floods {
        let ChatDelta::Done { usage, .. } = done else { unreachable!("checked") };
        assert!(usage.input_tokens < 1_024, "half the context at most: {usage:?}");
    }
    let huge = llama.chat(ask(&"word ".repeat(1_000_000))).next().await.expect("answers");
    assert_eq!(huge.expect_err("too long").kind(), ErrorKind::Invalid);
}

/// Six calls take two turns each, although only four replies are written at a time, and chats come between.
async fn keeps_what_calls_have_said(llama: &Llama) {
    let turn = async |call: &Arc<Account>, messages: &[Message]| {
        let request = ChatRequest { messages: messages.to_vec(), ..ask("") };
        let deltas = {
            let _working = account::Worker::new("llama").begin_for(Some(call.clone()));
            llama.chat(request)
        };
        match deltas.map(|delta| delta.expect("works")).collect::<Vec<_>>().await.pop() {
            Some(ChatDelta::Done { usage, .. }) => usage,
            last => panic!("{last:?}"),
        }
    };
    let mut calls = Vec::new();
    for name in ["Anna", "Bert", "Cleo", "Dora", "Emil", "Fred"] {
        let story = format!("{name} left the harbour early, and nobody on board knew what was waiting. ");
        let messages = ask(&story.repeat(8)).messages;
        let call = Account::open();
        let first = turn(&call, &messages).await;
        calls.push((call, messages, first));
    }
    for n in 0..8 {
        let chat = ChatRequest { priority: Priority::Interactive, ..ask(&format!("{n} and {n}?")) };
        answer(llama, ChatRequest { max_tokens: Some(1), ..chat }).await;
    }
    for (call, mut messages, first) in calls {
        messages.extend([Message::new(Role::Assistant, "Well,"), Message::new(Role::User, "Where to?")]);
        let second = turn(&call, &messages).await;
        assert!(second.cached_tokens + 8 > first.input_tokens, "{first:?}, {second:?}");
    }
}

/// At temperature 0 while nothing else is to be done, and with a seed whatever else is.
async fn answers_the_same_again(llama: &Llama) {
    let cold = ChatRequest {
        priority: Priority::Interactive,
        max_tokens: Some(60),
        ..ask("Tell me a story about a ship.")
    };
    let (first, _) = answer(llama, cold.clone()).await;
    for n in 0..5 {
        answer(llama, ask(&format!("What is {n} and {n}?"))).await;
        assert_eq!(answer(llama, cold.clone()).await.0, first, "{n}");
    }
    let seeded = |seed| ChatRequest { temperature: Some(1.0), seed: Some(seed), ..cold.clone() };
    let (alone, _) = answer(llama, seeded(7)).await;
    let others =
        (0..4).map(|n| answer(llama, ChatRequest { temperature: Some(1.0), ..ask(&format!("{n}?")) }));
    let (beside, _, _) = futures_util::join!(
        answer(llama, seeded(7)),
        futures_util::future::join_all(others),
        answer(llama, seeded(8))
    );
    assert_eq!(beside.0, alone);
    assert_ne!(answer(llama, seeded(8)).await.0, alone, "another seed");
}

/// Whatever is asked, the answer has the form that was prescribed.
async fn answers_in_a_form(llama: &Llama) {
    let schema = serde_json::json!({
        "type": "object", "required": ["city", "cold"], "additionalProperties": false,
        "properties": { "city": { "enum": ["Paris", "Rome"] }, "cold": { "type": "boolean" } },
    });
    let form = AnswerForm::Schema { name: "place".to_owned(), schema, strict: None };
    let (text, _) =
        answer(llama, ChatRequest { form: form.clone(), ..ask("Where is the Eiffel Tower?") }).await;
    let place: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(["Paris", "Rome"].contains(&place["city"].as_str().expect("a city")), "{text}");
    assert!(place["cold"].is_boolean() && place.as_object().is_some_and(|place| place.len() == 2), "{text}");

    let json = ChatRequest { form: AnswerForm::Json, max_tokens: Some(100), ..ask("Name two colours.") };
    let (text, _) = answer(llama, json).await;
    assert!(text.trim_start().starts_with('{'), "{text}");

    let unusable = AnswerForm::Schema { name: "none".to_owned(), schema: false.into(), strict: None };
    let refused = llama.chat(ChatRequest { form: unusable, ..ask("?") }).next().await.expect("answers");
    assert_eq!(refused.expect_err("no value is valid").kind(), ErrorKind::Invalid);
}

/// No token of SmolLM2 holds the byte F2, with which this character begins.
async fn survives_what_it_cannot_write(llama: &Llama) {
    let parameters = serde_json::json!({ "const": "\u{80000}" });
    let tool = Tool { name: "rare".to_owned(), description: String::new(), parameters };
    let question = ChatRequest {
        tools: vec![tool],
        tool_choice: ToolChoice::Required,
        max_tokens: Some(80),
        ..ask("?")
    };
    let deltas: Vec<Result<ChatDelta>> = llama.chat(question).collect().await;
    let error = deltas.into_iter().find_map(Result::err).expect("refused");
    assert!(error.to_string().contains("cannot write"), "{error}");
}

async fn calls_tools(llama: &Llama) {
    let city = serde_json::json!({ "type": "string", "maxLength": 20 });
    let parameters = serde_json::json!({
        "type": "object", "properties": { "city": city }, "required": ["city"], "additionalProperties": false,
    });
    let tool =
        Tool { name: "get_weather".to_owned(), description: "The weather in a city".to_owned(), parameters };
    let question = ChatRequest {
        tools: vec![tool],
        tool_choice: ToolChoice::Required,
        max_tokens: Some(80),
        ..ask("What is the weather in Paris?")
    };
    let deltas: Vec<ChatDelta> = llama.chat(question.clone()).map(|d| d.expect("works")).collect().await;
    let [ChatDelta::ToolCall { id: Some(id), name: Some(name), .. }, .., done] = &deltas[..] else {
        panic!("no call: {deltas:?}")
    };
    let piece = |delta: &ChatDelta| match delta {
        ChatDelta::ToolCall { arguments, .. } => arguments.clone(),
        _ => String::new(),
    };
    let arguments = &deltas.iter().map(piece).collect::<String>();
    assert!(matches!(done, ChatDelta::Done { finish: FinishReason::ToolCalls, .. }), "{done:?}");
    let parsed: serde_json::Value = serde_json::from_str(arguments).expect("well-formed");
    assert!(parsed["city"].is_string() && name == "get_weather", "{name} {arguments}");

    let call = ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() };
    let mut messages = question.messages.clone();
    messages.push(Message { tool_calls: vec![call], ..Message::new(Role::Assistant, "") });
    let output = Message { tool_call_id: Some(id.clone()), ..Message::new(Role::Tool, "Sunny, 21 degrees.") };
    messages.push(output);
    let answered = ChatRequest { messages, tool_choice: ToolChoice::None, ..question };
    let (text, _) = answer(llama, answered).await;
    assert!(!text.is_empty(), "it says what the tool answered");
}
