//! The vendor of a server, and how it takes the key.

use antiphon_core::Result;

use crate::remote::{ApiKey, Remote};

/// How the key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer KEY`, for OpenAI and nearly all others.
    Bearer,
    /// `api-key: KEY`, for Azure.
    ApiKeyHeader,
}

/// The vendor of a server, recognised by its host. It decides which extensions of the API are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    /// OpenAI itself, at `api.openai.com`.
    OpenAi,
    /// Azure, at `RESOURCE.openai.azure.com`.
    Azure,
    /// Any other server with OpenAI's interface.
    Other,
}

impl Vendor {
    pub(super) fn of(base_url: &str) -> Self {
        let host = reqwest::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        match host.as_deref() {
            Some("api.openai.com") => Self::OpenAi,
            Some(host) if host.ends_with(".openai.azure.com") => Self::Azure,
            _ => Self::Other,
        }
    }

    /// How this vendor takes the key.
    pub(super) fn auth(self) -> Auth {
        match self {
            Self::Azure => Auth::ApiKeyHeader,
            Self::OpenAi | Self::Other => Auth::Bearer,
        }
    }
}

/// The server with its key, if it has one.
pub(super) fn with_key(remote: Remote, auth: Auth, key: Option<&ApiKey>) -> Result<Remote> {
    match (key, auth) {
        (None, _) => Ok(remote),
        (Some(key), Auth::Bearer) => remote.with_key("authorization", "Bearer ", key),
        (Some(key), Auth::ApiKeyHeader) => remote.with_key("api-key", "", key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_tells_the_vendor() {
        let cases = [
            ("https://api.openai.com/v1", Vendor::OpenAi),
            ("https://r.openai.azure.com/openai/v1", Vendor::Azure),
            ("https://r.openai.azure.com.example/v1", Vendor::Other),
            ("http://127.0.0.1:8080/v1", Vendor::Other),
            ("nonsense", Vendor::Other),
        ];
        for (url, vendor) in cases {
            assert_eq!(Vendor::of(url), vendor, "{url}");
        }
        assert_eq!((Vendor::Azure.auth(), Vendor::Other.auth()), (Auth::ApiKeyHeader, Auth::Bearer));
    }
}
