//! Extracts JSON bodies; errors have the format that the clients of the path read.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
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
    let request = Request::from_parts(head, whole.into());
    Json::from_request(request, state).await.map(|Json(value)| value).map_err(|rejection| refused(&rejection))
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

/// A body with valid syntax but invalid content is answered with 400 and not 422, as by OpenAI.
fn refused(rejection: &JsonRejection) -> ApiError {
    let status = match rejection.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    ApiError::new(status, rejection.body_text())
}

#[cfg(test)]
mod tests {
    use super::*;

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
