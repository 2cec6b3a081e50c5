//! Keys that are valid for minutes. A browser may hold one, since it opens one thing only and expires soon.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use antiphon_agent::ids;
use antiphon_core::KeyId;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// How every short-lived key begins, as OpenAI's client secrets do.
pub const PREFIX: &str = "ek_";
/// Most keys that are valid at a time. While there are that many, no more are made.
const MAX_VALID: usize = 10_000;
/// Most valid keys that one API key may have made, so that its holder cannot use up the limit for all others.
const MAX_EACH: usize = MAX_VALID / 4;

/// The valid keys as digests, with what each of them opens.
#[derive(Debug)]
pub struct ShortLived<T> {
    valid: Mutex<HashMap<[u8; 32], Held<T>>>,
}

#[derive(Debug)]
struct Held<T> {
    expires: Instant,
    made_by: Option<KeyId>,
    /// How many calls may still begin with it; `None` for any number.
    calls_left: Option<NonZeroU32>,
    opens: T,
}

/// What is decided about a key when it is made, beside what it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortLivedTerms {
    /// The API key with which it was asked for.
    pub made_by: Option<KeyId>,
    /// How long it is valid.
    pub lasting: Duration,
    /// How many calls may begin with it; `None` for any number.
    pub calls: Option<NonZeroU32>,
}

impl<T> Default for ShortLived<T> {
    fn default() -> Self {
        Self { valid: Mutex::default() }
    }
}

impl<T: Clone> ShortLived<T> {
    /// Makes a new key for `opens`. `None` when too many keys are valid.
    pub fn create(&self, opens: T, terms: ShortLivedTerms) -> Option<String> {
        let ShortLivedTerms { made_by, lasting, calls: calls_left } = terms;
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut made = 0;
        valid.retain(|_, held| {
            let keep = held.expires > now;
            made += usize::from(keep && held.made_by == made_by);
            keep
        });
        if valid.len() >= MAX_VALID || made >= MAX_EACH {
            return None;
        }
        let key = ids::unique(PREFIX);
        valid.insert(digest(&key), Held { expires: now + lasting, made_by, calls_left, opens });
        Some(key)
    }

    /// What a valid key opens, and the API key with which it was made.
    pub fn open(&self, key: &str) -> Option<(T, Option<KeyId>)> {
        let valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        let held = valid.get(&digest(key)).filter(|held| held.expires > Instant::now())?;
        Some((held.opens.clone(), held.made_by.clone()))
    }

    /// Counts a call that begins with this key, and drops the key if it was the last. False if the key is no longer valid: when two
    /// calls come at once and one is left, one of them gets it.
    pub fn count_call(&self, key: &str) -> bool {
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        let key = digest(key);
        let Some(held) = valid.get_mut(&key).filter(|held| held.expires > Instant::now()) else {
            return false;
        };
        let Some(calls) = held.calls_left else { return true };
        held.calls_left = NonZeroU32::new(calls.get() - 1);
        if held.calls_left.is_none() {
            valid.remove(&key);
        }
        true
    }
}

/// Keys are looked up by their digest, so that the duration of the lookup reveals nothing about them.
fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds, for any number of calls.
    fn terms(key: &str) -> ShortLivedTerms {
        ShortLivedTerms { made_by: Some(key.into()), lasting: Duration::from_secs(10), calls: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_valid_until_it_expires() {
        let keys = ShortLived::default();
        let key = keys.create(7, terms("key-1")).expect("room");
        assert_eq!(keys.open(&key), Some((7, Some("key-1".into()))));
        assert_eq!(keys.open("ek_other"), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(keys.open(&key), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_makes_no_more_than_its_part() {
        let keys = ShortLived::default();
        let make = |key: &str| keys.create((), terms(key));
        for _ in 0..MAX_EACH {
            assert!(make("key-1").is_some());
        }
        assert_eq!(make("key-1"), None);
        assert!(make("key-2").is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(make("key-1").is_some(), "those that have expired do not count");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_opens_as_many_calls_as_it_was_made_for() {
        let keys = ShortLived::default();
        let any = keys.create((), terms("key-1")).expect("room");
        let two = ShortLivedTerms { calls: NonZeroU32::new(2), ..terms("key-1") };
        let two = keys.create((), two).expect("room");
        for call in 0..5 {
            assert!(keys.count_call(&any));
            assert_eq!(keys.open(&two).is_some(), call < 2, "looking at it counts nothing");
            assert_eq!(keys.count_call(&two), call < 2);
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!keys.count_call(&any), "expired");
    }
}
