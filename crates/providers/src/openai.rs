//! Any server that speaks OpenAI's chat completions: vLLM, llama-server, Ollama, OpenAI itself.

mod speech;
mod wire;

use std::collections::VecDeque;

use antiphon_core::trace::TraceContext;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, FinishReason, Llm, Result, Usage};
use futures_util::{StreamExt, stream};
use reqwest::{RequestBuilder, Response};

use crate::remote::Remote;

pub use speech::{OpenAiSpeech, OpenAiSpeechOptions};

/// Where the server is and what to ask it for.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as bearer token; never part of an error.
    pub api_key: Option<String>,
}

/// The remote language model.
pub struct OpenAiChat {
    remote: Remote,
    options: OpenAiOptions,
}

impl OpenAiChat {
    /// Makes the client; connects when first asked.
    pub fn new(options: OpenAiOptions) -> Result<Self> {
        let remote = Remote::new(&options.base_url, "the language model's server", "[llm]")?;
        Ok(Self { remote, options })
    }

    /// Asks the server for its models: whether it is there and takes the key.
    pub async fn probe(&self) -> Result<()> {
        self.remote.send(self.with_key(self.remote.get("/models"))).await.map(drop)
    }

    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.options.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }
}

impl Llm for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn model(&self) -> &str {
        &self.options.model
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let body = wire::request(&self.options.model, &request);
        let mut post = self.with_key(self.remote.post("/chat/completions")).json(&body);
        if let Some(trace) = request.trace {
            post = post.header(TraceContext::HEADER, trace.to_string());
        }
        let remote = self.remote.clone();
        stream::once(async move { remote.send(post).await.map(|response| (remote, response)) })
            .flat_map(|begun| match begun {
                Ok((remote, response)) => completion(&remote, response),
                Err(error) => stream::once(async move { Err(error) }).boxed(),
            })
            .boxed()
    }
}

