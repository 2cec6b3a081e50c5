//! Speech and language engines behind the core traits, one file each.

pub mod onnx;
pub mod pool;
pub mod silero;
pub mod sim;
#[cfg(test)]
mod testing;
