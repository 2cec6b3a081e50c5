//! Any server that speaks OpenAI's chat completions: vLLM, llama-server, Ollama, OpenAI itself.

mod sse;
mod wire;

use std::time::Duration;

use antiphon_core::trace::TraceContext;
use antiphon_core::{BoxStream, ChatDelta, ChatRequest, Error, ErrorKind, FinishReason, Llm, Result, Usage};
use futures_util::{StreamExt, stream};
use reqwest::{Client, Response, StatusCode};
use tokio::time::timeout;

use sse::Events;

/// A server that does not take the connection by then is down.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A model on a busy server may read a long prompt for this long; the session gives up at the same time.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(20);
/// Between two pieces of a reply.
const NEXT_BYTE_WITHIN: Duration = Duration::from_secs(20);
/// The most of an error's body that is read.
const MAX_ERROR: usize = 4_096;

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
    client: Client,
    options: OpenAiOptions,
}

impl OpenAiChat {
    /// Makes the client; connects when first asked.
    pub fn new(options: OpenAiOptions) -> Result<Self> {
        // Whoever was first has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if reqwest::Url::parse(&options.base_url).is_err() {
            return Err(Error::invalid(format!("[llm] base_url = \"{}\" is no URL", options.base_url)));
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .tcp_nodelay(true)
            .build()
            .map_err(|e| Error::internal(format!("cannot make an HTTP client: {e}")))?;
        Ok(Self { client, options })
    }

    /// Asks the server for its models: whether it is there and takes the key.
    pub async fn probe(&self) -> Result<()> {
        let url = format!("{}/models", self.options.base_url.trim_end_matches('/'));
        let get = self.client.get(url);
        let get = match &self.options.api_key {
            Some(key) => get.bearer_auth(key),
            None => get,
        };
        let sent = timeout(CONNECT_WITHIN, get.send()).await;
        check(sent.map_err(|_| late(CONNECT_WITHIN))?.map_err(|e| broken(&e))?).await.map(drop)
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
        let url = format!("{}/chat/completions", self.options.base_url.trim_end_matches('/'));
        let mut post = self.client.post(url).json(&wire::request(&self.options.model, &request));
        if let Some(key) = &self.options.api_key {
            post = post.bearer_auth(key);
        }
        if let Some(trace) = request.trace {
            post = post.header(TraceContext::HEADER, trace.to_string());
        }
        let begin = async move {
            let sent = timeout(FIRST_BYTE_WITHIN, post.send()).await;
            let response = sent.map_err(|_| late(FIRST_BYTE_WITHIN))?.map_err(|e| broken(&e))?;
            check(response).await
        };
        stream::once(begin)
            .flat_map(|begun| match begun {
                Ok(response) => completion(response),
                Err(error) => stream::once(async move { Err(error) }).boxed(),
            })
            .boxed()
    }
}

/// Turns a refusal into an error that says what the server said.
async fn check(response: Response) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthorized,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => ErrorKind::Timeout,
        status if status.is_client_error() => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    let mut body = Vec::new();
    let mut bytes = response.bytes_stream();
    while body.len() < MAX_ERROR
        && let Ok(Some(Ok(chunk))) = timeout(CONNECT_WITHIN, bytes.next()).await
    {
        body.extend_from_slice(&chunk);
    }
    let said = wire::error_message(&body).unwrap_or_default();
    let error = Error::new(kind, format!("the language model's server answered {status} {said}").trim_end());
    Err(match wait {
        Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
        None => error,
    })
}

/// The pieces of a completion, ending with exactly one `Done` or an error.
fn completion(response: Response) -> BoxStream<'static, Result<ChatDelta>> {
    struct Reading<S> {
        bytes: S,
        events: Events,
        ready: std::collections::VecDeque<ChatDelta>,
        finish: Option<FinishReason>,
        usage: Usage,
        over: bool,
    }
    let reading = Reading {
        bytes: Box::pin(response.bytes_stream()),
        events: Events::default(),
        ready: std::collections::VecDeque::new(),
        finish: None,
        usage: Usage::default(),
        over: false,
    };
    stream::unfold(reading, |mut reading| async move {
        loop {
            if let Some(delta) = reading.ready.pop_front() {
                return Some((Ok(delta), reading));
            }
            if reading.over {
                return None;
            }
            let failed = |error, mut reading: Reading<_>| {
                reading.over = true;
                Some((Err(error), reading))
            };
            match reading.events.pop() {
                Some(data) if data == "[DONE]" => {}
                Some(data) => {
                    match wire::chunk(&data) {
                        Ok(chunk) => {
                            reading.finish = chunk.finish.or(reading.finish);
                            reading.usage = chunk.usage.unwrap_or(reading.usage);
                            reading.ready.extend(chunk.deltas);
                        }
                        Err(error) => return failed(error, reading),
                    }
                    continue;
                }
                None => match timeout(NEXT_BYTE_WITHIN, reading.bytes.next()).await {
                    Err(_) => return failed(late(NEXT_BYTE_WITHIN), reading),
                    Ok(Some(Err(error))) => return failed(broken(&error), reading),
                    Ok(Some(Ok(bytes))) => match reading.events.push(&bytes) {
                        Ok(()) => continue,
                        Err(error) => return failed(error, reading),
                    },
                    Ok(None) if reading.finish.is_none() => {
                        let error = Error::unavailable("the language model's server broke off its reply");
                        return failed(error, reading);
                    }
                    Ok(None) => {}
                },
            }
            reading.over = true;
            let finish = reading.finish.unwrap_or(FinishReason::Stop);
            return Some((Ok(ChatDelta::Done { finish, usage: reading.usage }), reading));
        }
    })
    .boxed()
}

fn late(bound: Duration) -> Error {
    let message = format!("the language model's server sent nothing for {} s", bound.as_secs());
    Error::new(ErrorKind::Timeout, message)
}

/// A connection's error, without the URL: it may hold a key.
fn broken(error: &reqwest::Error) -> Error {
    let what = if error.is_connect() {
        "cannot be reached: is [llm] base_url right, and is it running?"
    } else if error.is_timeout() {
        return Error::new(ErrorKind::Timeout, "the language model's server did not answer in time");
    } else {
        "broke off the connection"
    };
    Error::unavailable(format!("the language model's server {what}"))
}

#[cfg(test)]
mod tests {
    use antiphon_core::{Message, Role};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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