/// The pieces of a completion, ending with exactly one `Done` or an error.
fn completion(remote: &Remote, response: Response) -> BoxStream<'static, Result<ChatDelta>> {
    struct Reading<S> {
        remote: Remote,
        events: S,
        ready: VecDeque<ChatDelta>,
        finish: Option<FinishReason>,
        usage: Usage,
    }
    let reading = Reading {
        remote: remote.clone(),
        events: remote.events(response),
        ready: VecDeque::new(),
        finish: None,
        usage: Usage::default(),
    };
    stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        loop {
            if let Some(delta) = reading.ready.pop_front() {
                return Some((Ok(delta), Some(reading)));
            }
            match reading.events.next().await {
                Some(Ok(event)) if event.data == "[DONE]" => {}
                Some(Ok(event)) => {
                    match wire::chunk(&reading.remote, &event.data) {
                        Ok(chunk) => {
                            reading.finish = chunk.finish.or(reading.finish);
                            reading.usage = chunk.usage.unwrap_or(reading.usage);
                            reading.ready.extend(chunk.deltas);
                        }
                        Err(error) => return Some((Err(error), None)),
                    }
                    continue;
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None if reading.finish.is_none() => return Some((Err(reading.remote.broke_off()), None)),
                None => {}
            }
            let finish = reading.finish.unwrap_or(FinishReason::Stop);
            return Some((Ok(ChatDelta::Done { finish, usage: reading.usage }), None));
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use antiphon_core::{ErrorKind, Message, Role};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use std::time::Duration;

    use super::*;

    /// A server that answers one request with these bytes, in these pieces; gives the request.
    async fn server(pieces: Vec<String>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            let mut request = Vec::new();
            let mut buffer = [0; 4_096];
            while !String::from_utf8_lossy(&request).contains("\"stream\":true") {
                let read = socket.read(&mut buffer).await.expect("reads");
                request.extend_from_slice(&buffer[..read]);
            }
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await.expect("writes");
                socket.flush().await.expect("flushes");
                tokio::task::yield_now().await;
            }
            String::from_utf8_lossy(&request).into_owned()
        });
        (url, task)
    }

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    async fn ask(url: String) -> Vec<Result<ChatDelta>> {
        let options =
            OpenAiOptions { base_url: url, model: "m".to_owned(), api_key: Some("s3cret".to_owned()) };
        let chat = OpenAiChat::new(options).expect("made");
        let trace = Some(TRACE.parse().expect("valid"));
        let request = ChatRequest { trace, ..ChatRequest::new(vec![Message::new(Role::User, "hi")]) };
        chat.chat(request).collect().await
    }

    #[tokio::test]
    async fn it_obeys_the_spec() {
        let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello.\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let answering = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut request, mut buffer) = (Vec::new(), [0; 4_096]);
                    while !String::from_utf8_lossy(&request).contains("\"stream\":true") {
                        match socket.read(&mut buffer).await {
                            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
                            // Whoever asked has gone.
                            _ => return,
                        }
                    }
                    let _ = socket.write_all(format!("{HEAD}{body}").as_bytes()).await;
                });
            }
        });
        let options = OpenAiOptions { base_url, model: "m".to_owned(), api_key: None };
        crate::spec::llm(&OpenAiChat::new(options).expect("made")).await;
        answering.abort();
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_reply_streams_and_ends_once() {
        let body = [
            ": keep-alive\r\n\r\n",
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"Hel",
            "lo\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
        ];
        let pieces = [HEAD].iter().chain(&body).map(|s| (*s).to_owned()).collect();
        let (url, request) = server(pieces).await;
        let deltas: Vec<_> = ask(url).await.into_iter().map(|d| d.expect("works")).collect();
        let usage = Usage { input_tokens: 3, cached_tokens: 0, output_tokens: 1 };
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage };
        assert_eq!(deltas, [ChatDelta::Text("Hello".to_owned()), done]);
        let request = request.await.expect("served").to_lowercase();
        assert!(request.contains("post /v1/chat/completions") && request.contains("bearer s3cret"));
        assert!(request.contains(&format!("traceparent: {TRACE}")), "{request}");
    }

    #[tokio::test]
    async fn tool_calls_keep_their_places() {
        let body = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
        let (url, _) = server(vec![HEAD.to_owned(), body.to_owned()]).await;
        let deltas: Vec<_> = ask(url).await.into_iter().map(|d| d.expect("works")).collect();
        let call = |id: Option<&str>, name: Option<&str>, arguments: &str| ChatDelta::ToolCall {
            index: 0,
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        };
        assert_eq!(deltas[..2], [call(Some("c"), Some("f"), "{"), call(None, None, "}")]);
        assert!(matches!(deltas[2], ChatDelta::Done { finish: FinishReason::ToolCalls, .. }));
    }

    #[tokio::test]
    async fn failures_say_what_happened_and_never_the_key() {
        let refusal = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 33\r\n\r\n{\"error\":{\"message\":\"slow down\"}}\n";
        let cases = [
            (vec![refusal.to_owned()], ErrorKind::RateLimited, "slow down"),
            (vec![format!("{HEAD}data: {{nonsense\n\n")], ErrorKind::Protocol, "JSON"),
            (
                vec![format!("{HEAD}data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}}}}]}}\n\n")],
                ErrorKind::Unavailable,
                "broke off",
            ),
        ];
        for (pieces, kind, words) in cases {
            let (url, _) = server(pieces).await;
            let error = ask(url).await.pop().expect("answers").expect_err("failed");
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words) && !error.to_string().contains("s3cret"), "{error}");
            if kind == ErrorKind::RateLimited {
                assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
            }
        }
        let gone = ask("http://127.0.0.1:9/v1".to_owned()).await.pop().expect("answers");
        assert_eq!(gone.expect_err("nobody there").kind(), ErrorKind::Unavailable);
    }
}
