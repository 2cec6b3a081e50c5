//! Keys that are valid for minutes. A browser may hold one, since it opens one thing only and expires soon.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_agent::ids;
use antiphon_core::{KeyId, PersonId, lock};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// How every short-lived key begins, as OpenAI's client secrets do.
pub const PREFIX: &str = "ek_";
/// Most keys that are valid at a time. While there are that many, no more are made.
const MAX_VALID: usize = 10_000;
/// Most valid keys that one API key may have made, so that its holder cannot use up the limit for all others.
const MAX_EACH: usize = MAX_VALID / 4;
/// Most bytes that all valid keys open together, so that keys do not fill the memory: 6.5 KiB for each of them, several times a
/// session with long instructions.
const MAX_BYTES: usize = 64 << 20;
/// Most of these bytes that the keys made with one API key may take.
const MAX_BYTES_EACH: usize = MAX_BYTES / 4;

/// The valid keys as digests, with what each of them opens.
#[derive(Debug, Default)]
pub struct ShortLived {
    valid: Mutex<HashMap<[u8; 32], Held>>,
}

#[derive(Debug)]
struct Held {
    expires: Instant,
    made_by: Option<KeyId>,
    /// How many calls may still begin with it; `None` for any number.
    calls_left: Option<NonZeroU32>,
    opens: ShortLivedGrant,
}

/// What a key opens, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortLivedGrant {
    /// Text, whose size is known, for whoever reads it.
    pub text: Arc<str>,
    /// The person for whom the key was made. `None` for nobody: such a key gives nobody's memories.
    pub person: Option<PersonId>,
}

impl ShortLivedGrant {
    /// How many bytes it holds, the person's name among them.
    fn held_bytes(&self) -> usize {
        self.text.len() + self.person.as_ref().map_or(0, |person| person.as_str().len())
    }
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

impl ShortLived {
    /// Makes a new key for `opens`. `None` when too many keys are valid, or when they open too much.
    pub fn create(&self, opens: ShortLivedGrant, terms: ShortLivedTerms) -> Option<String> {
        let ShortLivedTerms { made_by, lasting, calls: calls_left } = terms;
        let mut valid = lock(&self.valid);
        let now = Instant::now();
        valid.retain(|_, held| held.expires > now);
        let sums = |(keys, bytes): (usize, usize), held: &Held| (keys + 1, bytes + held.opens.held_bytes());
        let this = (1, opens.held_bytes());
        let all = valid.values().fold(this, sums);
        let each = valid.values().filter(|held| held.made_by == made_by).fold(this, sums);
        if all.0 > MAX_VALID || each.0 > MAX_EACH || all.1 > MAX_BYTES || each.1 > MAX_BYTES_EACH {
            return None;
        }
        let key = ids::unique(PREFIX);
        valid.insert(digest(&key), Held { expires: now + lasting, made_by, calls_left, opens });
        Some(key)
    }

    /// What a valid key opens, and the API key with which it was made.
    pub fn open(&self, key: &str) -> Option<(ShortLivedGrant, Option<KeyId>)> {
        let valid = lock(&self.valid);
        let held = valid.get(&digest(key)).filter(|held| held.expires > Instant::now())?;
        Some((held.opens.clone(), held.made_by.clone()))
    }

    /// Counts a call that begins with this key, and drops the key if it was the last. False if the key is no longer valid: when two
    /// calls come at once and one is left, one of them gets it.
    pub fn count_call(&self, key: &str) -> bool {
        let mut valid = lock(&self.valid);
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

    /// This text, for nobody.
    fn opens(text: &str) -> ShortLivedGrant {
        ShortLivedGrant { text: text.into(), person: None }
    }

    /// Ten seconds, for any number of calls.
    fn terms(key: &str) -> ShortLivedTerms {
        ShortLivedTerms { made_by: Some(key.into()), lasting: Duration::from_secs(10), calls: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_valid_until_it_expires() {
        let keys = ShortLived::default();
        let key = keys.create(opens("7"), terms("key-1")).expect("room");
        assert_eq!(keys.open(&key), Some((opens("7"), Some("key-1".into()))));
        assert_eq!(keys.open("ek_other"), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(keys.open(&key), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_makes_no_more_than_its_part() {
        let keys = ShortLived::default();
        let make = |key: &str| keys.create(opens(""), terms(key));
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
        let any = keys.create(opens(""), terms("key-1")).expect("room");
        let two = ShortLivedTerms { calls: NonZeroU32::new(2), ..terms("key-1") };
        let two = keys.create(opens(""), two).expect("room");
        for call in 0..5 {
            assert!(keys.count_call(&any));
            assert_eq!(keys.open(&two).is_some(), call < 2, "looking at it counts nothing");
            assert_eq!(keys.count_call(&two), call < 2);
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!keys.count_call(&any), "expired");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_keys_open_is_bounded_for_each_and_for_all() {
        const LARGE: usize = 64 << 10;
        let keys = ShortLived::default();
        let large = opens(&"x".repeat(LARGE));
        let make = |key: &str| keys.create(large.clone(), terms(key));
        for n in 0..MAX_BYTES / LARGE {
            assert!(make(&format!("key-{}", n * LARGE / MAX_BYTES_EACH)).is_some(), "{n}");
        }
        assert_eq!(make("key-0"), None, "more than its part");
        assert_eq!(make("key-9"), None, "there is no room for anybody");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(make("key-0").is_some(), "those that have expired do not count");
    }

    #[tokio::test(start_paused = true)]
    async fn the_name_of_the_person_counts() {
        let keys = ShortLived::default();
        let all = opens(&"x".repeat(MAX_BYTES_EACH));
        let named = ShortLivedGrant { person: PersonId::parse("maria"), ..all.clone() };
        assert_eq!(keys.create(named, terms("key-1")), None, "the name is too much");
        assert!(keys.create(all, terms("key-1")).is_some(), "without it there is room");
    }
}
