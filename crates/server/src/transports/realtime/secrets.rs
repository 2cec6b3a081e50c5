//! Client secrets: keys for one session that a browser may hold.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use antiphon_agent::ids;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::session::Session;

/// How every client secret begins.
pub(super) const PREFIX: &str = "ek_";
/// Secrets that are valid at a time; more are refused.
const MAX_SECRETS: usize = 10_000;

/// The valid secrets, as digests, and their sessions.
#[derive(Debug, Default)]
pub(crate) struct ClientSecrets {
    valid: Mutex<HashMap<[u8; 32], Secret>>,
}

#[derive(Debug)]
struct Secret {
    expires: Instant,
    session: Session,
}

impl ClientSecrets {
    /// A new secret for sessions that begin like this one; `None` when there are too many.
    pub(super) fn create(&self, session: Session, lasting: Duration) -> Option<String> {
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if valid.len() >= MAX_SECRETS {
            valid.retain(|_, secret| secret.expires > now);
        }
        if valid.len() >= MAX_SECRETS {
            return None;
        }
        let secret = ids::unique(PREFIX);
        valid.insert(digest(&secret), Secret { expires: now + lasting, session });
        Some(secret)
    }

    /// The session of a valid secret.
    pub(super) fn session(&self, secret: &str) -> Option<Session> {
        let valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        let known = valid.get(&digest(secret))?;
        (known.expires > Instant::now()).then(|| known.session.clone())
    }
}

/// Looked up by digest, so that the time it takes says nothing about the secret.
fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use antiphon_core::call::SessionConfig;

    use super::super::session::Kind;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_valid_until_it_expires() {
        let secrets = ClientSecrets::default();
        let session = Session::new(Kind::Realtime, "m".to_owned(), &SessionConfig::default());
        let secret = secrets.create(session.clone(), Duration::from_secs(10)).expect("room");
        assert_eq!(secrets.session(&secret), Some(session));
        assert_eq!(secrets.session("ek_other"), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(secrets.session(&secret), None);
    }
}
