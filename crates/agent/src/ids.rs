//! Identities unique in time and between servers.

use antiphon_core::CallId;
use rand::Rng;

/// `prefix` and 20 letters and digits: 103 bits, as unguessable as it is unique.
pub fn unique(prefix: &str) -> String {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rng = rand::rng();
    let mut id = String::with_capacity(prefix.len() + 20);
    id.push_str(prefix);
    id.extend((0..20).map(|_| ALPHABET[rng.random_range(0..ALPHABET.len())] as char));
    id
}

/// The identity of a new call.
pub fn call() -> CallId {
    CallId::new(unique("call_"))
}
