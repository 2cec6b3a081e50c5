//! An engine with the decorators in front of it, and their names for the description of the stack.

use std::sync::Arc;

/// An engine, with the names of all that it consists of.
pub(super) struct Layered<E: ?Sized> {
    pub(super) engine: Arc<E>,
    /// The names of the engines, in the order in which they are tried.
    names: Vec<String>,
    /// The names of the decorators, from the innermost to the outermost.
    layers: Vec<&'static str>,
}

impl<E: ?Sized> Layered<E> {
    /// An engine without decorators.
    pub(super) fn new(name: impl Into<String>, engine: Arc<E>) -> Self {
        Self { engine, names: vec![name.into()], layers: Vec::new() }
    }

    /// The same engine with one more decorator.
    pub(super) fn with(self, layer: &'static str, wrap: impl FnOnce(Arc<E>) -> Arc<E>) -> Self {
        let Self { engine, names, mut layers } = self;
        layers.push(layer);
        Self { engine: wrap(engine), names, layers }
    }

    /// One engine made of several. A decorator that several of them have is named once.
    pub(super) fn join(
        engines: Vec<Self>,
        join: impl FnOnce(Vec<Arc<E>>) -> anyhow::Result<Arc<E>>,
    ) -> anyhow::Result<Self> {
        let (mut parts, mut names, mut layers) = (Vec::new(), Vec::new(), Vec::new());
        for part in engines {
            parts.push(part.engine);
            names.extend(part.names);
            layers.extend(part.layers);
        }
        let mut seen = Vec::new();
        layers.retain(|layer| {
            !seen.contains(layer) && {
                seen.push(*layer);
                true
            }
        });
        Ok(Self { engine: join(parts)?, names, layers })
    }

    /// Describes a stage in one line.
    pub(super) fn line(&self, stage: &str) -> String {
        let names = self.names.join(", else ");
        if self.layers.is_empty() {
            return format!("{stage:6} {names}");
        }
        format!("{stage:6} {names}  ({})", self.layers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_built() {
        let one = |name: &str| Layered::<str>::new(name, Arc::from(name)).with("guarded", |engine| engine);
        assert_eq!(one("piper").line("tts"), "tts    piper  (guarded)");
        let first = one("openai").with("hedged", |engine| engine);
        let both =
            Layered::join(vec![first, one("llama")], |mut engines| Ok(engines.remove(0))).expect("joined");
        let shared = both.with("shared", |engine| engine);
        assert_eq!(shared.line("llm"), "llm    openai, else llama  (guarded, hedged, shared)");
        assert_eq!(&*shared.engine, "openai");
    }
}
