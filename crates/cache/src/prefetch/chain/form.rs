//! A chain as bytes: how much was learned since the counts were halved, the wordings of the questions in the order in which
//! they were last asked, what calls begin with, and the rest of each question. Followers are places among the questions; what
//! was forgotten since it followed is not written.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::{AGED, Chain, Followers, MAX_FOLLOWERS, MAX_QUESTIONS, Question, is_general};
use crate::question::normalise;
use crate::written::{put, take, text};

/// The questions of a chain are cut here: 512 of usual length take some 50 kB. With what stands before them they take less
/// than 64 KiB.
const MAX_BYTES: usize = 65_000;
/// No question is counted more often: what was counted before the counts were halved is half of it.
const MAX_COUNT: u32 = 2 * AGED;

/// The place of each question among those written.
type Places<'a> = HashMap<&'a str, u16>;

/// How often anything followed, and the number of followers.
const FOLLOWERS: usize = 4 + 1;
/// A place and a count.
const FOLLOWER: usize = 2 + 4;

impl Chain {
    /// Less than 64 KiB: where it would be more, the questions that were asked least are left out.
    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.since_halved.to_le_bytes().to_vec();
        let questions = self.written();
        let places = questions.iter().zip(0..).map(|((words, _), at)| (&***words, at)).collect();
        out.extend((questions.len() as u16).to_le_bytes());
        for (_, question) in &questions {
            put(&mut out, question.wording.as_bytes());
        }
        self.first.write(&mut out, &places);
        for (_, question) in questions {
            out.extend(question.by.to_le_bytes());
            out.push(u8::from(question.by_others));
            out.extend(question.asked.to_le_bytes());
            question.next.write(&mut out, &places);
        }
        out
    }

    /// What [`Self::to_bytes`] gave; `None` if the bytes are damaged.
    pub(in super::super) fn from_bytes(mut rest: &[u8]) -> Option<Self> {
        let since_halved = u32::from_le_bytes(take(&mut rest)?);
        let questions = usize::from(u16::from_le_bytes(take(&mut rest)?));
        if since_halved >= AGED || questions > MAX_QUESTIONS {
            return None;
        }
        let said: Option<Vec<(Arc<str>, &str)>> = (0..questions).map(|_| wording(&mut rest)).collect();
        let said = said?;
        let first = Followers::read(&mut rest, &said)?;
        let mut chain = Self { first, since_halved, ..Self::default() };
        for (words, wording) in &said {
            chain.now += 1;
            let (by, [by_others]) = (u64::from_le_bytes(take(&mut rest)?), take(&mut rest)?);
            let asked = count(&mut rest).filter(|asked| *asked > 0)?;
            let next = Followers::read(&mut rest, &said)?;
            let (wording, latest) = ((*wording).into(), chain.now);
            let question = Question { wording, by, by_others: by_others != 0, asked, latest, next };
            chain.asked += asked;
            chain.questions.insert(words.clone(), question);
        }
        (rest.is_empty() && chain.questions.len() == questions).then_some(chain)
    }

    /// The questions that fit, in the order in which they were last asked.
    fn written(&self) -> Vec<(&Arc<str>, &Question)> {
        let mut questions: Vec<_> = self.questions.iter().collect();
        questions.sort_unstable_by_key(|(_, question)| Reverse((question.asked, question.latest)));
        let mut bytes = 0;
        let fits = |(_, question): &(_, &Question)| {
            bytes += question.size();
            bytes <= MAX_BYTES
        };
        let mut questions: Vec<_> = questions.into_iter().take_while(fits).collect();
        questions.sort_unstable_by_key(|(_, question)| question.latest);
        questions
    }
}

impl Question {
    /// What it takes in bytes, at most.
    fn size(&self) -> usize {
        const NUMBERS: usize = 4 + 8 + 1 + 4;
        NUMBERS + self.wording.len() + FOLLOWERS + FOLLOWER * self.next.counts.len()
    }
}

impl Followers {
    fn write(&self, out: &mut Vec<u8>, places: &Places<'_>) {
        let known = self.counts.iter().filter_map(|(words, count)| Some((*places.get(&**words)?, *count)));
        let known: Vec<(u16, u32)> = known.collect();
        out.extend(self.all.to_le_bytes());
        out.push(known.len() as u8);
        for (place, count) in known {
            out.extend(place.to_le_bytes());
            out.extend(count.to_le_bytes());
        }
    }

