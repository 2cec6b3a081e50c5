//! `POST /v1/embeddings`: turns texts into vectors.

use std::sync::Arc;

use antiphon_core::Priority;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{admission, patience};
use crate::app::App;
use crate::http::body::Body;
use crate::http::error::ApiError;

/// Most texts in one request; OpenAI's own limit.
const MAX_TEXTS: usize = 2_048;
/// Most texts that the engine gets at once. Larger batches are no faster (MiniLM is as fast at 32 as at 8) and would
/// make other requests wait.
const BATCH: usize = 32;

/// What to embed, and in which format to return it. `model` may be any name, as there is only one engine.
#[derive(Deserialize, ToSchema)]
pub(super) struct EmbeddingRequest {
    input: Input,
    encoding_format: Option<Encoding>,
    /// A smaller number of dimensions than the model's. Vectors are cut and scaled back to unit length.
    dimensions: Option<usize>,
}

/// One text or several. Tokens are refused, because they are those of OpenAI's models and mean nothing to others.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a string or an array of strings (tokens are another model's)")]
enum Input {
    Text(String),
    Texts(Vec<String>),
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64, which take a quarter of the size.
    Base64,
}

/// The vectors, in the order of the texts.
#[derive(Serialize, ToSchema)]
pub(super) struct EmbeddingList {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: EmbeddingUsage,
}

#[derive(Serialize, ToSchema)]
struct Embedding {
    object: &'static str,
    index: usize,
    #[serde(rename = "embedding")]
    vector: Vector,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

/// The tokens of the texts as the model reads them; where only its server can count, one for four bytes.
#[derive(Serialize, ToSchema)]
struct EmbeddingUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Converts texts to vectors of unit length.
#[utoipa::path(
    post, path = "/v1/embeddings", tag = "OpenAI", request_body = EmbeddingRequest,
    responses((status = 200, description = "One vector per text", body = EmbeddingList)),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Body(request): Body<EmbeddingRequest>,
) -> Result<Json<EmbeddingList>, ApiError> {
    admission::engines(&app)?;
    let texts = texts(request.input)?;
    let engine = &app.desk.engines.embed;
    let dimensions = dimensions(request.dimensions, engine.card().dimensions)?;
    let prompt_tokens = count(&app, texts.clone()).await?;
    let mut data = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        let vectors =
            patience::answer(engine.card().name, engine.embed(batch.to_vec(), Priority::Interactive)).await?;
        for vector in vectors {
            let vector = encode(shorten(vector, dimensions), request.encoding_format.unwrap_or_default());
            data.push(Embedding { object: "embedding", index: data.len(), vector });
        }
    }
    let model = engine.card().model.to_owned();
    let usage = EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens };
    Ok(Json(EmbeddingList { object: "list", data, model, usage }))
}

/// The tokens of all texts. Counting takes up to a second for the longest request, so nothing else waits for it.
async fn count(app: &App, texts: Vec<String>) -> Result<u64, ApiError> {
    let engine = Arc::clone(&app.desk.engines.embed);
    let count = move || Ok(texts.iter().map(|text| engine.tokens(text)).sum());
    Ok(app.cpu_pool.run(Priority::Interactive, count).await?)
}

fn texts(input: Input) -> Result<Vec<String>, ApiError> {
    let texts = match input {
        Input::Text(text) => vec![text],
        Input::Texts(texts) => texts,
    };
    if texts.is_empty() || texts.len() > MAX_TEXTS {
        let message = format!("input holds {} texts; send between 1 and {MAX_TEXTS}", texts.len());
        return Err(ApiError::invalid_param("input", message));
    }
    if let Some(index) = texts.iter().position(|text| text.trim().is_empty()) {
        return Err(ApiError::invalid_param("input", format!("text {index} of input is empty")));
    }
    Ok(texts)
}

fn dimensions(asked: Option<usize>, available: usize) -> Result<usize, ApiError> {
    match asked {
        None => Ok(available),
        Some(dimensions) if (1..=available).contains(&dimensions) => Ok(dimensions),
        Some(dimensions) => {
            let message = format!("dimensions is {dimensions}; the model has {available}");
            Err(ApiError::invalid_param("dimensions", message))
        }
    }
}

/// Cuts a vector and scales it back to unit length, as OpenAI does.
fn shorten(mut vector: Vec<f32>, dimensions: usize) -> Vec<f32> {
    if dimensions < vector.len() {
        vector.truncate(dimensions);
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm > 0.0 {
            for x in &mut vector {
                *x /= norm;
            }
        }
    }
    vector
}

fn encode(vector: Vec<f32>, encoding: Encoding) -> Vector {
    match encoding {
        Encoding::Float => Vector::Float(vector),
        Encoding::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            Vector::Base64(BASE64.encode(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_vector_has_unit_length() {
        assert_eq!(shorten(vec![3.0, 4.0, 12.0], 2), [0.6, 0.8]);
        assert_eq!(shorten(vec![0.6, 0.8], 2), [0.6, 0.8]);
    }

    #[test]
    fn more_dimensions_than_there_are_is_an_error() {
        assert!(dimensions(Some(385), 384).is_err());
        assert!(dimensions(Some(0), 384).is_err());
        assert_eq!(dimensions(Some(64), 384).ok(), Some(64));
    }
}
