//! What was learned, as bytes.

use super::audit::{Audit, WINDOW};
use super::curve::{CAPACITY, Curve, Observation};

/// The version of the form; others are not read.
const VERSION: u8 = 1;
/// The hash of what follows it.
const CHECKSUM: usize = 8;
/// A similarity and whether it was right.
const OBSERVATION: usize = 5;

/// A checksum, then version, halted, the number of observations, the observations, the audits.
pub(super) fn to_bytes(curve: &Curve, audit: &Audit) -> Vec<u8> {
    let mut out = vec![0; CHECKSUM];
    out.extend([VERSION, u8::from(audit.halted())]);
    out.extend((curve.seen().len() as u32).to_le_bytes());
    for seen in curve.seen() {
        out.extend(seen.similarity.to_le_bytes());
        out.push(u8::from(seen.correct));
    }
    out.extend(audit.outcomes().map(u8::from));
    let checksum = checksum(&out[CHECKSUM..]);
    out[..CHECKSUM].copy_from_slice(&checksum);
    out
}

/// What these bytes say; `None` if they are damaged, cut short or of another version.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Curve, Audit)> {
    let (expected, content) = bytes.split_first_chunk::<CHECKSUM>()?;
    let (&[version, halted], rest) = content.split_first_chunk::<2>()?;
    if checksum(content) != *expected || version != VERSION {
        return None;
    }
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let length = (u32::from_le_bytes(*count) as usize).checked_mul(OBSERVATION)?;
    let (observations, outcomes) = rest.split_at_checked(length)?;
    let observations = observations.as_chunks::<OBSERVATION>().0.iter().map(|[a, b, c, d, correct]| {
        Observation { similarity: f32::from_le_bytes([*a, *b, *c, *d]), correct: *correct != 0 }
    });
    let usable = observations.clone().all(|seen| seen.similarity.is_finite());
    if !usable || observations.len() > CAPACITY || outcomes.len() > WINDOW {
        return None;
    }
    let curve = Curve::fitted(observations);
    Some((curve, Audit::restored(outcomes.iter().map(|outcome| *outcome != 0), halted != 0)))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let hash = blake3::hash(bytes);
    let mut first = [0; CHECKSUM];
    first.copy_from_slice(&hash.as_bytes()[..CHECKSUM]);
    first
}
