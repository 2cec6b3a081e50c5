//! The bytes that the learned curve and audits are written as.

use super::audit::{Audit, WINDOW};
use super::curve::{CAPACITY, Curve, Observation};
use crate::written;

/// The version of the format; bytes of another version are not read.
const VERSION: u8 = 1;
/// Bytes of an observation: a similarity and whether the reply was right.
const OBSERVATION: usize = 5;

/// Writes a checksum, then version, halted, the number of observations, the observations and the audits.
pub(super) fn to_bytes(curve: &Curve, audit: &Audit) -> Vec<u8> {
    let mut out = written::begin();
    out.extend([VERSION, u8::from(audit.halted())]);
    out.extend((curve.seen().len() as u32).to_le_bytes());
    for seen in curve.seen() {
        out.extend(seen.similarity.to_le_bytes());
        out.push(u8::from(seen.correct));
    }
    out.extend(audit.outcomes().map(u8::from));
    written::seal(out)
}

/// Reads what [`to_bytes`] wrote; `None` if it is damaged, cut short or of another version.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<(Curve, Audit)> {
    let mut rest = written::open(bytes)?;
    let [version, halted] = written::take(&mut rest)?;
    if version != VERSION {
        return None;
    }
    let length = (u32::from_le_bytes(written::take(&mut rest)?) as usize).checked_mul(OBSERVATION)?;
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
