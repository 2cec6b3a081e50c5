//! Sends alerts as signed POST requests.

use antiphon_telemetry::Alert;
use hmac::{Hmac, Mac};
use reqwest::Url;
use sha2::Sha256;
use tokio::sync::mpsc;

use super::backoff;

/// Most attempts for one alert. With pauses of 1, 2, 4, 8 and 16 s they take half a minute.
const ATTEMPTS: u32 = 6;

/// The webhook to which alerts are posted as JSON, one in each request.
///
/// With a secret, `X-Antiphon-Signature` holds `v1=` and the HMAC-SHA256, in hexadecimal, of the value of
/// `X-Antiphon-Timestamp` (seconds since 1970), a full stop, and the body. A receiver should refuse old timestamps,
/// so that a recorded request cannot be sent again.
#[derive(Clone)]
pub struct Webhook {
    /// The address of the receiver.
    pub url: Url,
    /// The secret that is shared with the receiver.
    pub secret: Option<String>,
}

impl Webhook {
    pub(super) async fn tell(self, mut alerts: mpsc::Receiver<Alert>) {
        let client = match backoff::client() {
            Ok(client) => client,
            Err(error) => return tracing::error!(%error, "alerts cannot be posted"),
        };
        while let Some(alert) = alerts.recv().await {
            let Ok(body) = serde_json::to_string(&alert) else { continue };
            let posted = backoff::post(ATTEMPTS, || {
                let timestamp = antiphon_telemetry::unix_time().as_secs().to_string();
                let mut request = client.post(self.url.clone()).header("content-type", "application/json");
                if let Some(secret) = &self.secret {
                    request = request.header("x-antiphon-signature", signature(secret, &timestamp, &body));
                }
                request.header("x-antiphon-timestamp", timestamp).body(body.clone())
            });
            if let Err(problem) = posted.await {
                tracing::error!(
                    problem,
                    subject = alert.subject,
                    "the alert could not be sent to the webhook"
                );
            }
        }
    }
}

fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    // A key of any length is valid, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().fold("v1=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected value was computed with Python: `hmac.new(b"s3cret", b"1790000000.{}", "sha256").hexdigest()`.
    #[test]
    fn the_signature_is_that_of_other_libraries() {
        let expected = "v1=0d84afbca530158326e0549a7a1c3579755f9b8ba4cceba2c143dbe14147b60f";
        assert_eq!(signature("s3cret", "1790000000", "{}"), expected);
    }
}
