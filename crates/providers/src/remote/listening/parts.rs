//! The text of a transcription, part by part. The last parts may still change.

use antiphon_core::Segment;

/// The most bytes of text: hours of speech, so that no server sends more of it in earnest.
const MOST_TEXT: usize = 1 << 20;

/// The parts, in the order in which they first came.
#[derive(Default)]
pub(super) struct Parts {
    parts: Vec<(u64, Segment)>,
    length: usize,
}

impl Parts {
    /// Replaces part `number`. Returns false when the text has become too long.
    pub(super) fn set(&mut self, number: u64, segment: Segment) -> bool {
        self.length += segment.text.len();
        match self.parts.iter().rposition(|(known, _)| *known == number) {
            Some(at) => {
                self.length -= self.parts[at].1.text.len();
                self.parts[at].1 = segment;
            }
            None if segment.text.is_empty() => {}
            None => self.parts.push((number, segment)),
        }
        self.length <= MOST_TEXT
    }

    /// The text of all parts, with a space between two of them.
    pub(super) fn text(&self) -> String {
        self.spoken().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// All parts with text. Each begins where the previous one ends or later.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let mut end = 0.0_f32;
        let mut list = Vec::new();
        for segment in self.spoken() {
            let start_s = segment.start_s.max(end);
            end = segment.end_s.max(start_s);
            list.push(Segment { start_s, end_s: end, text: segment.text.clone() });
        }
        list
    }

    fn spoken(&self) -> impl Iterator<Item = &Segment> {
        self.parts.iter().map(|(_, segment)| segment).filter(|segment| !segment.text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(start_s: f32, end_s: f32, text: &str) -> Segment {
        Segment { start_s, end_s, text: text.to_owned() }
    }

    #[test]
    fn a_part_replaces_what_it_said_before() {
        let mut parts = Parts::default();
        for (number, text) in [(0, "hel"), (0, "hello"), (1, "wor"), (0, "Hello,"), (1, "world."), (2, "")] {
            assert!(parts.set(number, said(0.0, 1.0, text)));
        }
        assert_eq!(parts.text(), "Hello, world.");
        assert!(parts.set(1, said(0.0, 0.0, "")));
        assert_eq!(parts.text(), "Hello,");
    }

    #[test]
    fn segments_do_not_overlap_whatever_the_server_says() {
        let mut parts = Parts::default();
        for (number, (start, end)) in [(1.0, 2.0), (1.5, 1.2), (0.0, 3.0)].into_iter().enumerate() {
            parts.set(number as u64, said(start, end, "word"));
        }
        let times: Vec<_> = parts.segments().iter().map(|s| (s.start_s, s.end_s)).collect();
        assert_eq!(times, [(1.0, 2.0), (2.0, 2.0), (2.0, 3.0)]);
    }

    #[test]
    fn text_has_a_bound() {
        let mut parts = Parts::default();
        let long = "x".repeat(MOST_TEXT / 2);
        assert!(parts.set(0, said(0.0, 1.0, &long)) && parts.set(0, said(0.0, 1.0, &long)));
        assert!(parts.set(1, said(0.0, 1.0, &long)));
        assert!(!parts.set(2, said(0.0, 1.0, &long)));
    }
}
