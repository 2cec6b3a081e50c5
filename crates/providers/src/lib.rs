//! Speech and language engines behind the core traits, one file each.

#[cfg(feature = "llama")]
pub mod llama;
pub mod moonshine;
pub mod onnx;
pub mod pool;
pub mod silero;
pub mod sim;
#[cfg(test)]
mod testing;
