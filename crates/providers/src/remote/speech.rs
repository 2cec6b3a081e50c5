//! What the voices of all vendors share: the list of voices, checks of names, and audio as it arrives.

use antiphon_core::{AudioChunk, BoxStream, Error, Result, SampleRate, Voice};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_TYPE, TRANSFER_ENCODING};
use reqwest::{RequestBuilder, Response, Version};

use super::{Pcm, Remote};

/// The section of the configuration that errors refer to.
pub(crate) const SECTION: &str = "[tts]";

/// The voices of an engine, the default first. There is at least one.
pub(crate) struct Voices(Vec<Voice>);

impl Voices {
    pub(crate) fn new(voices: Vec<Voice>) -> Result<Self> {
        if voices.is_empty() || voices.iter().any(|voice| voice.id.is_empty()) {
            return Err(Error::invalid(format!(
                "{SECTION} voices: name at least one voice, none of them \"\""
            )));
        }
        Ok(Self(voices))
    }

    pub(crate) fn list(&self) -> &[Voice] {
        &self.0
    }

    /// The requested voice, or the default.
    pub(crate) fn pick(&self, asked: Option<&str>) -> &Voice {
        self.0.iter().find(|voice| Some(voice.id.as_str()) == asked).unwrap_or(&self.0[0])
    }
}

/// Voices of one language with these ids.
pub(crate) fn voices(language: &str, ids: &[&str]) -> Vec<Voice> {
    ids.iter().map(|&id| Voice { id: id.to_owned(), language: language.to_owned() }).collect()
}

/// Checks a name that becomes part of a URL.
pub(crate) fn addressable<'a>(what: &str, name: &'a str) -> Result<&'a str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        let letters = "letters, digits, '-', '_' and '.'";
        return Err(Error::invalid(format!("{SECTION} {what} = \"{name}\" must be of {letters}")));
    }
    Ok(name)
}

/// Checks that a vendor offers this sample rate.
pub(crate) fn possible(rate: SampleRate, rates: &[u32]) -> Result<SampleRate> {
    if rates.contains(&rate.hz()) {
        return Ok(rate);
    }
    Err(Error::invalid(format!("{SECTION} rate = {} must be one of {rates:?}", rate.hz())))
}

/// A setting limited to its range and rounded to hundredths, because finer steps cannot be heard.
pub(crate) fn setting(value: f32, (least, most): (f64, f64)) -> f64 {
    (f64::from(value).clamp(least, most) * 100.0).round() / 100.0
}

impl Remote {
    /// Sends a request whose answer is PCM with this rate; returns the audio as it arrives.
    pub(crate) fn speak(
        &self,
        request: RequestBuilder,
        rate: SampleRate,
    ) -> BoxStream<'static, Result<AudioChunk>> {
        let remote = self.clone();
        let begun = async move { remote.send(request).await.map(|response| remote.audio(response, rate)) };
        stream::once(begun).try_flatten().boxed()
    }

    /// The audio of an answer that has begun.
    pub(crate) fn audio(
        &self,
        response: Response,
        rate: SampleRate,
    ) -> BoxStream<'static, Result<AudioChunk>> {
        if !ends_visibly(&response) {
            let error = self.protocol("audio without a length, whose end looks like a broken connection");
            return stream::once(std::future::ready(Err(error))).boxed();
        }
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let pcm = Pcm::new(self, rate).called(media_type.unwrap_or_default());
        stream::try_unfold(Some((self.pieces(response), pcm)), move |reading| async move {
            let Some((mut pieces, mut pcm)) = reading else { return Ok(None) };
            while let Some(piece) = pieces.next().await {
                let samples = pcm.push(&piece?)?;
                if !samples.is_empty() {
                    return Ok(Some((AudioChunk::new(rate, samples), Some((pieces, pcm)))));
                }
            }
            let rest = pcm.end()?;
            Ok((!rest.is_empty()).then(|| (AudioChunk::new(rate, rest), None)))
        })
        .boxed()
    }
}

/// Whether an answer that ends early can be distinguished from a complete one.
fn ends_visibly(response: &Response) -> bool {
    response.version() >= Version::HTTP_2
        || response.content_length().is_some()
        || response.headers().contains_key(TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::remote::said;

    proptest! {
        #[test]
        fn any_refusal_is_read(body: Vec<u8>, text in "\\PC{0,400}") {
            let vendors = [format!("{{\"err_msg\":{text:?}}}"), format!("{{\"error\":{{\"message\":{text:?}}}}}")];
            let read = vendors.iter().map(|body| said(body.as_bytes())).chain([said(&body), said(text.as_bytes())]);
            prop_assert!(read.into_iter().all(|said| said.chars().count() <= 300));
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_the_reason() {
        assert!(addressable("model", "aura-2-thalia-en").is_ok());
        assert!(addressable("voice", "../voices").expect_err("a path").to_string().contains("../voices"));
        assert!(Voices::new(Vec::new()).is_err());
        assert!(
            possible(SampleRate::HZ_48000, &[16_000]).expect_err("not made").to_string().contains("48000")
        );
    }
}
