//! Flame graphs (Brendan Gregg's), as SVG.

use inferno::flamegraph::{self, Options, Palette, color::BasicPalette};

use super::{Kind, Profile};

impl Profile {
    /// The profile as a picture that can be searched and zoomed in any browser.
    pub fn flame_graph(&self) -> String {
        let mut options = Options::default();
        options.title = match self.kind {
            Kind::Cpu => "CPU time".to_owned(),
            Kind::Heap => "Memory allocated and not freed".to_owned(),
        };
        options.count_name.clone_from(&self.unit);
        options.colors =
            Palette::Basic(if self.kind == Kind::Cpu { BasicPalette::Hot } else { BasicPalette::Mem });
        let lines = if self.folded.is_empty() {
            vec!["nothing was sampled 1".to_owned()]
        } else {
            self.folded.clone()
        };
        let mut svg = Vec::new();
        // It fails only where there is nothing to draw, and writing to memory does not fail.
        match flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg) {
            Ok(()) => String::from_utf8_lossy(&svg).into_owned(),
            Err(error) => {
                format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text y=\"20\">{error}</text></svg>")
            }
        }
    }
}
