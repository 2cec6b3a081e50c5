//! Whom the HTTP server lets in, what it refuses, and when it gives up.

use std::path::PathBuf;
use std::time::Duration;

use antiphon_desk::{Keys, is_local_origin};
use axum::http::{HeaderMap, Uri, header};

/// The resolved settings of the HTTP server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whom to let in.
    pub keys: Keys,
    /// Certificate and key; without them connections are not encrypted.
    pub tls: Option<Tls>,
    /// Calls at a time.
    pub max_calls: usize,
    /// REST requests at a time, replies still being streamed included.
    pub max_requests: usize,
    /// The largest JSON body in bytes.
    pub max_json_bytes: usize,
    /// The largest upload of audio in bytes.
    pub max_upload_bytes: usize,
    /// How long calls may go on when the server is told to stop.
    pub drain: Duration,
    /// How telephone companies reach the server.
    pub telephony: Telephony,
}

/// How telephone companies reach the server.
#[derive(Clone, Default)]
pub struct Telephony {
    /// The server's address as they see it, such as `https://voice.example.com`; else what they ask for.
    pub public_url: Option<Uri>,
    /// With what Twilio signs its requests.
    pub twilio_auth_token: Option<String>,
    /// Whether a webhook comes from Telnyx: the public half of the key that it signs with, in base64.
    pub telnyx_public_key: Option<String>,
    /// What Telnyx shows when it opens the media socket.
    pub telnyx_stream_token: Option<String>,
}

impl std::fmt::Debug for Telephony {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set = |secret: &Option<String>| secret.as_ref().map(|_| "(set)");
        f.debug_struct("Telephony")
            .field("public_url", &self.public_url)
            .field("twilio_auth_token", &set(&self.twilio_auth_token))
            .field("telnyx_public_key", &self.telnyx_public_key)
            .field("telnyx_stream_token", &set(&self.telnyx_stream_token))
            .finish()
    }
}

impl Telephony {
    /// The host, and perhaps the port, by which the server is reached.
    pub(crate) fn host(&self, headers: &HeaderMap) -> Option<String> {
        let configured = self.public_url.as_ref().and_then(|url| url.authority()).map(ToString::to_string);
        let asked = || headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        configured.or_else(asked)
    }

    /// Whether the server is reached without encryption: as configured, else only from this machine.
    pub(crate) fn is_plain(&self, host: &str) -> bool {
        match &self.public_url {
            Some(url) => url.scheme_str() == Some("http"),
            None => is_local_origin(&format!("http://{host}")),
        }
    }
}

/// Where certificate and key lie, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for Settings {
    /// 4 MiB hold a 128k-token conversation several times over; 256 MiB hold two hours of 16-bit speech at
    /// 16 kHz. 64 requests at a time are many more than two cores can serve at once, and few enough to refuse
    /// a flood early.
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            tls: None,
            max_calls: 1_000,
            max_requests: 64,
            max_json_bytes: 4 << 20,
            max_upload_bytes: 256 << 20,
            drain: Duration::from_secs(30),
            telephony: Telephony::default(),
        }
    }
}
