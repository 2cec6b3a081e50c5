//! Embeddings of many texts, kept in a file between runs.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{Read, Write};
use std::path::Path;

use antiphon_core::{Embed, Priority};

/// Texts that wait in the pool at the same time, about half of what it allows.
const IN_FLIGHT: usize = 512;

/// Embeddings by the hash of their text.
pub struct Vectors {
    by_text: HashMap<u64, Vec<f32>>,
}

impl Vectors {
    /// The embeddings of these texts. Those that are not in the file are computed and added to it.
    pub async fn load(embed: &dyn Embed, texts: &[&str], file: &Path) -> Result<Self, String> {
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        let mut by_text = if file.exists() {
            read(file, embed.card().dimensions).map_err(|e| failed(&e))?
        } else {
            HashMap::new()
        };
        let mut missing: Vec<_> = texts.iter().filter(|text| !by_text.contains_key(&key(text))).collect();
        missing.sort_unstable();
        missing.dedup();
        let mut file = OpenOptions::new().create(true).append(true).open(file).map_err(|e| failed(&e))?;
        for (n, texts) in missing.chunks(IN_FLIGHT).enumerate() {
            eprint!("\r{} of {} texts to embed", n * IN_FLIGHT, missing.len());
            let owned = texts.iter().map(|text| (**text).to_owned()).collect();
            let vectors = embed.embed(owned, Priority::Batch).await.map_err(|e| e.to_string())?;
            for (text, vector) in texts.iter().zip(vectors) {
                let bytes: Vec<u8> = key(text)
                    .to_le_bytes()
                    .into_iter()
                    .chain(vector.iter().flat_map(|x| x.to_le_bytes()))
                    .collect();
                file.write_all(&bytes).map_err(|e| e.to_string())?;
                by_text.insert(key(text), vector);
            }
        }
        eprintln!();
        Ok(Self { by_text })
    }

    /// The embedding of a text; empty for one that was not loaded.
    pub fn of(&self, text: &str) -> &[f32] {
        self.by_text.get(&key(text)).map_or(&[], Vec::as_slice)
    }
}

fn key(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

/// Reads the file. An incomplete embedding at its end, from an interrupted run, is dropped.
fn read(file: &Path, dimensions: usize) -> std::io::Result<HashMap<u64, Vec<f32>>> {
    let mut bytes = Vec::new();
    File::open(file)?.read_to_end(&mut bytes)?;
    let (keys, floats) = (size_of::<u64>(), size_of::<f32>());
    let records = bytes.chunks_exact(keys + dimensions * floats);
    let whole = bytes.len() - records.remainder().len();
    OpenOptions::new().write(true).open(file)?.set_len(whole as u64)?;
    Ok(records
        .map(|record| {
            let (key, vector) = record.split_at(keys);
            let key = u64::from_le_bytes(key.try_into().unwrap_or_default());
            let vector = vector.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
            (key, vector)
        })
        .collect())
}
