//! An embedder that needs no model.

use antiphon_core::{BoxFuture, Embed, EmbedCard, Priority, Result};

/// The length of the alphabet.
const LETTERS: usize = 26;

/// Counts the letters of a text, whatever their case: texts of the same letters are near.
#[derive(Clone, Copy, Debug, Default)]
pub struct Letters;

impl Embed for Letters {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "letters", model: "letters", dimensions: LETTERS }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        Box::pin(std::future::ready(Ok(texts.iter().map(|text| vector(text)).collect())))
    }
}

fn vector(text: &str) -> Vec<f32> {
    let mut counts = [0.0_f32; LETTERS];
    for byte in text.to_ascii_lowercase().bytes().filter(u8::is_ascii_lowercase) {
        counts[usize::from(byte - b'a')] += 1.0;
    }
    // A text without letters has no direction, and must not be divided by zero.
    let norm = counts.iter().map(|count| count * count).sum::<f32>().sqrt().max(1e-6);
    counts.iter().map(|count| count / norm).collect()
}
