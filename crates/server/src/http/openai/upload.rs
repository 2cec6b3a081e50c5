//! Multipart uploads. The file is written to disk as it arrives, so that memory is bounded whatever its size.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::time::Duration;

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::http::StatusCode;
use tokio::io::AsyncWriteExt;

use crate::http::error::ApiError;

/// Longest time for an upload: enough for the largest one allowed at 4 Mbit/s.
const UPLOAD_TIME: Duration = Duration::from_mins(10);
/// Most fields. OpenAI has 13, some of which are lists that repeat their field.
const MAX_FIELDS: usize = 64;
/// Longest text field in bytes. The longest one is the prompt, of which OpenAI's models read no more than 224 tokens.
const MAX_FIELD: usize = 16 << 10;

/// A file and the text fields that were sent with it, in any order.
pub(super) struct Upload {
    /// The file, which has no name on disk, positioned at its beginning.
    pub(super) file: File,
    fields: Vec<(String, String)>,
}

impl Upload {
    /// Receives the whole upload. The file is the part with the name `file`.
    pub(super) async fn receive(parts: Result<Multipart, MultipartRejection>) -> Result<Self, ApiError> {
        let parts = parts.map_err(|rejection| {
            let message =
                format!("{}; send multipart/form-data with a part named file", rejection.body_text());
            ApiError::new(rejection.status(), message)
        })?;
        tokio::time::timeout(UPLOAD_TIME, Self::receive_parts(parts)).await.unwrap_or_else(|_| {
            let message = format!("the upload did not arrive within {} s", UPLOAD_TIME.as_secs());
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, message))
        })
    }

    async fn receive_parts(mut parts: Multipart) -> Result<Self, ApiError> {
        let mut file = None;
        let mut fields = Vec::new();
        while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
            let name = part.name().unwrap_or_default().to_owned();
            if name == "file" {
                if file.is_some() {
                    return Err(ApiError::invalid_param("file", "there are two parts named file; send one"));
                }
                file = Some(store(part).await?);
            } else if fields.len() < MAX_FIELDS {
                fields.push((name, text(part).await?));
            } else {
                return Err(ApiError::invalid(format!("the form has more than {MAX_FIELDS} fields")));
            }
        }
        let missing =
            || ApiError::invalid_param("file", "there is no part named file; send the audio in one");
        Ok(Self { file: file.ok_or_else(missing)?, fields })
    }

    /// The last value of a field; an empty value counts as absent.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.list(name).last().filter(|value| !value.is_empty())
    }

    /// All values of a field, whether it is called `name` or `name[]`.
    pub(super) fn list(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        let named = move |field: &&(String, String)| field.0.strip_suffix("[]").unwrap_or(&field.0) == name;
        self.fields.iter().filter(named).map(|(_, value)| value.as_str())
    }
}

async fn store(mut part: Field<'_>) -> Result<File, ApiError> {
    let unwritable = |error: std::io::Error| {
        let message = format!("the upload could not be stored in the directory for temporary files: {error}");
        ApiError::from(antiphon_core::Error::internal(message))
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(unwritable)?);
    let mut size = 0;
    while let Some(bytes) = part.chunk().await.map_err(|error| broken(&error))? {
        size += bytes.len();
        file.write_all(&bytes).await.map_err(unwritable)?;
    }
    if size == 0 {
        return Err(ApiError::invalid_param("file", "the file is empty"));
    }
    file.flush().await.map_err(unwritable)?;
    let mut file = file.into_std().await;
    file.seek(SeekFrom::Start(0)).map_err(unwritable)?;
    Ok(file)
}

async fn text(mut part: Field<'_>) -> Result<String, ApiError> {
    let name = part.name().unwrap_or_default().to_owned();
    let mut bytes = Vec::new();
    while let Some(more) = part.chunk().await.map_err(|error| broken(&error))? {
        bytes.extend_from_slice(&more);
        if bytes.len() > MAX_FIELD {
            return Err(ApiError::invalid(format!("the field {name:?} is longer than {MAX_FIELD} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|_| ApiError::invalid(format!("the field {name:?} is not UTF-8")))
}

/// The parser classifies a body that is cut off as a failure of the server, but it is one of the client.
fn broken(error: &MultipartError) -> ApiError {
    let status = error.status();
    if status.is_server_error() {
        let message = format!("the upload broke off or paused for too long: {}", error.body_text());
        return ApiError::invalid(message);
    }
    ApiError::new(status, error.body_text())
}
