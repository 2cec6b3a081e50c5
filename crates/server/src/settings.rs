//! Whom the HTTP server lets in, what it refuses, and when it gives up.

use std::path::PathBuf;
use std::time::Duration;

use antiphon_desk::Keys;
use antiphon_transports::telephony::TelephonySettings;

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
    pub telephony: TelephonySettings,
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
            telephony: TelephonySettings::default(),
        }
    }
}
