//! Flame graphs as SVG, after Brendan Gregg, "The Flame Graph", ACM Queue 14(2), 2016.
//!
//! Every function on a stack is a box, as wide as its share of the whole, with the outermost function at the bottom.
//! Boxes that would be too narrow to see are left out. The name appears on hover, without any script.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Kind, Profile};

/// Width of the picture. All lengths are in SVG units, which browsers show as pixels.
const WIDTH: f64 = 1_200.0;
/// Height of a row of boxes.
const ROW: f64 = 17.0;
/// Height of the title above the boxes.
const HEAD: f64 = 34.0;
/// Narrower boxes are left out.
const MIN_WIDTH: f64 = 0.4;
/// A box of at least this width has room for text.
const MIN_TEXT: f64 = 36.0;
/// Approximate width of a character.
const CHARACTER: f64 = 6.6;
/// Deepest row drawn. Deeper stacks would make the picture many screens high.
const MAX_DEPTH: usize = 120;

/// A function and the functions that it calls.
#[derive(Default)]
struct Node<'a> {
    weight: u64,
    /// Sorted by name, so that the same profile always gives the same picture.
    callees: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn add(&mut self, mut stack: impl Iterator<Item = &'a str>, weight: u64) {
        self.weight += weight;
        if let Some(next) = stack.next() {
            self.callees.entry(next).or_default().add(stack, weight);
        }
    }

    fn depth(&self) -> usize {
        1 + self.callees.values().map(Node::depth).max().unwrap_or_default()
    }
}

impl Profile {
    /// The profile as an SVG picture.
    pub fn flame_graph(&self) -> String {
        let mut root = Node::default();
        for line in &self.folded {
            let Some((stack, weight)) = line.rsplit_once(' ') else { continue };
            root.add(stack.split(';').take(MAX_DEPTH), weight.parse().unwrap_or_default());
        }
        let (title, hue) = match self.kind {
            Kind::Cpu => ("CPU time", 12),
            Kind::Heap => ("Memory allocated and not freed", 96),
        };
        let height = HEAD + ROW * root.depth() as f64 + 8.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\" \
             font-family=\"ui-monospace, monospace\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fffdf8\"/>\n\
             <text x=\"8\" y=\"22\" font-size=\"15\" font-family=\"system-ui, sans-serif\">{title}: {} {} in {:.0} s</text>\n",
            root.weight, self.unit, self.duration_s
        );
        let mut picture =
            Picture { svg: &mut svg, total: root.weight.max(1) as f64, unit: &self.unit, hue, height };
        picture.draw("all", &root, 0.0, 0);
        svg.push_str("</svg>\n");
        svg
    }
}

struct Picture<'a> {
    svg: &'a mut String,
    total: f64,
    unit: &'a str,
    hue: u32,
    height: f64,
}

impl Picture<'_> {
    fn draw(&mut self, name: &str, node: &Node<'_>, x: f64, depth: usize) {
        let width = node.weight as f64 / self.total * WIDTH;
        if width < MIN_WIDTH {
            return;
        }
        let y = self.height - 4.0 - ROW * (depth + 1) as f64;
        // The shade is a hash of the name, so that a function has the same colour wherever it appears.
        let shade = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let (hue, light) = (self.hue + shade % 36, 62 + shade / 36 % 16);
        let (share, safe) = (node.weight as f64 / self.total * 100.0, escaped(name));
        // Writing to a string cannot fail.
        let _ = write!(
            self.svg,
            "<g><title>{safe} ({} {}, {share:.2} %)</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" \
             height=\"{:.1}\" rx=\"1\" fill=\"hsl({hue} 75% {light}%)\"/>",
            node.weight,
            self.unit,
            (width - 0.5).max(MIN_WIDTH),
            ROW - 1.0
        );
        if width > MIN_TEXT {
            let text: String = name.chars().take(((width - 6.0) / CHARACTER) as usize).collect();
            let _ = write!(
                self.svg,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 3.0,
                y + 12.0,
                escaped(&text)
            );
        }
        self.svg.push_str("</g>\n");
        let mut at = x;
        for (callee, node) in &node.callees {
            self.draw(callee, node, at, depth + 1);
            at += node.weight as f64 / self.total * WIDTH;
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::Sums;
    use super::*;

    #[test]
    fn boxes_are_as_wide_as_their_share_and_names_are_escaped() {
        let folded = ["stt;main;Vec<u8>::push 30", "stt;main 10", "llm;main 60", "rare;f 0"];
        let profile = Profile {
            folded: folded.map(str::to_owned).to_vec(),
            duration_s: 5.0,
            ..Sums::default().profile(Kind::Cpu)
        };
        let svg = profile.flame_graph();
        assert!(
            svg.contains("Vec&lt;u8&gt;::push (30 samples, 30.00 %)") && !svg.contains("Vec<u8>"),
            "{svg}"
        );
        assert!(svg.contains("<title>llm (60 samples, 60.00 %)</title><rect x=\"0.0\""), "{svg}");
        assert!(svg.contains("width=\"719.5\""), "60 % of the width: {svg}");
        assert!(!svg.contains("rare"), "too narrow to see");
        let empty = Sums::default().profile(Kind::Heap).flame_graph();
        assert!(empty.starts_with("<svg") && empty.trim_end().ends_with("</svg>"), "{empty}");
    }
}
