//! Repeats requests that have failed, with growing pauses.

use std::time::Duration;

use rand::Rng;
use reqwest::{RequestBuilder, StatusCode, header};

/// The first pause. Each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. A receiver that is restarted is back by then.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the receiver may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Posts until the receiver accepts it, `attempts` times at most. `request` makes each request.
pub(super) async fn post(attempts: u32, request: impl Fn() -> RequestBuilder) -> Result<(), String> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let (problem, wait) = match request().timeout(PATIENCE).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let again = status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
                if !again {
                    return Err(format!("it was refused: {status}"));
                }
                let wait = answer.headers().get(header::RETRY_AFTER);
                let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_secs);
                (status.to_string(), wait)
            }
            // The address may contain a secret, so it is left out of the error.
            Err(error) => (error.without_url().to_string(), None),
        };
        if attempt == attempts {
            return Err(format!("it did not arrive in {attempts} attempts: {problem}"));
        }
        // Jitter, so that senders which lost the same receiver do not return at the same moment.
        let jitter = rand::rng().random_range(0.75..1.25);
        tokio::time::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE).mul_f64(jitter)).await;
        pause *= 2;
    }
    Ok(())
}

/// A client that follows no redirects, because what is sent is meant for this receiver only.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    // An error means that another provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().connect_timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()
}
