//! ONNX Runtime: the shared library, which is loaded at run time, and sessions set up for the model threads.

mod elf;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use antiphon_core::{Error, Result, lock};
use ort::environment::Environment;
use ort::session::Session;

/// The loaded library. Clones share it.
#[derive(Clone)]
pub struct OnnxRuntime {
    environment: Environment,
}

impl OnnxRuntime {
    /// Loads `libonnxruntime` from this file. A process has one: later calls return the one that was loaded first.
    pub fn load(library: &Path) -> Result<Self> {
        static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
        let mut loaded = lock(&LOADED);
        if let Some(environment) = loaded.clone() {
            return Ok(Self { environment });
        }
        let library = existing(library)?;
        elf::check(&library)?;
        let failed = |e: &dyn std::fmt::Display| {
            Error::internal(format!(
                "{} is no ONNX Runtime that can be used ({e}): fetch it anew with `antiphon models pull onnxruntime --force`",
                library.display()
            ))
        };
        let builder = ort::init_from(&library).map_err(|e| failed(&e))?;
        let environment =
            builder.with_name("antiphon").with_telemetry(false).build().map_err(|e| failed(&e))?;
        *loaded = Some(environment.clone());
        Ok(Self { environment })
    }

    /// Opens a model for one thread. The session starts no threads of its own and does not spin, because the model
    /// threads keep the cores busy already.
    pub(crate) fn session(&self, model: &Path) -> Result<Session> {
        let model = existing(model)?;
        let open = || -> std::result::Result<Session, String> {
            let text = |e: &dyn std::fmt::Display| e.to_string();
            let mut builder = Session::builder(&self.environment).map_err(|e| text(&e))?;
            builder = builder.with_intra_threads(1).map_err(|e| text(&e))?;
            builder = builder.with_inter_threads(1).map_err(|e| text(&e))?;
            // Memory patterns are kept for every shape of input, and every stretch of speech has another length.
            builder = builder.with_memory_pattern(false).map_err(|e| text(&e))?;
            builder =
                builder.with_config_entry("session.intra_op.allow_spinning", "0").map_err(|e| text(&e))?;
            builder.commit_from_file(&model).map_err(|e| text(&e))
        };
        open().map_err(|e| {
            Error::internal(format!(
                "{} is no model that can be loaded ({e}): check it with `antiphon models verify`",
                model.display()
            ))
        })
    }
}

/// The path; an error if there is no file.
pub(crate) fn existing(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        Ok(path.to_owned())
    } else {
        Err(Error::not_found(format!("{} is missing: fetch it with `antiphon models pull`", path.display())))
    }
}

/// Turns an error of a running model into one that names the model.
pub(crate) fn failed(model: &'static str) -> impl Fn(ort::Error) -> Error {
    move |e| Error::internal(format!("{model} failed: {e}"))
}

#[cfg(test)]
mod tests {
    use antiphon_core::ErrorKind;

    use super::*;

    #[test]
    fn a_missing_file_says_how_to_get_it() {
        let error = existing(Path::new("nowhere/libonnxruntime.so")).expect_err("missing");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("antiphon models pull"), "{error}");
    }

    #[test]
    fn a_corrupt_model_is_named() {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let corrupt = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(corrupt.path(), b"not a model").expect("written");
        let error = runtime.session(corrupt.path()).expect_err("corrupt");
        assert!(error.to_string().contains(&corrupt.path().display().to_string()), "{error}");
    }

    #[test]
    fn half_a_model_is_named_and_ends_nothing() {
        let models = antiphon_testkit::models();
        let runtime = OnnxRuntime::load(&models.join("onnxruntime/libonnxruntime.so")).expect("loads");
        let folder = tempfile::tempdir().expect("a folder");
        for model in [
            "silero-vad/silero_vad.onnx",
            "smart-turn-v3.2/smart-turn-v3.2-cpu.onnx",
            "moonshine-tiny-en/decoder_model_merged.ort",
        ] {
            let bytes = std::fs::read(models.join(model)).expect("readable");
            let extension = Path::new(model).extension().expect("an extension");
            for length in [0, 1_000, bytes.len() / 2, bytes.len() / 50 * 49] {
                let cut = folder.path().join("cut").with_extension(extension);
                std::fs::write(&cut, &bytes[..length]).expect("written");
                let error = runtime.session(&cut).expect_err(model).to_string();
                assert!(error.contains(&cut.display().to_string()), "{model}, {length} bytes: {error}");
                assert!(error.contains("antiphon models verify"), "{error}");
            }
        }
    }
}
