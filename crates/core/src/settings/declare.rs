//! Takes up a declared key into the description of its table.

use serde::Serialize;
use serde_json::Value;

use super::describe::one_line;
use super::{Alias, KeyInfo, KeyOptions, SectionInfo, Setting};

impl SectionInfo {
    /// Adds what a declaration says of one key.
    pub fn add<S: Setting>(&mut self, name: &str, doc: &str, default: &S, options: &KeyOptions) {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        if let Some(section) = S::section(&path) {
            self.sections.push(section);
            return;
        }
        let above = || match self.path.rsplit_once('.') {
            Some((parent, _)) => format!("{parent}.{name}"),
            None => name.to_owned(),
        };
        let aliases = options.aliases.iter().map(|(place, deprecated)| Alias {
            path: place.map_or_else(above, str::to_owned),
            deprecated: *deprecated,
        });
        let aliases = aliases.collect();
        let variable = format!("ANTIPHON_{}", path.to_uppercase().replace('.', "__"));
        self.keys.push(KeyInfo {
            kind: S::TYPE,
            default: json(default),
            help: one_line(doc),
            choices: S::CHOICES,
            check: options.check.map(|check| check.to_string()),
            example: options.example,
            environment: [variable].into_iter().chain(options.variable.map(str::to_owned)).collect(),
            aliases,
            own: options.own,
            path,
        });
    }
}

/// By way of text, in which an `f32` has its own digits and not those of the nearest `f64`.
fn json(value: &impl Serialize) -> Value {
    let text = serde_json::to_string(value);
    text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
