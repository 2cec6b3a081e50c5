//! The llama.cpp back end, which a process has once.

use std::sync::OnceLock;

use antiphon_core::{Error, Result};
use llama_cpp_2::llama_backend::LlamaBackend;

/// The back end; starts it when it is asked for first.
pub(super) fn backend() -> Result<&'static LlamaBackend> {
    static BACKEND: OnceLock<std::result::Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        let mut backend = LlamaBackend::init().map_err(|e| e.to_string())?;
        backend.void_logs();
        Ok(backend)
    });
    backend.as_ref().map_err(|e| Error::internal(format!("llama.cpp cannot start: {e}")))
}
