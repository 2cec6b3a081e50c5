//! Any server with OpenAI's embeddings API.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use antiphon_core::settings::Check;
use antiphon_core::{BoxFuture, Embed, EmbedCard, Error, Priority, RateLimits, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Vendor, with_key};
use crate::remote::{ApiKey, Bounds, Remote};

/// The most texts in one request. OpenAI takes 2,048, smaller servers fewer.
const MAX_BATCH: usize = 256;
/// The most bytes of a text. OpenAI takes 8,192 tokens, and a token has at least one byte.
const MAX_TEXT: usize = 8_191;
/// The most bytes of all texts in one request. OpenAI takes 300,000 tokens, and a token has at least one byte.
const MAX_BATCH_BYTES: usize = 300_000;
/// The largest answer in bytes. 256 vectors of 3,072 decimal numbers take two thirds of it.
const MAX_ANSWER: usize = 32 << 20;
/// Embedded in place of an empty text, which OpenAI refuses.
const NOTHING: &str = ".";
/// Range of a vector's length: the longest that models make today have some thousand numbers.
const DIMENSIONS: Check = Check::Between(1.0, 65_536.0);

antiphon_core::settings! {
    /// OpenAI's embeddings, and servers like it.
    pub struct OpenAiEmbedSettings {
        /// The length of a vector. OpenAI's own models need not be told; of its newer ones shorter vectors than usual can
        /// be asked for.
        dimensions: Option<usize> = None, check(DIMENSIONS), example("1536"), own(), formerly_above();
    }
}

/// Where the server is and what to ask it for.
#[derive(Clone, Debug)]
pub struct OpenAiEmbedOptions {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// The key, if the server wants one; sent as the host wants it, see [`super::Auth`].
    pub api_key: Option<ApiKey>,
    /// What can be set of it alone.
    pub settings: OpenAiEmbedSettings,
    /// How long it may take.
    pub bounds: Bounds,
    /// Told what the server says of how much more it will take.
    pub limits: Arc<RateLimits>,
}

impl OpenAiEmbedOptions {
    /// A server and a model, all else as usual.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key: None,
            settings: OpenAiEmbedSettings::default(),
            bounds: Bounds::default(),
            limits: Arc::default(),
        }
    }
}

/// An embedder behind this API.
#[derive(Clone)]
pub struct OpenAiEmbed {
    remote: Remote,
    model: Arc<str>,
    dimensions: usize,
    /// Whether the vectors are shorter than the model's usual ones, which must be requested.
    shortened: bool,
}

impl OpenAiEmbed {
    /// Makes the client. The first request connects.
    pub fn new(options: OpenAiEmbedOptions) -> Result<Self> {
        let usual = usual_dimensions(&options.model);
        let Some(dimensions) = options.settings.dimensions.or(usual).filter(|dimensions| *dimensions > 0)
        else {
            let model = &options.model;
            return Err(Error::invalid(format!(
                "[embed.openai] dimensions: say how long a vector of {model:?} is"
            )));
        };
        let remote = Remote::new(&options.base_url, "the embedding server", "[embed]")?
            .with_bounds(options.bounds)
            .with_limits(options.limits);
        let auth = Vendor::of(&options.base_url).auth();
        Ok(Self {
            remote: with_key(remote, auth, options.api_key.as_ref())?,
            model: options.model.into(),
            dimensions,
            shortened: usual.is_some_and(|usual| usual != dimensions),
        })
    }

    /// Asks the server for its models, to test whether it can be reached and accepts the key.
    pub async fn probe(&self) -> Result<()> {
        self.remote.send(self.remote.get("/models")).await.map(drop)
    }

    fn body(&self, texts: &[String]) -> Value {
        let mut body = json!({ "model": &*self.model, "input": texts, "encoding_format": "base64" });
        if self.shortened {
            body["dimensions"] = json!(self.dimensions);
        }
        body
    }

    async fn batch(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let response = self.remote.send(self.remote.post("/embeddings").json(&self.body(texts))).await?;
        let answer = self.remote.whole(response, MAX_ANSWER).await?;
        self.read(&answer, texts.len())
    }

