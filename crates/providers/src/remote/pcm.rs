//! PCM audio as servers send it, in bytes that are cut anywhere. Some servers send something else by mistake, such as a
//! WAV file or an error in JSON. That is detected before anybody hears it.

use antiphon_core::{Result, SampleRate};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::Remote;

/// Bytes that are inspected before the first sample is accepted. Speech begins near silence, whose bytes are 0 and 255,
/// and even noise looks like text for so long only once in ten million times.
const START: usize = 16;
/// The longest answer in seconds. OpenAI takes at most 4,096 characters: five minutes at the usual 14 characters a
/// second, and 20 minutes at the lowest speed.
const LONGEST_S: usize = 20 * 60;

/// Converts bytes to 16-bit little-endian samples.
pub(crate) struct Pcm {
    remote: Remote,
    /// Samples that may still come before the answer is too long.
    left: usize,
    /// Whether the media type is MPEG: only then two bytes are enough to recognise MP3.
    mpeg: bool,
    /// Whether the first bytes were accepted as PCM.
    begun: bool,
    /// Bytes that are no whole sample yet, or not inspected.
    held: Vec<u8>,
}

impl Pcm {
    /// For the audio of one answer.
    pub(crate) fn new(remote: &Remote, rate: SampleRate) -> Self {
        let left = LONGEST_S * rate.hz() as usize;
        Self { remote: remote.clone(), left, mpeg: false, begun: false, held: Vec::new() }
    }

    /// With the media type that the server sent.
    pub(super) fn called(mut self, media_type: &str) -> Self {
        self.mpeg = media_type.starts_with("audio/mpeg");
        self
    }

    /// The samples that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<i16>> {
        self.held.extend_from_slice(bytes);
        if !self.begun && self.held.len() < START {
            return Ok(Vec::new());
        }
        self.samples()
    }

    /// As [`Pcm::push`] for bytes in base64.
    pub(crate) fn push_base64(&mut self, text: &str) -> Result<Vec<i16>> {
        let bytes =
            BASE64_STANDARD.decode(text).map_err(|_| self.remote.protocol("audio that is no base64"))?;
        self.push(&bytes)
    }

    /// The last samples, at the end of the answer. Half a sample shows that the answer was cut.
    pub(crate) fn end(mut self) -> Result<Vec<i16>> {
        if !self.begun && self.held.is_empty() {
            return Err(self.remote.protocol("no audio"));
        }
        let samples = self.samples()?;
        if self.held.is_empty() { Ok(samples) } else { Err(self.remote.broke_off()) }
    }

    fn samples(&mut self) -> Result<Vec<i16>> {
        if !self.begun {
            if let Some(what) = foreign(&self.held[..self.held.len().min(START)], self.mpeg) {
                return Err(self.remote.protocol(&format!("{what} instead of PCM audio")));
            }
            self.begun = true;
        }
        let (pairs, odd) = self.held.as_chunks::<2>();
        let samples: Vec<i16> = pairs.iter().map(|&pair| i16::from_le_bytes(pair)).collect();
        let odd = odd.first().copied();
        self.held.clear();
        self.held.extend(odd);
        match self.left.checked_sub(samples.len()) {
            Some(left) => self.left = left,
            None => return Err(self.remote.protocol("endless audio")),
        }
        Ok(samples)
    }
}

/// What the first bytes are when they are not PCM.
fn foreign(start: &[u8], mpeg: bool) -> Option<&'static str> {
    match start {
        [b'R', b'I', b'F', b'F', ..] => Some("a WAV file"),
        [b'O', b'g', b'g', b'S', ..] => Some("an Ogg file"),
        [b'f', b'L', b'a', b'C', ..] => Some("a FLAC file"),
        [b'I', b'D', b'3', ..] => Some("an MP3 file"),
        &[0xff, second, ..] if mpeg && second >= 0xe0 => Some("an MP3 file"),
        _ if !is_text(start) => None,
        _ => match start.trim_ascii_start() {
            [b'{' | b'[', ..] => Some("JSON"),
            [b'<', ..] => Some("HTML"),
            _ => Some("text"),
        },
    }
}

/// Whether the bytes are UTF-8 without control characters; the last character may be cut.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use antiphon_core::ErrorKind;
    use proptest::prelude::*;

    use super::*;

    fn pcm() -> Pcm {
        let remote = Remote::new("http://127.0.0.1:9", "the voice", "[tts]").expect("a URL");
        Pcm::new(&remote, SampleRate::HZ_8000)
    }

    #[test]
    fn what_is_no_pcm_is_named() {
        for (bytes, name) in [
            (&b"RIFF\x24\x08\0\0WAVEfmt \x10\0"[..], "WAV"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0", "Ogg"),
            (b"fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0", "FLAC"),
            (b"ID3\x04\0\0\0\0\0\x23TSSE\0\0", "MP3"),
            (b"{\"error\":{\"message\":\"no\"}}", "JSON"),
            (b"\n [\"an error\", \"in a list\"]", "JSON"),
            ("{\"fehler\":\"ungültig\"}".as_bytes(), "JSON"),
            (b"<!DOCTYPE html><html><body>", "HTML"),
            (b"{}", "JSON"),
            (b"upstream connect error", "text"),
        ] {
            let mut pcm = pcm();
            let error = pcm.push(bytes).and_then(|_| pcm.end()).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(error.to_string().contains(name), "{error}");
        }
        let mp3 = [0xff, 0xfb, 0x90, 0xc4].repeat(8);
        assert!(pcm().push(&mp3).is_ok(), "may be quiet speech");
        assert!(pcm().called("audio/mpeg").push(&mp3).is_err());
    }

    #[test]
    fn nothing_half_a_sample_and_the_endless_are_errors() {
        assert!(pcm().end().expect_err("nothing").to_string().contains("no audio"));
        let mut odd = pcm();
        odd.push(&[0; 17]).expect("PCM");
        assert_eq!(odd.end().expect_err("cut").kind(), ErrorKind::Unavailable);
        let mut endless = pcm();
        let minute = vec![0; 2 * 8_000 * 60];
        for _ in 0..20 {
            endless.push(&minute).expect("long, but not too long");
        }
        assert!(endless.push(&[0; 2]).expect_err("too long").to_string().contains("endless"));
        assert_eq!(pcm().push_base64("not base64!").expect_err("no base64").kind(), ErrorKind::Protocol);
    }

    proptest! {
        /// The samples do not depend on where the bytes are cut.
        #[test]
        fn cuts_do_not_matter(samples in prop::collection::vec(-100_i16..0, 1..200), cuts in prop::collection::vec(0_usize..50, 0..20)) {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let (mut pcm, mut rest, mut got) = (pcm(), &bytes[..], Vec::new());
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                got.extend(pcm.push(piece).expect("PCM"));
                rest = after;
            }
            got.extend(pcm.push(rest).expect("PCM"));
            got.extend(pcm.end().expect("whole"));
            prop_assert_eq!(got, samples);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, text in "\\PC{0,40}") {
            let mut all = pcm();
            let _ = (all.push(&bytes), all.push_base64(&text), all.end());
        }
    }
}
