//! Extracts JSON bodies; errors have the format that the clients of the path read.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;

use crate::http::error::ApiError;
use crate::http::in_the_shape_of;

/// Longest time in which a JSON body must arrive: enough for the largest one allowed over a slow mobile connection.
const BODY_TIME: Duration = Duration::from_mins(1);

/// Most objects in a JSON body. Each may take 700 bytes as a tree, so that a body of 4 MiB could otherwise take 350 MB; a long
/// conversation with many tools has a few thousand.
const MAX_OBJECTS: usize = 16_384;

/// A JSON body that has arrived completely and in time.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let uri = request.uri().clone();
        read(request, state).await.map(Self).map_err(|error| in_the_shape_of(&uri, error))
    }
}

async fn read<T: DeserializeOwned, S: Send + Sync>(request: Request, state: &S) -> Result<T, ApiError> {
    let (head, body) = request.into_parts();
    let whole = in_time(Bytes::from_request(Request::from_parts(head.clone(), body), state)).await?;
    if objects(&whole) > MAX_OBJECTS {
        let message = format!(
            "the body has more than {MAX_OBJECTS} JSON objects; send fewer messages or simpler tools"
        );
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    if !is_json(&head.headers) {
        let message = "the body must be JSON, and the header Content-Type: application/json must say so";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    parse(&whole)
}

/// Whether the body is said to be JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The value in the body; or an error that names the field that is wrong.
fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, what) = (error.path().to_string(), error.inner());
        if what.is_data() && path != "." {
            // As OpenAI has it, `param` is the whole path.
            ApiError::invalid(format!("{path}: {what}")).param(path)
        } else {
            ApiError::invalid(format!("the body is not what this expects: {what}"))
        }
    })?;
    reader.end().map_err(|error| ApiError::invalid(format!("the body goes on after its JSON: {error}")))?;
    Ok(value)
}

/// A whole body, unless it takes too long to arrive.
pub(crate) async fn in_time(
    whole: impl Future<Output = Result<Bytes, BytesRejection>>,
) -> Result<Bytes, ApiError> {
    let whole = tokio::time::timeout(BODY_TIME, whole).await.map_err(|_| {
        let message = format!("the body did not arrive within {} s", BODY_TIME.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
    })?;
    whole.map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))
}

/// How many objects begin in this JSON.
fn objects(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[serde(rename = "items")]
            _items: Vec<Inner>,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Inner {
            #[serde(rename = "size")]
            _size: u8,
        }
        let error =
            |json: &str| parse::<Outer>(json.as_bytes()).expect_err("refused").body()["error"].clone();
        assert_eq!(error(r#"{"items":[{"size":1},{"size":"a"}]}"#)["param"], "items[1].size");
        for (json, says) in [("{", "EOF"), ("[]", "not what this expects"), (r#"{"items":[]} x"#, "goes on")]
        {
            let error = error(json);
            let message = error["message"].as_str().expect("a message");
            assert!(message.contains(says) && error["param"].is_null(), "{json}: {message}");
        }
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        let is_json = |media_type: &'static str| {
            is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, media_type.parse().expect("a value"))]))
        };
        assert!(
            is_json("application/json")
                && is_json("Application/JSON; charset=utf-8")
                && is_json("application/a+json")
        );
        assert!(!is_json("text/plain") && !is_json("") && !super::is_json(&HeaderMap::new()));
    }

    #[test]
    fn objects_are_counted_and_braces_in_text_are_not() {
        for (json, count) in [
            ("", 0),
            (r#"{"a":[{},{"b":{}}]}"#, 4),
            (r#"["{", "\"{", "\\", {}]"#, 1),
            (r#"{"text":"{{{"}"#, 1),
        ] {
            assert_eq!(objects(json.as_bytes()), count, "{json}");
        }
    }
}