    fn read(rest: &mut &[u8], said: &[(Arc<str>, &str)]) -> Option<Self> {
        let (all, [known]) = (count(rest)?, take(rest)?);
        if usize::from(known) > MAX_FOLLOWERS {
            return None;
        }
        let mut followers = Self { all, counts: Vec::with_capacity(usize::from(known)) };
        let mut left = all;
        for _ in 0..known {
            let (words, _) = said.get(usize::from(u16::from_le_bytes(take(rest)?)))?;
            let count = count(rest)?;
            left = left.checked_sub(count)?;
            if count == 0 || followers.count(words) > 0 {
                return None;
            }
            followers.counts.push((words.clone(), count));
        }
        Some(followers)
    }
}

/// A question, normalised and as it was said.
fn wording<'a>(rest: &mut &'a [u8]) -> Option<(Arc<str>, &'a str)> {
    let wording = text(rest)?;
    let words = normalise(wording);
    is_general(&words, wording).then(|| (words.into(), wording))
}

fn count(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(rest)?)).filter(|count| *count <= MAX_COUNT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Asked;
    use super::*;

    fn question(n: u8) -> String {
        format!("Um, what is the {}?", char::from(b'a' + n).to_string().repeat(3))
    }

    fn learn(chain: &mut Chain, by: &str, before: Option<&str>, wording: &str) {
        let (words, before) = (normalise(wording), before.map(normalise));
        chain.learn(&Asked { by, before: before.as_deref(), words: &words, wording });
    }

    /// All questions that were learned to follow `before`, the likeliest first.
    fn likely(chain: &Chain, before: Option<&str>) -> Vec<Arc<str>> {
        let (mut found, mut already) = (Vec::new(), Vec::new());
        while let Some(next) = chain.likely(before, &already, 0.0) {
            already.push(normalise(&next));
            found.push(next);
        }
        found
    }

    /// Turns of calls: who asks what, and whether it is the first question of a call.
    fn turns() -> impl Strategy<Value = Vec<(u8, u8, bool)>> {
        prop::collection::vec((0_u8..3, 0_u8..20, any::<bool>()), 0..200)
    }

    fn learned(turns: &[(u8, u8, bool)]) -> Chain {
        let (mut chain, mut before) = (Chain::default(), None);
        for &(by, n, first) in turns {
            let asked = question(n);
            learn(&mut chain, &by.to_string(), before.filter(|_| !first).as_deref(), &asked);
            before = Some(asked);
        }
        chain
    }

    proptest! {
        #[test]
        fn what_is_written_is_restored(turns in turns(), more in turns()) {
            let mut before = learned(&turns);
            let mut after = Chain::from_bytes(&before.to_bytes()).expect("whole");
            prop_assert_eq!(after.to_bytes(), before.to_bytes());
            for (by, n, _) in more {
                for chain in [&mut before, &mut after] {
                    learn(chain, &by.to_string(), Some(&question(n)), &question((n + 1) % 20));
                }
            }
            for n in 0..20 {
                let words = normalise(&question(n));
                prop_assert_eq!(likely(&after, Some(&words)), likely(&before, Some(&words)));
            }
            prop_assert_eq!(likely(&after, None), likely(&before, None));
        }

        /// The form has no checksum of its own, so that damaged bytes are really parsed.
        #[test]
        fn damage_is_refused_or_harmless(turns in turns(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut bytes = learned(&turns).to_bytes();
            prop_assert!(Chain::from_bytes(&bytes[..cut.index(bytes.len())]).is_none());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(mut chain) = Chain::from_bytes(&bytes) {
                for n in 0..20 {
                    learn(&mut chain, "x", Some(&question(n)), &question(n));
                    likely(&chain, None);
                }
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = Chain::from_bytes(&bytes);
        }
    }

    #[test]
    fn counts_stay_within_what_is_read() {
        let mut chain = Chain::default();
        for n in 0..10 * AGED {
            learn(&mut chain, ["a", "b"][n as usize % 2], None, "How much is it?");
        }
        assert!(Chain::from_bytes(&chain.to_bytes()).is_some());
    }

    #[test]
    fn what_is_asked_most_is_written_where_not_all_fits() {
        let mut chain = Chain::default();
        let long =
            |n: usize| format!("what is {}", format!("{n:b}").replace('0', "a").replace('1', "b").repeat(13));
        for n in 0..MAX_QUESTIONS {
            let (before, asked) = (long((n + 1) % MAX_QUESTIONS), long(n));
            learn(&mut chain, "x", Some(&before), &asked);
            if n % 2 == 0 {
                learn(&mut chain, "y", Some(&before), &asked);
            }
        }
        assert_eq!(chain.questions(), MAX_QUESTIONS);
        let bytes = chain.to_bytes();
        assert!(bytes.len() < 64 * 1_024);
        let restored = Chain::from_bytes(&bytes).expect("whole");
        assert!(restored.questions() < MAX_QUESTIONS);
        for n in (0..MAX_QUESTIONS).step_by(2) {
            assert!(restored.questions.contains_key(&*long(n)), "{n}");
        }
    }
}
