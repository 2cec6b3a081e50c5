//! The settings of the HTTP server: keys, limits and timeouts.

use std::collections::BTreeMap;
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
    /// Most calls at a time of one key, or of one address where there are no keys. `None`: see [`Settings::calls_each`].
    pub max_calls_each: Option<usize>,
    /// The limits on connections that are not calls.
    pub connections: ConnectionBounds,
    /// Most REST requests at a time, including those whose responses are still being streamed.
    pub max_requests: usize,
    /// Largest JSON body in bytes.
    pub max_json_bytes: usize,
    /// Largest upload of audio in bytes.
    pub max_upload_bytes: usize,
    /// Names of models that clients of the REST interface may write, each with the engine's model that it means.
    pub model_aliases: BTreeMap<String, String>,
    /// How long running calls may continue when the server is told to stop.
    pub drain: Duration,
    /// How telephone companies reach the server.
    pub telephony: TelephonySettings,
}

impl Settings {
    /// The model that a client means by this name; `None`, the engine's own, if it is no alias: most clients write the name of a model
    /// of OpenAI's.
    pub fn model(&self, name: Option<&str>) -> Option<String> {
        self.model_aliases.get(name?).cloned()
    }

    /// Most calls at a time of one key or address: as set, or else half of them if there are others to leave lines for, who are
    /// holders of other keys or telephone companies.
    pub fn calls_each(&self) -> usize {
        let telephones = self.telephony.is_signed();
        let all =
            if telephones || self.keys.are_several() { self.max_calls.div_ceil(2) } else { self.max_calls };
        self.max_calls_each.unwrap_or(all)
    }
}

/// The limits on connections that are not calls. Those of calls are limited by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionBounds {
    /// Most connections at a time.
    pub in_all: usize,
    /// How many of them those with a key leave to health checks and telephone companies.
    pub reserve: usize,
    /// Most connections from one address that have shown neither a key nor a signature.
    pub strangers_each: usize,
}

impl Default for ConnectionBounds {
    /// 4,096 connections hold 128 MiB of buffers at most and are room for as many clients that poll. A browser opens six, and a
    /// proxy in front of the server a few hundred.
    fn default() -> Self {
        Self { in_all: 4_096, reserve: 256, strangers_each: 512 }
    }
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
            max_calls_each: None,
            connections: ConnectionBounds::default(),
            max_requests: 64,
            max_json_bytes: 4 << 20,
            max_upload_bytes: 256 << 20,
            model_aliases: BTreeMap::new(),
            drain: Duration::from_secs(30),
            telephony: TelephonySettings::default(),
        }
    }
}