    /// The vectors in an answer to this many texts.
    fn read(&self, answer: &[u8], texts: usize) -> Result<Vec<Vec<f32>>> {
        let answer: Answer = serde_json::from_slice(answer)
            .map_err(|e| self.remote.protocol(&format!("no valid JSON: {e}")))?;
        let mut vectors = vec![Vec::new(); texts];
        for (place, row) in answer.data.into_iter().enumerate() {
            if let Some(vector) = vectors.get_mut(row.index.unwrap_or(place)) {
                *vector =
                    row.embedding.numbers().map_err(|error| self.remote.protocol(&error.to_string()))?;
            }
        }
        vectors.into_iter().map(|vector| self.unit(vector)).collect()
    }

    /// The vector, scaled to length one.
    fn unit(&self, vector: Vec<f32>) -> Result<Vec<f32>> {
        let (got, wanted) = (vector.len(), self.dimensions);
        if got == 0 {
            return Err(self.remote.protocol("fewer vectors than there were texts"));
        }
        if got != wanted {
            let what =
                format!("vectors of {got} numbers, not {wanted}: set [embed.openai] dimensions = {got}");
            return Err(self.remote.protocol(&what));
        }
        let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if !length.is_normal() {
            return Err(self.remote.protocol("a vector without a direction"));
        }
        Ok(vector.into_iter().map(|x| (f64::from(x) / length) as f32).collect())
    }
}

/// Reads an answer to two texts, with vectors of three numbers.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(remote: &Remote, answer: &[u8]) -> Result<()> {
    let embed = OpenAiEmbed { remote: remote.clone(), model: "m".into(), dimensions: 3, shortened: false };
    for vector in embed.read(answer, 2)? {
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-3, "{vector:?}");
    }
    Ok(())
}

/// The length of the vectors of OpenAI's own models.
fn usual_dimensions(model: &str) -> Option<usize> {
    match model {
        "text-embedding-3-small" | "text-embedding-ada-002" => Some(1_536),
        "text-embedding-3-large" => Some(3_072),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    index: Option<usize>,
    embedding: Vector,
}

/// A vector as it was requested, in base64 of little-endian numbers, or in decimal from servers that know only that.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vector {
    Base64(String),
    Decimal(Vec<f32>),
}

/// Why a vector in an answer cannot be read.
#[derive(Debug, thiserror::Error)]
enum VectorError {
    #[error("a vector that is no base64")]
    Base64(#[from] base64::DecodeError),
    #[error("a vector of broken numbers")]
    Length,
}

impl Vector {
    fn numbers(self) -> Result<Vec<f32>, VectorError> {
        match self {
            Self::Decimal(numbers) => Ok(numbers),
            Self::Base64(text) => {
                let bytes = STANDARD.decode(text)?;
                let (numbers, rest) = bytes.as_chunks();
                let whole = rest.is_empty().then(|| numbers.iter().map(|n| f32::from_le_bytes(*n)).collect());
                whole.ok_or(VectorError::Length)
            }
        }
    }
}

/// The text in a form that the server takes: not empty, and not too long.
fn presentable(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    if text.trim().is_empty() { NOTHING.to_owned() } else { text }
}

/// How many of the texts fit into the next request; at least one.
fn fitting(texts: &[String]) -> usize {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len();
        bytes <= MAX_BATCH_BYTES
    };
    texts.iter().take(MAX_BATCH).take_while(fits).count().max(1)
}

impl Embed for OpenAiEmbed {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "openai", model: &self.model, dimensions: self.dimensions }
    }

    fn embed(&self, texts: Vec<String>, _priority: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let this = self.clone();
        async move {
            let texts: Vec<String> = texts.into_iter().map(presentable).collect();
            let (mut rest, mut vectors) = (texts.as_slice(), Vec::with_capacity(texts.len()));
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(fitting(rest));
                vectors.extend(this.batch(batch).await?);
                rest = later;
            }
            Ok(vectors)
        }
        .boxed()
    }
}
