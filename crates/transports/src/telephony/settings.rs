//! How telephone companies reach the server, and how they prove who they are.

use antiphon_desk::is_local_origin;
use axum::http::{HeaderMap, Uri, header};

/// How telephone companies reach the server, and the secrets and keys with which their requests are checked.
#[derive(Clone, Default)]
pub struct TelephonySettings {
    /// The server's address as the vendors see it, such as `https://voice.example.com`. Without it, the host of each
    /// request is taken.
    pub public_url: Option<Uri>,
    /// The token with which Twilio signs its requests.
    pub twilio_auth_token: Option<String>,
    /// The public key, in base64, that verifies the signature of Telnyx's webhook requests.
    pub telnyx_public_key: Option<String>,
    /// The token that Telnyx presents when it opens the media socket.
    pub telnyx_stream_token: Option<String>,
    /// What callers are told while no more calls are admitted; without it they hear the busy tone.
    pub busy_message: Option<String>,
}

impl std::fmt::Debug for TelephonySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set = |secret: &Option<String>| secret.as_ref().map(|_| "(set)");
        f.debug_struct("TelephonySettings")
            .field("public_url", &self.public_url)
            .field("twilio_auth_token", &set(&self.twilio_auth_token))
            .field("telnyx_public_key", &self.telnyx_public_key)
            .field("telnyx_stream_token", &set(&self.telnyx_stream_token))
            .field("busy_message", &self.busy_message)
            .finish()
    }
}

impl TelephonySettings {
    /// The host, with the port if any, by which the server is reached.
    pub(super) fn host(&self, headers: &HeaderMap) -> Option<String> {
        let configured = self.public_url.as_ref().and_then(|url| url.authority()).map(ToString::to_string);
        let asked = || headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        configured.or_else(asked)
    }

    /// Whether a key is configured with which telephone companies prove who they are.
    pub fn is_signed(&self) -> bool {
        self.twilio_auth_token.is_some()
            || self.telnyx_public_key.is_some()
            || self.telnyx_stream_token.is_some()
    }

    /// Whether the server is reached without encryption. The configured address says so; without one, only this
    /// machine does.
    pub(super) fn is_plain(&self, host: &str) -> bool {
        match &self.public_url {
            Some(url) => url.scheme_str() == Some("http"),
            None => is_local_origin(&format!("http://{host}")),
        }
    }
}
