//! The settings of the HTTP server: keys, limits and timeouts.

use std::path::PathBuf;
use std::time::Duration;

use antiphon_desk::Keys;
use antiphon_stack::config::Network;
use antiphon_transports::telephony::TelephonySettings;

/// The resolved settings of the HTTP server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The accepted API keys.
    pub keys: Keys,
    /// The proxies whose word on where a request comes from is believed.
    pub trusted_proxies: Vec<Network>,
    /// Certificate and key. Without them connections are not encrypted.
    pub tls: Option<Tls>,
    /// Most calls at a time.
    pub max_calls: usize,
    /// Most REST requests at a time, including those whose responses are still being streamed.
    pub max_requests: usize,
    /// Largest JSON body in bytes.
    pub max_json_bytes: usize,
    /// Largest upload of audio in bytes.
    pub max_upload_bytes: usize,
    /// How long running calls may continue when the server is told to stop.
    pub drain: Duration,
    /// How telephone companies reach the server.
    pub telephony: TelephonySettings,
}

/// Paths of the certificate and the private key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The private key that belongs to the certificate.
    pub key: PathBuf,
}

impl Default for Settings {
    /// 4 MiB hold a conversation of 128k tokens several times over; 256 MiB hold two hours of 16-bit speech at 16
    /// kHz. 64 requests at a time are many more than two cores can serve at once, and few enough to refuse a
    /// flood early.
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            trusted_proxies: Vec::new(),
            tls: None,
            max_calls: 1_000,
            max_requests: 64,
            max_json_bytes: 4 << 20,
            max_upload_bytes: 256 << 20,
            drain: Duration::from_secs(30),
            telephony: TelephonySettings::default(),
        }
    }
}
